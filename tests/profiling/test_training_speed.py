"""The loops that `facedet benchmark training` compares."""

import numpy as np
import pytest
import torch
from PIL import Image
from skimage import data as pictures
from torch import nn

from facedet.config import build, compose
from facedet.errors import FacedetError
from facedet.models.depthwise import DepthwiseConv2d
from facedet.models.scalar_prelu import ScalarPReLU
from facedet.profiling import training_speed
from facedet.profiling.training_batches import batches, noise_batch
from facedet.profiling.training_speed import (
    LADDER,
    OURS,
    PLAIN,
    Loop,
    make_step,
    measure_training,
)
from facedet.structures import Record


@pytest.fixture(scope="module")
def config():
    return compose("train", ["preset=extd_ssd_32_prelu"])


@pytest.fixture
def record(tmp_path):
    path = tmp_path / "a.png"
    Image.fromarray(pictures.astronaut()).save(path)
    boxes = np.array([[170, 60, 275, 200], [10, 20, 60, 80]], dtype=np.float32)
    return Record("a", path, boxes, np.array([False, True]), {})


def test_each_loop_has_one_thing_more():
    loops = list(LADDER.values())
    assert [sum(loop) for loop in loops] == list(range(len(Loop._fields) + 1))
    assert (loops[0], loops[-1]) == (PLAIN, OURS)
    for before, after in zip(loops, loops[1:], strict=False):
        assert all(one <= other for one, other in zip(before, after, strict=True))


def test_both_ways_make_the_same_crops(record):
    draws = [(0, seed) for seed in range(8)]
    ours, plain = (list(batches([record], draws, 96, 4, is_first)) for is_first in (True, False))
    assert len(ours) == len(plain) == 2
    for (images, targets), (others, expected) in zip(ours, plain, strict=True):
        assert images.shape == others.shape == (4, 3, 96, 96)
        # Both round on the way; where they do the same, one grey level is the most.
        assert (images.float() - others.float()).abs().mean() < 1
        for one, other in zip(targets, expected, strict=True):
            torch.testing.assert_close(one.boxes, other.boxes, rtol=0, atol=1e-2)
            assert torch.equal(one.ignore, other.ignore)


@pytest.mark.parametrize("loop", LADDER.values(), ids=LADDER)
def test_every_loop_learns(config, loop):
    torch.manual_seed(0)
    net = build(config.model.net)
    before = {name: one.clone() for name, one in net.state_dict().items()}
    handed_in = [type(module) for module in net.modules()]
    made = []

    def crops():
        made.append(1)
        return noise_batch(64, 2)

    make_step(net, build(config.criterion), crops, loop)()
    assert made == [1]
    assert [type(module) for module in net.modules()] == handed_in
    if loop.own_gradients:
        assert any(not torch.equal(one, before[name]) for name, one in net.state_dict().items())


def test_the_plain_one_has_the_library_s_layers_and_the_same_weights(config):
    net = build(config.model.net)
    images, _ = noise_batch(64, 1)
    with torch.no_grad():
        expected = net.eval()(images).logits
        training_speed.use_library_layers(net)
        torch.testing.assert_close(net(images).logits, expected)
    kinds = {type(module) for module in net.modules()}
    assert not kinds & {ScalarPReLU, DepthwiseConv2d}
    assert nn.PReLU in kinds


def test_the_table(config, record, monkeypatch):
    ladder = {"plain": PLAIN, "half": Loop(True, True), "ours": OURS}
    monkeypatch.setattr(training_speed, "LADDER", ladder)
    net, criterion = build(config.model.net), build(config.criterion)
    found = measure_training(net, criterion, [record], 64, 2, 3)
    plain, half, ours = found["loops"]
    assert [row["loop"] for row in found["loops"]] == list(ladder)
    assert plain["to_plain"] == plain["to_before"] == 1.0
    assert half["to_plain"] == half["to_before"] > 0
    assert ours["to_plain"] == found["speedup"]
    assert ours["to_before"] == pytest.approx(ours["to_plain"] / half["to_plain"])
    assert ours["to_plain_low"] <= ours["to_plain"] <= ours["to_plain_high"]
    monkeypatch.setattr(training_speed, "LADDER", {"plain": PLAIN, "ours": OURS})
    record.path.write_bytes(b"no picture")
    with pytest.raises(FacedetError, match=r"a\.png"):
        measure_training(net, criterion, [record], 64, 2, 1)
