"""Times of detectors on one picture: of a network, over picture sizes, and of whole detections."""

import copy
import time
from collections.abc import Callable, Sequence
from statistics import median
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from facedet.inference.pyramid import Pyramid
from facedet.models.folding import fold
from facedet.profiling.cost import measure_cost
from facedet.profiling.timing import Timing, compare, summarise, time_calls
from facedet.structures import Detections, Predictions

_WARM_UP = 2  # rounds that do not count


class Contender(NamedTuple):
    """A detector in a comparison of times."""

    name: str
    net: nn.Module  # a `Detector`, unfolded, in evaluation mode
    postprocess: Callable[[Predictions], list[Detections]]


class Stages:
    """The three steps from one picture, uint8 [H, W, 3], to its faces, each called by itself."""

    def __init__(self, contender: Contender, rgb: np.ndarray) -> None:
        self.contender = contender
        self.rgb = rgb
        self.folded = fold(contender.net)
        # Preparation is a step of its own here; the network must not repeat it.
        self.folded.normalize = lambda images: images  # type: ignore[assignment]
        self._image = self.prepare()
        self._predictions = self.network()

    def prepare(self) -> Tensor:
        """The array as normalised images [1, 3, H, W]."""
        return self.contender.net.normalize(_image(self.rgb))  # type: ignore[operator]

    def network(self) -> Predictions:
        """Predictions of the folded network in the prepared image."""
        return self.folded(self._image)

    def postprocess(self) -> Detections:
        """Detections from the predictions."""
        return self.contender.postprocess(self._predictions)[0]


@torch.inference_mode()
def measure_network(contender: Contender, rgb: np.ndarray, runs: int = 20) -> dict[str, Any]:
    """Times one picture, uint8 [H, W, 3]: its preparation, network and postprocessing apart.

    In `runs` pairs the plain and the folded network get the pixels and normalise them, as in a
    prediction.

    Returns:
        "net" and "size" (height, width px); seconds of "prepare", "network_plain",
        "network_folded" and "postprocess" as `Timing`s; "speedup", the plain one's time over the
        folded one's, and its "speedup_range"; "same_detections" of both.
    """
    net, postprocess = contender.net, contender.postprocess
    stages, folded = Stages(contender, rgb), fold(net)
    image = _image(rgb)
    plain_image = image.contiguous()
    comparison = compare(lambda: net(plain_image), lambda: folded(image), runs)
    found, plain_found = (postprocess(one(image))[0] for one in (folded, net))
    return {
        "net": contender.name,
        "size": list(rgb.shape[:2]),
        "prepare": time_calls(stages.prepare, runs)._asdict(),
        "network_plain": comparison.a._asdict(),
        "network_folded": comparison.b._asdict(),
        "speedup": comparison.ratio.median,
        "speedup_range": [comparison.ratio.low, comparison.ratio.high],
        "postprocess": time_calls(stages.postprocess, runs)._asdict(),
        "same_detections": _agree(plain_found, found),
    }


@torch.inference_mode()
def measure_sizes(
    contenders: Sequence[Contender], pictures: Sequence[np.ndarray], runs: int = 20
) -> list[dict[str, Any]]:
    """Times every detector on every picture: preparation, network and postprocessing apart.

    Reading and drawing the picture are left out, which EXTD's release counts in (its demo;
    arXiv 1906.06579).

    Args:
        contenders: the detectors; the network of each is timed in turn with that of the first.
        pictures: RGB, uint8 [H, W, 3], of different sizes.
        runs: of each step, and pairs of runs of two networks.

    Returns:
        A row per picture and detector: "network", its name; "height" and "width", px; the medians
        "prepare_ms", "network_ms" and "postprocess_ms"; "network_low_ms" and "network_high_ms",
        10th and 90th percentile; "fps", pictures per second of the three medians together;
        "ratio", "ratio_low" and "ratio_high", the network's time over the first one's, median and
        percentiles of the pairs; "detections" of the picture; "parameters"; "madds" at that size.
    """
    rows = []
    for rgb in pictures:
        stages = [Stages(contender, rgb) for contender in contenders]
        rows += [_row(one, stages[0], runs) for one in stages]
    return rows


@torch.inference_mode()
def network_latency(net: nn.Module, size: tuple[int, int] = (640, 640), runs: int = 10) -> Timing:
    """Seconds of the folded network on one picture of noise of `size` (height, width) px."""
    rgb = noise(size)
    return time_calls(Stages(Contender("", net.eval(), lambda _: []), rgb).network, runs)


