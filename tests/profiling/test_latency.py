"""Times of detectors and of their parts, with a clock that the detectors wind."""

import pytest
import torch
from torch import nn

from facedet.inference.postprocess import NmsMerge
from facedet.inference.pyramid import Pyramid
from facedet.inference.scales import FixedScales
from facedet.profiling import timing
from facedet.profiling.latency import (
    Contender,
    Stages,
    measure_calls,
    measure_sizes,
    network_latency,
    noise,
)
from facedet.structures import Detections


class Slow(nn.Module):
    """Takes some seconds, and an eighth of one to normalise."""

    def __init__(self, seconds, clock):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 1, bias=False)
        self.clock = clock
        self.seconds = seconds

    def __deepcopy__(self, _):
        # A copy winds the same clock.
        return Slow(self.seconds, self.clock)

    def normalize(self, images):
        self.clock[0] += 0.125
        return images.float() / 255

    def forward(self, images):
        x = self.normalize(images)
        if x.device.type != "meta":
            assert x.max() <= 1
            self.clock[0] += self.seconds
        return self.conv(x)


@pytest.fixture
def clock(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(timing.time, "perf_counter", lambda: now[0])
    monkeypatch.setattr(timing.time, "process_time", lambda: 2 * now[0])
    return now


def contender(name, seconds, clock):
    def postprocess(_):
        clock[0] += 0.5
        return [Detections(torch.zeros(3, 4), torch.zeros(3))]

    return Contender(name, Slow(seconds, clock), postprocess)


def test_steps_ratios_and_costs_by_hand(clock):
    contenders = [contender("a", 2.0, clock), contender("b", 3.0, clock)]
    rows = measure_sizes(contenders, [noise((4, 4)), noise((8, 6))], runs=2)
    assert [(row["network"], row["height"], row["width"]) for row in rows] == [
        ("a", 4, 4), ("b", 4, 4), ("a", 8, 6), ("b", 8, 6),
    ]  # fmt: skip
    a, b = rows[:2]
    # The network's time is without the normalisation, which is a step of its own.
    assert (a["prepare_ms"], a["network_ms"], a["postprocess_ms"]) == (125, 2000, 500)
    assert a["fps"] == pytest.approx(1 / 2.625)
    assert (b["network_low_ms"], b["network_ms"], b["network_high_ms"]) == (3000, 3000, 3000)
    assert [row["ratio"] for row in rows] == [1.0, 1.5, 1.0, 1.5]
    assert (b["ratio_low"], b["ratio_high"], b["detections"]) == (1.5, 1.5, 3)
    # 12 weights at 16 and at 48 places.
    assert [row["madds"] for row in rows] == [192, 192, 576, 576]
    assert a["parameters"] == 12


def test_latency_is_the_networks_alone(clock):
    assert network_latency(Slow(2.0, clock), (4, 4), runs=3).median == 2.0


def test_noise_is_the_same_every_time():
    assert noise((3, 5)).shape == (3, 5, 3)
    assert (noise((3, 5)) == noise((3, 5))).all()


def test_stages_of_a_detector(build_detector):
    """Prepared and folded, the network says what the detector says of the picture."""
    net = build_detector("ssd", 32).eval()
    stages = Stages(Contender("a", net, lambda given: [given]), noise((64, 96)))
    with torch.inference_mode():
        expected = net(torch.from_numpy(noise((64, 96))).permute(2, 0, 1)[None])
        found = stages.network()
    torch.testing.assert_close(found.logits, expected.logits, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(stages.prepare(), net.normalize(torch.from_numpy(
        noise((64, 96))).permute(2, 0, 1)[None]))  # fmt: skip


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
