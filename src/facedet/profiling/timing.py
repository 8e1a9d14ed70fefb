"""Timing that can be trusted: warm-up, medians and spreads, and ratios of interleaved runs."""

import platform
import statistics
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from tqdm import tqdm


class Timing(NamedTuple):
    """Seconds per call of one thing, or ratios of such."""

    median: float
    low: float  # 10th percentile
    high: float  # 90th percentile
    runs: int


class Comparison(NamedTuple):
    """Two things timed in turn: A B A B …, so that a drifting machine hits both."""

    a: Timing
    b: Timing
    ratio: Timing  # of the pairs: seconds of a / seconds of b


def time_calls(call: Callable[[], object], runs: int, warmup: int = 3) -> Timing:
    """Seconds of `runs` calls, after `warmup` that are not counted."""
    for _ in range(warmup):
        call()
    return summarise([_seconds(call) for _ in range(runs)])


def compare(
    a: Callable[[], object], b: Callable[[], object], pairs: int, warmup: int = 2
) -> Comparison:
    """Times `a` and `b` in turn, `pairs` times each, after `warmup` pairs that are not counted."""
    seconds_a, seconds_b = [], []
    for pair in tqdm(range(-warmup, pairs), unit="pair", leave=False, disable=None):
        one, other = _seconds(a), _seconds(b)
        if pair >= 0:
            seconds_a.append(one)
            seconds_b.append(other)
    ratios = [x / y for x, y in zip(seconds_a, seconds_b, strict=True)]
    return Comparison(summarise(seconds_a), summarise(seconds_b), summarise(ratios))


def summarise(values: list[float]) -> Timing:
    """Median and 10th and 90th percentile of measurements.

    >>> summarise([3.0, 1.0, 2.0])
    Timing(median=2.0, low=1.0, high=3.0, runs=3)
    """
    ordered = sorted(values)
    tenth = len(ordered) // 10
    return Timing(statistics.median(ordered), ordered[tenth], ordered[-1 - tenth], len(ordered))


def describe_machine() -> dict[str, Any]:
    """The processor, the number of threads and the versions that timings belong to."""
    capabilities: dict = getattr(torch.cpu, "get_capabilities", dict)()
    return {
        "cpu": capabilities.get("cpu_name") or platform.processor() or platform.machine(),
        "threads": torch.get_num_threads(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "torch": torch.__version__,
        "python": platform.python_version(),
    }


def _seconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start
