"""How fast the network, its pre- and postprocessing and a training step are on this machine."""

import platform
from typing import Any

import numpy as np
import torch
from torch import nn

from facedet.criteria.difficulty import hardest_positive
from facedet.criteria.multibox import MultiBoxLoss
from facedet.data.difficulty import DifficultyRule, DifficultyTable
from facedet.data.samplers import DifficultySampler
from facedet.inference.postprocess import NmsPostprocess
from facedet.models.folding import fold
from facedet.profiling.timing import compare, time_calls
from facedet.profiling.training_batches import noise_batch
from facedet.profiling.training_speed import make_step
from facedet.structures import Detections


def describe_machine() -> dict[str, Any]:
    """What the timings were taken on."""
    capabilities: dict = getattr(torch.cpu, "get_capabilities", dict)()
    return {
        "cpu": capabilities.get("cpu_name") or platform.processor() or platform.machine(),
        "threads": torch.get_num_threads(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "torch": torch.__version__,
        "python": platform.python_version(),
    }


@torch.inference_mode()
def measure_network(
    net: nn.Module, postprocess: NmsPostprocess, rgb: np.ndarray, runs: int = 20
) -> dict[str, Any]:
    """Times one picture: preparation, network and postprocessing apart, plain against folded.

    Args:
        net: a detector, unfolded.
        postprocess: decodes its predictions.
        rgb: the picture, uint8 [H, W, 3].
        runs: pairs counted.
    """
    net = net.eval()
    folded = fold(net)
    image = torch.from_numpy(rgb).permute(2, 0, 1)[None]
    plain_image = image.contiguous()
    comparison = compare(lambda: net(plain_image), lambda: folded(image), runs)
    predictions = folded(image)
    return {
        "size": list(rgb.shape[:2]),
        "prepare": time_calls(lambda: _prepare(net, rgb), runs)._asdict(),
        "network_plain": comparison.a._asdict(),
        "network_folded": comparison.b._asdict(),
        "speedup": comparison.ratio,
        "speedup_range": [comparison.ratio_low, comparison.ratio_high],
        "postprocess": time_calls(lambda: postprocess(predictions), runs)._asdict(),
        "same_detections": _agree(postprocess(net(plain_image))[0], postprocess(predictions)[0]),
    }


def measure_mining(
    net: nn.Module,
    criterion: MultiBoxLoss,
    size: int,
    batch: int,
    runs: int,
    images: int = 25_760,
) -> dict[str, Any]:
    """Times what hard image mining adds to a training step, as a share of the step.

    Added are: the weakest positive of each image, which the criterion finds in every training;
    its memory until the epoch's end; and then, once for all of `images`, the table's new scores
    and the drawing of the next epoch. Each is timed by itself, for it is far below the spread of
    a step's time.

    Args:
        net: a detector.
        criterion: its loss.
        size: side of the crops, px.
        batch: images per step.
        runs: steps counted.
        images: of the training set; by default WIDER FACE's, mirrored copies included.
    """
    crops = noise_batch(size, batch)
    step = time_calls(make_step(net, criterion, lambda: crops), runs)
    logits = torch.zeros(batch, size * size // 16, 2)
    positive = torch.zeros(logits.shape[:2], dtype=torch.bool)
    positive[:, :100] = True
    score = time_calls(lambda: hardest_positive(logits, positive), 100)
    scores = hardest_positive(logits, positive)
    visits: list[Any] = []
    keep = time_calls(lambda: visits.append((torch.arange(batch), scores.float())), 1000)
    table = DifficultyTable(images, DifficultyRule())
    sampler = DifficultySampler(table, batch_size=batch)
    entries, drawn = torch.arange(images), torch.rand(images)

    def end_epoch() -> None:
        table.record(entries, drawn)
        sampler.set_epoch(1)

    epoch = time_calls(end_epoch, 20)
    per_step = score.median + keep.median + epoch.median * batch / images
    return {
        "size": size,
        "batch": batch,
        "step_seconds": step.median,
        "added_per_step_seconds": per_step,
        "of_it_per_epoch_seconds": epoch.median,
        "share": per_step / step.median,
    }


def _prepare(net: nn.Module, rgb: np.ndarray) -> torch.Tensor:
    return net.normalize(torch.from_numpy(rgb).permute(2, 0, 1)[None])  # type: ignore[operator]


def _agree(a: Detections, b: Detections) -> bool:
    """Whether the first 50 detections are the same boxes to a twentieth of a pixel."""
    a_boxes, b_boxes = a.boxes[:50], b.boxes[:50]
    return a_boxes.shape == b_boxes.shape and bool(((a_boxes - b_boxes).abs() < 0.05).all())
