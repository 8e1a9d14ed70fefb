"""Whole detections timed, with their parts, one detector after the other and round again."""

import time
from collections.abc import Callable, Sequence
from statistics import median
from typing import Any, NamedTuple

import numpy as np
from tqdm import tqdm

from facedet.inference.pyramid import Pyramid
from facedet.profiling.timing import summarise

_WARM_UP = 2  # rounds that do not count


class Clocked:
    """A callable that adds up the seconds of its calls.

    Args:
        call: what is called.
    """

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

    Args:
        pyramids: the detectors.
        rgb: the picture, uint8 [H, W, 3].
        runs: rounds that count.

    Returns:
        For each the medians "whole_ms", "prepare_ms", "network_ms", "postprocess_ms" and "cpu_ms";
        "low_ms" and "high_ms", 10th and 90th percentile of the whole; "speedup", how many times as
        fast as the first, median over the rounds, with "speedup_low" and "speedup_high"; "faces".
    """
    clocked = [_clocked(one) for one in pyramids]
    calls: list[list[Call]] = [[] for _ in pyramids]
    for turn in tqdm(range(-_WARM_UP, runs), unit="round", leave=False, disable=None):
        for own, pyramid in zip(calls, clocked, strict=True):
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


def _clocked(pyramid: Pyramid) -> Pyramid:
    return Pyramid(
        Clocked(pyramid.net),
        Clocked(pyramid.postprocess),
        pyramid.scales,
        pyramid.merge,
        pyramid.pixel_budget,
        pyramid.on_large,
    )


def _call(pyramid: Pyramid, rgb: np.ndarray) -> Call:
    net, post = pyramid.net, pyramid.postprocess
    assert isinstance(net, Clocked)
    assert isinstance(post, Clocked)
    net.seconds = post.seconds = 0.0
    start, cpu = time.perf_counter(), time.process_time()
    pyramid(rgb)
    return Call(time.perf_counter() - start, net.seconds, post.seconds, time.process_time() - cpu)
