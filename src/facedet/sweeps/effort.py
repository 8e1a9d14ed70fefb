"""What the jobs of a sweep will take: images, multiply-adds, and time on this machine."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from omegaconf import OmegaConf

from facedet.config import build, plain
from facedet.sweeps.plan import PlannedJob, Sweep, without_places

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


def efforts_of(sweep: Sweep, jobs: Sequence[PlannedJob]) -> list[Effort]:
    """What each job of a grid takes; of a search, whose jobs are not known, what one does."""
    known: dict[str, int] = {}
    return [_effort(config, known) for config in _configs(sweep, jobs)]


def effort_text(
    sweep: Sweep, jobs: Sequence[PlannedJob], efforts: Sequence[Effort], number: int
) -> str:
    """Budget, steps per job and expected time of `number` jobs in one line."""
    steps, batches = (
        " to ".join(f"{value:,}" for value in sorted({min(values), max(values)}))
        for values in zip(*(effort[:2] for effort in efforts), strict=True)
    )
    work = sum(effort.images * effort.madds for effort in efforts) / len(efforts) * number
    seconds = work * _seconds_per_madd(_configs(sweep, jobs)[0], efforts[0])
    return (
        f"budget={sweep.choice('budget', 'null')}: {steps} steps of {batches} crops each, about "
        f"{_time_text(seconds)} one after the other at this machine's present speed, without "
        "validation"
    )


def _configs(sweep: Sweep, jobs: Sequence[PlannedJob]) -> list[dict[str, Any]]:
    return [job.config for job in jobs] or [plain(without_places(sweep.config))]


def _effort(config: Mapping[str, Any], known: dict[str, int]) -> Effort:
    """Counts a job's training images and what each costs.

    Where the crops' size is drawn, it is the middle one of the short sides, and 3 : 2.

    Args:
        config: of the job, resolved.
        known: multiply-adds by network and size; added to.
    """
    import torch

    from facedet.profiling.cost import measure_cost

    trainer, augmentation = config["trainer"], config["augmentation"]
    devices = trainer["devices"] if isinstance(trainer["devices"], int) else 1
    batch = config["data"]["batch_size"] * trainer["accumulate_grad_batches"] * max(devices, 1)
    if "size" in augmentation:
        size = (int(augmentation["size"]), int(augmentation["size"]))
    else:
        sides = sorted(augmentation.get("scales", [640]))
        side = int(sides[len(sides) // 2])
        size = (side, side * 3 // 2)
    net = config["model"]["net"]
    key = json.dumps([size, net], sort_keys=True)
    if key not in known:
        with torch.device("meta"):
            known[key] = measure_cost(build(OmegaConf.create(net)), size).madds
    return Effort(int(trainer["max_steps"]), batch, size, known[key])


def _seconds_per_madd(config: Mapping[str, Any], effort: Effort) -> float:
    """Seconds per multiply-add of a training step's forward pass, by a short try of a network."""
    import torch

    from facedet.profiling.timing import time_calls
    from facedet.training.trainer import precision, uses_gpu

    trainer = OmegaConf.create(config["trainer"])
    device = "cuda" if uses_gpu(trainer) else "cpu"
    shrunk = min(1.0, _TRIED_SIDE / min(effort.size))
    size = [max(64, round(side * shrunk)) for side in effort.size]
    # Of one image a small last map has one cell, which cannot be normalised.
    images = torch.zeros(2, 3, *size, dtype=torch.uint8, device=device)
    net = build(OmegaConf.create(config["model"]["net"])).train().to(device)

    def step() -> None:
        with torch.autocast(device, torch.bfloat16, "bf16" in precision(trainer)):
            predictions = net(images)
        (predictions.logits.float().sum() + predictions.deltas.float().sum()).backward()
        if device == "cuda":
            torch.cuda.synchronize()

    pixels = size[0] * size[1] / (effort.size[0] * effort.size[1])
    return time_calls(step, runs=2, warmup=1).median / len(images) / (effort.madds * pixels)


def _time_text(seconds: float) -> str:
    """A time to two digits.

    >>> [_time_text(one) for one in (7, 100, 5400, 7200, 1e6)]
    ['7 s', '2 min', '1.5 h', '2.0 h', '11.6 days']
    """
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 48 * 3600 else f"{seconds / 86400:.1f} days"
