"""The measurements run, and what they compare is comparable; how fast it is, is said by hand."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from skimage import data as pictures
from torch import nn

from benchmarks import memory, mining, pipeline, training, video, yunet
from benchmarks.training import OURS, PLAIN, batches, noise_batch
from facedet.config import build, compose
from facedet.export.writing import export
from facedet.models.depthwise import DepthwiseConv2d
from facedet.models.scalar_prelu import ScalarPReLU
from facedet.structures import Record

SMALL = ("--preset", "extd_ssd_32_relu", "--size", "64", "--batch", "2", "--runs", "1")


def test_both_ways_make_the_same_crops(tmp_path):
    path = tmp_path / "a.png"
    Image.fromarray(pictures.astronaut()).save(path)
    boxes = np.array([[170, 60, 275, 200], [10, 20, 60, 80]], dtype=np.float32)
    record = Record("a", path, boxes, np.array([False, True]), {})
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


def test_the_plain_loop_has_the_library_s_layers_and_the_same_weights():
    net = build(compose("network", ["preset=extd_ssd_32_prelu"]).model.net)
    images, _ = noise_batch(64, 1)
    with torch.no_grad():
        expected = net.eval()(images).logits
        training.use_library_layers(net)
        torch.testing.assert_close(net(images).logits, expected)
    kinds = {type(module) for module in net.modules()}
    assert not kinds & {ScalarPReLU, DepthwiseConv2d}
    assert nn.PReLU in kinds


@pytest.mark.slow
def test_the_scripts_run(wider, weights, capsys, monkeypatch):
    monkeypatch.setattr(training, "LADDER", {"plain": PLAIN, "ours": OURS})
    monkeypatch.setattr(torch, "set_num_threads", lambda count: None)  # this process keeps its own

    def run(script, *words):
        script.main([str(word) for word in words])
        return json.loads(capsys.readouterr().out)

    found = run(pipeline, "--data", wider, "--size", 96, "--images", 6)
    assert found["speedup_low"] <= found["speedup"] <= found["speedup_high"]
    found = run(mining, *SMALL)
    share = found["added_per_step_seconds"] / found["step_seconds"]
    assert found["share"] == pytest.approx(share)
    found = run(training, *SMALL, "--data", wider)
    assert [row["loop"] for row in found["loops"]] == ["plain", "ours"]
    found = run(memory, "--weights", weights, "--megapixels", 0.01)
    assert 0 < found["loaded_gib"] <= found["peak_gib"]
    found = run(video, "--weights", weights, "--frames", 10, "--size", 64, 48)
    assert (found["failures"], list(found["mb_at"])) == ([], ["1", "10"])


@pytest.mark.slow
@pytest.mark.data
def test_the_peer_finds_the_faces(shared, tmp_path, capsys):
    peer = shared / "reference" / "rivals" / "yunet_n_dynamic.onnx"
    given = ["--data", str(shared / "data" / "wider"), "--limit", "6", "--runs", "1"]
    picture = tmp_path / "trade_off.png"
    exported = tmp_path / "own.xml"
    export("extd-plain-32", exported, "openvino")
    given += ["--weights", "extd-plain-32", str(exported), "--picture", str(picture)]
    yunet.main([str(peer), *given])
    report = json.loads(capsys.readouterr().out)
    first, own, other = report["rows"]
    assert (other["detector"], other["parameters"]) == (str(exported), None)
    assert other["wider/medium"] == pytest.approx(own["wider/medium"], abs=1e-3)
    assert (first["parameters"], own["parameters"]) == (73_848, 50_534)
    assert Image.open(picture).size == (1200, 552)
    assert (report["pictures"], own["detector"]) == (6, "extd-plain-32")
    # Boxes a stride off leave nothing of it.
    assert first["wider/medium"] > 0.6
