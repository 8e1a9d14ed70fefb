"""Whole calls and their parts, with a clock that the detectors wind."""

import pytest
import torch

from facedet.inference.postprocess import NmsMerge
from facedet.inference.pyramid import Pyramid
from facedet.inference.scales import FixedScales
from facedet.profiling import timing
from facedet.profiling.calls import measure_calls
from facedet.profiling.latency import noise
from facedet.structures import Detections


@pytest.fixture
def clock(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(timing.time, "perf_counter", lambda: now[0])
    monkeypatch.setattr(timing.time, "process_time", lambda: 2 * now[0])
    return now


def pyramid(clock, network, post, prepare=0.125):
    def after(seconds, result):
        def call(_):
            clock[0] += seconds
            return result

        return call

    def scales(_):
        clock[0] += prepare
        return FixedScales()((4, 4))

    found = [Detections(torch.zeros(3, 4), torch.zeros(3))]
    return Pyramid(after(network, None), after(post, found), scales, NmsMerge())


def test_parts_and_ratios_by_hand(clock):
    first, second = measure_calls(
        [pyramid(clock, 2.0, 0.5), pyramid(clock, 0.75, 0.5)], noise((4, 4)), runs=3
    )
    parts = ("prepare_ms", "network_ms", "postprocess_ms", "whole_ms", "cpu_ms")
    assert [first[part] for part in parts] == [125, 2000, 500, 2625, 5250]
    assert [second[part] for part in parts] == [125, 750, 500, 1375, 2750]
    assert (first["speedup"], second["speedup"]) == (1.0, 2.625 / 1.375)
    assert second["speedup_low"] == second["speedup_high"] == second["speedup"]
    assert (first["low_ms"], first["high_ms"], first["faces"]) == (2625, 2625, 3)
