"""What the jobs of a sweep will take: images, multiply-adds, and time on this machine."""

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from omegaconf import OmegaConf

from facedet.config import build

_TRIED_SIDE = 320  # px: larger crops are tried at this size, and the time grows with their pixels


class Effort(NamedTuple):
    """What one job takes."""

    steps: int
    batch: int  # images of a step, over all processes
    size: tuple[int, int]  # of each image, px
    madds: int  # multiply-adds of one image's forward pass

    @property
    def images(self) -> int:
        """Images that pass the network, forwards and backwards."""
        return self.steps * self.batch


def effort_of(config: Mapping[str, Any]) -> Effort:
    """What a job of this resolved config takes; of drawn crop sizes, the middle one at 3 : 2."""
    trainer, augmentation = config["trainer"], config["augmentation"]
    devices = trainer["devices"] if isinstance(trainer["devices"], int) else 1
    batch = config.get("total_batch_size") or (
        config["data"]["batch_size"] * trainer["accumulate_grad_batches"] * max(devices, 1)
    )
    if "size" in augmentation:
        size = (int(augmentation["size"]), int(augmentation["size"]))
    else:
        sides = sorted(augmentation.get("scales", [640]))
        side = int(sides[len(sides) // 2])
        size = (side, side * 3 // 2)
    return Effort(
        trainer["max_steps"], batch, size, _madds(json.dumps(config["model"]["net"]), size)
    )


def expected_seconds(config: Mapping[str, Any], efforts: Sequence[Effort]) -> float:
    """Time of all trainings one after the other, from a short try of the network of `config`.

    Args:
        config: of the first job, resolved.
        efforts: of all of them.
    """
    import torch

    from facedet.profiling.timing import time_calls
    from facedet.training.trainer import precision, uses_gpu

    trainer, first = OmegaConf.create(config["trainer"]), efforts[0]
    device = "cuda" if uses_gpu(trainer) else "cpu"
    shrunk = min(1.0, _TRIED_SIDE / min(first.size))
    height, width = (max(64, round(side * shrunk)) for side in first.size)
    # Of one image a small last map has one cell, which cannot be normalised.
    images = torch.zeros(2, 3, height, width, dtype=torch.uint8, device=device)
    net = build(OmegaConf.create(config["model"]["net"])).train().to(device)

    def step() -> None:
        with torch.autocast(device, torch.bfloat16, "bf16" in precision(trainer)):
            predictions = net(images)
        (predictions.logits.float().sum() + predictions.deltas.float().sum()).backward()
        if device == "cuda":
            torch.cuda.synchronize()

    madds = len(images) * first.madds * height * width / (first.size[0] * first.size[1])
    seconds_per_madd = time_calls(step, runs=2, warmup=1).median / madds
    return seconds_per_madd * sum(effort.images * effort.madds for effort in efforts)


@lru_cache
def _madds(net: str, size: tuple[int, int]) -> int:
    import torch

    from facedet.profiling.cost import measure_cost

    with torch.device("meta"):
        return measure_cost(build(OmegaConf.create(json.loads(net))), size).madds
