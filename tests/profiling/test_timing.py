"""Timing with a clock that the test winds itself."""

import pytest

from facedet.profiling import timing
from facedet.profiling.timing import Timing, compare, summarise, time_calls


class Clock:
    """Stands still but for what the called things take."""

    def __init__(self):
        self.now = 0.0
        self.calls = []

    def taking(self, name, *seconds):
        """Something to call that takes these times in turn, the last one from then on."""
        times = list(seconds)

        def call():
            self.calls.append(name)
            self.now += times.pop(0) if len(times) > 1 else times[0]

        return call


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(timing.time, "perf_counter", lambda: clock.now)
    return clock


def test_summary_of_twenty():
    # Ordered, a tenth of twenty is two: the third from either end.
    values = [float(value) for value in range(20, 0, -1)]
    assert summarise(values) == Timing(median=10.5, low=3.0, high=18.0, runs=20)


def test_summary_of_few_is_their_range():
    assert summarise([5.0]) == Timing(5.0, 5.0, 5.0, 1)
    assert summarise([2.0, 8.0, 4.0, 6.0]) == Timing(median=5.0, low=2.0, high=8.0, runs=4)


def test_the_warmup_is_not_counted(clock):
    result = time_calls(clock.taking("a", 100.0, 50.0, 1.0), runs=4, warmup=2)
    assert result == Timing(median=1.0, low=1.0, high=1.0, runs=4)
    assert len(clock.calls) == 6


def test_two_things_take_turns(clock):
    result = compare(clock.taking("a", 3.0), clock.taking("b", 2.0), pairs=3, warmup=1)
    assert clock.calls == ["a", "b"] * 4
    assert (result.a.median, result.b.median, result.a.runs) == (3.0, 2.0, 3)
    assert result.ratio == Timing(1.5, 1.5, 1.5, runs=3)


def test_the_ratio_is_that_of_pairs(clock):
    # Pairs 1/1, 9/3, 4/2: the median of the ratios is 2, that of the times 4 / 2.
    result = compare(
        clock.taking("a", 1.0, 9.0, 4.0), clock.taking("b", 1.0, 3.0, 2.0), pairs=3, warmup=0
    )
    assert result.ratio == Timing(median=2.0, low=1.0, high=3.0, runs=3)