def noise(size: tuple[int, int]) -> np.ndarray:
    """A picture of noise, RGB uint8 [H, W, 3], the same every time."""
    return np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)


def _image(rgb: np.ndarray) -> Tensor:
    return torch.from_numpy(rgb).permute(2, 0, 1)[None]


def _row(one: Stages, first: Stages, runs: int) -> dict[str, Any]:
    if one is first:  # which is not timed against itself
        network, ratio = time_calls(one.network, runs), Timing(1.0, 1.0, 1.0, runs)
    else:
        network, _, ratio = compare(one.network, first.network, runs)
    prepare, postprocess = time_calls(one.prepare, runs), time_calls(one.postprocess, runs)
    size = (one.rgb.shape[0], one.rgb.shape[1])
    cost = measure_cost(one.contender.net, size)
    return {
        "network": one.contender.name,
        "height": size[0],
        "width": size[1],
        "prepare_ms": 1e3 * prepare.median,
        "network_ms": 1e3 * network.median,
        "network_low_ms": 1e3 * network.low,
        "network_high_ms": 1e3 * network.high,
        "postprocess_ms": 1e3 * postprocess.median,
        "fps": 1 / (prepare.median + network.median + postprocess.median),
        "ratio": ratio.median,
        "ratio_low": ratio.low,
        "ratio_high": ratio.high,
        "detections": len(one.postprocess().scores),
        "parameters": cost.parameters,
        "madds": cost.madds,
    }


def _agree(a: Detections, b: Detections) -> bool:
    """Whether the first 50 detections are the same boxes to a twentieth of a pixel."""
    a_boxes, b_boxes = a.boxes[:50], b.boxes[:50]
    return a_boxes.shape == b_boxes.shape and bool(((a_boxes - b_boxes).abs() < 0.05).all())


class Clocked:
    """A callable that adds up the seconds of its calls."""

    def __init__(self, call: Callable[..., Any]) -> None:
        self.call = call
        self.seconds = 0.0

    def __call__(self, *given: Any) -> Any:  # noqa: ANN401
        """What the callable returns."""
        start = time.perf_counter()
        try:
            return self.call(*given)
        finally:
            self.seconds += time.perf_counter() - start


class Call(NamedTuple):
    """Seconds of one detection."""

    whole: float
    network: float
    post: float  # softmax, score cut, decoding, NMS
    cpu: float  # of all threads; a busy machine changes it less than the others


def measure_calls(pyramids: Sequence[Pyramid], rgb: np.ndarray, runs: int) -> list[dict[str, Any]]:
    """Times whole detections in turn: A B C A B C …, so that a drifting machine hits all.

    The picture is uint8 [H, W, 3]; `runs` rounds count.

    Returns:
        For each the medians "whole_ms", "prepare_ms", "network_ms", "postprocess_ms" and "cpu_ms";
        "low_ms" and "high_ms", 10th and 90th percentile of the whole; "speedup", how many times as
        fast as the first, median over the rounds, with "speedup_low" and "speedup_high"; "faces".
    """
    calls: list[list[Call]] = [[] for _ in pyramids]
    for turn in tqdm(range(-_WARM_UP, runs), unit="round", leave=False, disable=None):
        for own, pyramid in zip(calls, pyramids, strict=True):
            call = _call(pyramid, rgb)
            if turn >= 0:
                own.append(call)
    rows = []
    for own, pyramid in zip(calls, pyramids, strict=True):
        whole = summarise([call.whole for call in own])
        ratios = summarise([a.whole / b.whole for a, b in zip(calls[0], own, strict=True)])
        rows.append(
            {
                "whole_ms": 1e3 * whole.median,
                "low_ms": 1e3 * whole.low,
                "high_ms": 1e3 * whole.high,
                "prepare_ms": 1e3 * median(one.whole - one.network - one.post for one in own),
                "network_ms": 1e3 * median(one.network for one in own),
                "postprocess_ms": 1e3 * median(one.post for one in own),
                "cpu_ms": 1e3 * median(one.cpu for one in own),
                "speedup": ratios.median,
                "speedup_low": ratios.low,
                "speedup_high": ratios.high,
                "faces": len(pyramid(rgb).scores),
            }
        )
    return rows


def _call(pyramid: Pyramid, rgb: np.ndarray) -> Call:
    clocked, net, post = copy.copy(pyramid), Clocked(pyramid.net), Clocked(pyramid.postprocess)
    clocked.net, clocked.postprocess = net, post
    start, cpu = time.perf_counter(), time.process_time()
    clocked(rgb)
    return Call(time.perf_counter() - start, net.seconds, post.seconds, time.process_time() - cpu)
