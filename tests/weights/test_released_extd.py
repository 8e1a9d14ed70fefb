"""Released EXTD weights under our names, and the values that they gave their authors."""

import json

import numpy as np
import pytest
import torch

from facedet.box_coder import SsdBoxCoder
from facedet.config import compose, plain
from facedet.inference.postprocess import NmsPostprocess
from facedet.weights.released_extd import (
    import_released_extd,
    is_released_extd,
    released_config,
    rename_key,
)
from facedet.weights.store import model_config
from facedet.weights.trusted import build_untrusted

# Expansions of the shared block.
EXPANSIONS = {32: (2, 2, 4, 4, 2, 2), 48: (2, 2, 4, 4), 64: (2, 2, 4, 4)}


def norm(prefix, channels):
    names = ("weight", "bias", "running_mean", "running_var")
    return {f"{prefix}.{name}": [channels] for name in names} | {
        f"{prefix}.num_batches_tracked": []
    }


def block(base, first, hidden, width, act):
    """Depthwise and projection of a released block, from position `first` on."""
    keys = {
        f"{base}.{first}.weight": [hidden, 1, 3, 3],
        f"{base}.{first}.bias": [hidden],
        **norm(f"{base}.{first + 1}", hidden),
        f"{base}.{first + 2}.weight": [1],
        f"{base}.{first + 3}.weight": [width, hidden, 1, 1],
        **norm(f"{base}.{first + 4}", width),
    }
    return keys | ({f"{base}.{first + 5}.weight": [1]} if act else {})


def released_layout(width):
    """Key to shape of a released file (EXTD §4.4), written from the paper's description."""
    act = width == 32
    keys = {"base.0.0.weight": [64, 3, 3, 3], **norm("base.0.1", 64), "base.0.2.weight": [1]}
    keys |= block("base.1.conv", 0, 64, width, act)
    for index, expansion in enumerate(EXPANSIONS[width]):
        base, hidden = f"base.{index + 2}.conv", expansion * width
        keys |= {f"{base}.0.weight": [hidden, width, 1, 1], **norm(f"{base}.1", hidden)}
        keys |= {f"{base}.2.weight": [1], **block(base, 3, hidden, width, act)}
    for step in range(5):
        keys |= {f"upfeat.{step}.0.weight": [width, 1, 3, 3]}
        keys |= {f"upfeat.{step}.1.weight": [width, width, 1, 1], **norm(f"upfeat.{step}.2", width)}
    for level in range(6):
        for name, channels in (("loc", 4), ("conf", 4 if level == 0 else 2)):
            keys |= {f"{name}.{level}.weight": [channels, width, 3, 3]}
            keys |= {f"{name}.{level}.bias": [channels]}
    return keys


def synthetic(width):
    """A state dict in the released layout whose tensors are all different."""
    generator = torch.Generator().manual_seed(width)
    return {
        key: torch.rand(shape, generator=generator) if shape else torch.tensor(len(key))
        for key, shape in released_layout(width).items()
    }


@pytest.mark.parametrize(("width", "entries"), [(32, 213), (48, 164), (64, 164)])
def test_every_key_of_a_release_has_its_place(build_detector, width, entries):
    state = synthetic(width)
    assert len(state) == entries
    assert is_released_extd(state)
    imported = import_released_extd(state)
    assert len(imported) == entries
    net = build_detector("fpn", width)
    net.load_state_dict(imported, strict=True)
    stored = net.state_dict()
    assert all(torch.equal(stored[rename_key(key)], value) for key, value in state.items())


NAMES = {
    "base.0.0.weight": "backbone.stem.conv.weight",
    "base.0.2.weight": "backbone.stem.act.weight",
    "base.1.conv.0.bias": "backbone.entry.depthwise.conv.bias",
    "base.1.conv.5.weight": "backbone.entry.project.act.weight",
    "base.2.conv.0.weight": "backbone.shared.0.expand.conv.weight",
    "base.5.conv.7.num_batches_tracked": "backbone.shared.3.project.norm.num_batches_tracked",
    "base.7.conv.5.weight": "backbone.shared.5.depthwise.act.weight",
    "upfeat.0.1.weight": "neck.up.0.pointwise.conv.weight",
    "upfeat.4.2.bias": "neck.up.4.pointwise.norm.bias",
    "loc.0.weight": "head.levels.0.box.weight",
    "conf.5.bias": "head.levels.5.score.bias",
}


def test_names():
    assert {key: rename_key(key) for key in NAMES} == NAMES
    for key in ("base.0.3.weight", "base.1.conv.6.weight", "base.2.conv.9.weight", "upfeat.0.3.b"):
        with pytest.raises(ValueError, match="belongs to no released EXTD model"):
            rename_key(key)


@pytest.mark.parametrize("width", [32, 64])
def test_the_config_is_that_of_the_preset(width):
    words = ["preset=extd_fpn", f"backbone.width={width}", "backbone.activation=prelu"]
    composed = model_config(plain(compose("train", words)))
    ours = released_config({"loc.0.weight": torch.zeros(4, width, 3, 3)})
    assert ours["inference"] == composed["inference"]
    assert ours["box_coder"] == composed["box_coder"]
    # Keys that came later have defaults.
    nets = [str(build_untrusted(config["net"], "test")) for config in (ours, composed)]
    assert nets[0] == nets[1]


@pytest.mark.data
def test_the_layout_is_that_of_the_released_files(golden):
    stored = json.loads((golden / "extd_state_dict_keys.json").read_text())
    assert {name: released_layout(int(name[-2:])) for name in stored} == stored


@pytest.fixture(scope="module", params=[32, 64])
def release(request, released_net):
    """Width, predictions of the stored random picture, and the finest level's scores."""
    net, scores = released_net(request.param), []
    net.head.levels[0].score.register_forward_hook(lambda *given: scores.append(given[-1]))
    image = np.random.RandomState(0).randint(0, 256, (640, 640, 3)).astype(np.uint8)
    with torch.no_grad():
        predictions = net(torch.from_numpy(image).permute(2, 0, 1)[None])
    return request.param, predictions, scores[0]


@pytest.mark.data
def test_outputs_of_the_release(release, golden):
    width, predictions, scores = release
    stored = np.load(golden / f"extd{width}_rand640.npz")
    for level in range(6):
        index = stored[f"l{level}_idx"]
        logits = predictions.logits[0, index].numpy()
        np.testing.assert_allclose(logits, stored[f"l{level}_conf"], rtol=0, atol=1e-4)
        deltas = predictions.deltas[0, index].numpy()
        np.testing.assert_allclose(deltas, stored[f"l{level}_loc"], rtol=0, atol=1e-4)
    # Before the max-out: three backgrounds and the face.
    raw = scores.flatten(2)[0].T[stored["l0_idx"]].numpy()
    np.testing.assert_allclose(raw, stored["l0_conf_raw4"], rtol=0, atol=1e-4)


@pytest.mark.data
def test_detections_of_the_release(release, golden):
    width, predictions, _ = release
    expected = np.load(golden / f"extd{width}_rand640.npz")["det_px"][:50]
    (found,) = NmsPostprocess(SsdBoxCoder(), score=0.05, top_k=5000, iou=0.3, keep=750)(predictions)
    # Noise gives hundreds of scores close together; further down their order is chance.
    np.testing.assert_allclose(found.boxes[:50].numpy(), expected[:, :4], rtol=0, atol=0.05)
    np.testing.assert_allclose(found.scores[:50].numpy(), expected[:, 4], rtol=0, atol=1e-5)
    assert len(found.boxes) == 750
