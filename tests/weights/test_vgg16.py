"""VGG16's initial weights of other programs: their features stay, found, fetched, refused."""

import logging

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from facedet.data.crowds.sources import load_sources
from facedet.errors import FacedetError, UsageError
from facedet.files import file_sha256
from facedet.models.anchors import ThreeScaleAnchors
from facedet.models.backbones.vgg import Vgg16
from facedet.models.detector import Detector
from facedet.models.heads.plain import PlainHead
from facedet.models.necks.fuse import Fuse
from facedet.weights import fetching, vgg16
from facedet.weights.vgg16 import (
    import_caffe_vgg16,
    import_torchvision_vgg16,
    load_backbone,
    read_backbone_weights,
)
from reference.refused_weights import Payload, complaint
from reference.vgg16_weights import NAMES, maps_by_hand, random_layers, torchvision_state

# SmallHardFace's mean and torchvision's mean and deviation, RGB.
MEAN = torch.tensor([122.7717, 115.9465, 102.9801])
THEIR_MEAN, THEIR_STD = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])


@pytest.fixture(scope="module")
def layers():
    return random_layers()


@pytest.fixture(scope="module")
def picture():
    """A photograph, [1, 3, 128, 160] in 0 … 255."""
    rgb = load_sources("val").photographs[3][100:228, 100:260]
    return torch.from_numpy(rgb.copy()).permute(2, 0, 1)[None].float()


def per_channel(values):
    return values.reshape(1, 3, 1, 1)


def our_maps(state, picture, mean=MEAN):
    """Maps of our backbone with imported weights, and of the picture minus `mean`."""
    backbone = Vgg16()
    backbone.load_state_dict(state)
    with torch.no_grad():
        return backbone(picture - per_channel(mean))


def assert_maps_close(ours, expected):
    for one, other in zip(ours, expected, strict=True):
        assert one.std() > 0.1
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4 * other.abs().max().item())


def test_torchvision_features_stay_the_same(layers, picture):
    scaled = (picture / 255 - per_channel(THEIR_MEAN)) / per_channel(THEIR_STD)
    ours = our_maps(import_torchvision_vgg16(torchvision_state(layers), MEAN.tolist()), picture)
    # Surrounded by our mean, as we pad, theirs are the same everywhere …
    around = (MEAN / 255 - THEIR_MEAN) / THEIR_STD
    assert_maps_close(ours, maps_by_hand(layers, scaled, around))
    # … and as they pad, inside: conv4_3 sees 92 px, cell i those from 8 i - 42 to 8 i + 49.
    conv4, conv5 = maps_by_hand(layers, scaled)
    inside = (..., slice(6, 10), slice(6, 14))
    assert_maps_close([ours[0][inside]], [conv4[inside]])
    # Near the border they differ, but hardly.
    difference = (ours[1] - conv5).abs().max() / conv5.abs().max()
    assert 1e-5 < difference < 0.02


def test_torchvision_by_hand(layers):
    state = torchvision_state(layers)
    weight = torch.zeros(64, 3, 3, 3)
    weight[0, 0, 1, 1], weight[0, 2, 0, 0] = 1.0, 1.0
    state |= {"features.0.weight": weight, "features.0.bias": torch.full((64,), 5.0)}
    imported = import_torchvision_vgg16(state, (100.0, 100.0, 100.0))
    first = imported["conv1_1.weight"]
    # 1 / (255 * 0.229) and 1 / (255 * 0.225)
    assert first[0, 0, 1, 1].item() == pytest.approx(0.0171247, rel=1e-5)
    assert first[0, 2, 0, 0].item() == pytest.approx(0.0174292, rel=1e-5)
    assert int((first != 0).sum()) == 2
    # 5 + (100 - 123.675) * 0.0171247 + (100 - 103.53) * 0.0174292
    assert imported["conv1_1.bias"][0].item() == pytest.approx(4.533047, rel=1e-5)
    assert imported["conv1_1.bias"][1].item() == 5.0
    assert list(imported) == [f"{name}.{kind}" for name in NAMES for kind in ("weight", "bias")]
    assert torch.equal(imported["conv5_3.weight"], layers["conv5_3"][0])


def test_caffe_features_stay_the_same(layers, picture):
    # Made for BGR: the first layer's channels are the other way round.
    arrays = caffe_arrays(layers)
    arrays |= {key: array.reshape(1, 1, 1, -1) for key, array in arrays.items() if array.ndim == 1}
    state = import_caffe_vgg16(arrays | {"fc6.weight": np.zeros((2, 2))})
    assert all(value.is_contiguous() for value in state.values())
    bgr = (picture - per_channel(MEAN)).flip(1) / 100
    assert_maps_close(our_maps(state, picture / 100, MEAN / 100), maps_by_hand(layers, bgr))
    # Caffe's own files number the blobs of a layer.
    numbered = {key.replace(".weight", "/0").replace(".bias", "/1"): a for key, a in arrays.items()}
    assert_same(import_caffe_vgg16(numbered), state)


def caffe_arrays(layers):
    return {
        f"{name}.{kind}": value.numpy()
        for name, pair in layers.items()
        for kind, value in zip(("weight", "bias"), pair, strict=True)
    }


def test_refused_arrays(layers):
    good = caffe_arrays(layers)
    missing = {key: value for key, value in good.items() if not key.startswith("conv5_2")}
    with pytest.raises(FacedetError, match=r"no array for conv5_2\.weight .*2 of 26"):
        import_caffe_vgg16(missing)
    for key, value, message in (
        ("conv3_1.weight", np.zeros((256, 64, 3, 3), "f4"), "[256, 64, 3, 3], expected [256, 128,"),
        ("conv3_1.bias", np.zeros(128, "f4"), "[128], expected [256]"),
        ("conv3_1.bias", np.full(256, np.nan, "f4"), "values that are not finite"),
    ):
        complaint(import_caffe_vgg16, good | {key: value}, words=(f"'{key}'", message))


def test_refused_torchvision_states(layers):
    state = torchvision_state(layers)
    # With batch normalisation the second layer is none of ours.
    normalised = state | {"features.2.weight": torch.zeros(128)}
    with pytest.raises(FacedetError, match=r"'features\.2\.weight' has shape \[128\]"):
        import_torchvision_vgg16(normalised, MEAN.tolist())
    del state["features.28.bias"]
    with pytest.raises(FacedetError, match=r"'features\.28\.bias' is missing"):
        import_torchvision_vgg16(state, MEAN.tolist())


@pytest.fixture(scope="module")
def published(layers, tmp_path_factory):
    """A file in torchvision's layout that stands for the published one."""
    path = tmp_path_factory.mktemp("published") / "vgg16-397923af.pth"
    torch.save(torchvision_state(layers), path)
    return path


@pytest.fixture(scope="module")
def expected(layers):
    return import_torchvision_vgg16(torchvision_state(layers), MEAN.tolist())


@pytest.fixture
def served(published, monkeypatch):
    """The stand-in is what the URL gives, and its digest the one that is expected."""
    monkeypatch.setattr(vgg16, "URL", published.as_uri())
    monkeypatch.setattr(vgg16, "SHA256", file_sha256(published))
    return published


def assert_same(state, other):
    assert state.keys() == other.keys()
    assert all(torch.equal(value, other[key]) for key, value in state.items())


def refused(cache, name, *parts):
    """The name is refused in one line that holds all parts."""
    complaint(read_backbone_weights, str(name), MEAN.tolist(), cache, words=parts)


def test_imagenet_is_fetched_once(served, expected, tmp_path, monkeypatch):
    cache = tmp_path / "new" / "cache"
    assert_same(read_backbone_weights("imagenet", MEAN.tolist(), cache), expected)
    assert [file.name for file in cache.glob("[!.]*")] == ["vgg16-397923af.pth"]
    monkeypatch.setattr(fetching, "_download", None)
    assert_same(read_backbone_weights("imagenet", MEAN.tolist(), cache), expected)


def test_files_of_the_user(layers, published, expected, tmp_path, caplog):
    with caplog.at_level(logging.INFO):
        assert_same(read_backbone_weights(str(published), MEAN.tolist(), tmp_path), expected)
    said = f"torchvision's (scaled RGB); 2 other arrays left out; SHA-256 {file_sha256(published)}"
    assert said in caplog.text
    path = tmp_path / "vgg16.safetensors"
    save_file(torchvision_state(layers), path)
    assert_same(read_backbone_weights(str(path), MEAN.tolist(), tmp_path), expected)


def test_npz(layers, tmp_path, caplog):
    path = tmp_path / "VGG.NPZ"
    with path.open("wb") as stream:
        np.savez(stream, **caffe_arrays(layers), fc6=np.zeros(3))
    with caplog.at_level(logging.INFO):
        state = read_backbone_weights(str(path), MEAN.tolist(), tmp_path)
    assert_same(state, import_caffe_vgg16(caffe_arrays(layers)))
    assert torch.equal(state["conv1_1.weight"], layers["conv1_1"][0][:, [2, 1, 0]])
    assert "Caffe's (BGR); 1 other arrays left out" in caplog.text


def test_files_that_hold_code(tmp_path):
    made = tmp_path / "made"
    path = tmp_path / "vgg.pth"
    torch.save({"features.0.weight": Payload(made)}, path)
    refused(tmp_path, path, path, "nothing in it was run")
    path = tmp_path / "vgg.npz"
    np.savez(path, **{"features.0.weight": np.array([Payload(made)], dtype=object)})
    refused(tmp_path, path, path)
    assert not made.exists()


def test_files_of_others(tmp_path):
    for suffix in ("pth", "npz", "safetensors"):
        path = tmp_path / f"page.{suffix}"
        path.write_bytes(b"<!DOCTYPE html>\n<html>")
        refused(tmp_path, path, path)
    torch.save([torch.zeros(1)], tmp_path / "list.pth")
    torch.save({"base.0.0.weight": torch.zeros(1)}, tmp_path / "extd.pth")
    for path, words in (
        (tmp_path / "list.pth", "else than named tensors"),
        (tmp_path / "extd.pth", "no array for conv1_1.weight of VGG16 (26 of 26"),
        (tmp_path / "no.pth", "no.pth: no such file; expected imagenet or a file"),
        (tmp_path, "no such file"),
    ):
        refused(tmp_path, path, path, words)


def detector(backbone=None, **arguments):
    backbone = Vgg16() if backbone is None else backbone
    return Detector(backbone, Fuse, ThreeScaleAnchors, PlainHead, multiple=16, **arguments)


def test_the_backbone_gets_them_and_nothing_else_does(expected):
    net = detector()
    before = {key: value.clone() for key, value in net.state_dict().items()}
    load_backbone(net, expected, "imagenet")
    for key, value in net.state_dict().items():
        name = key.removeprefix("backbone.")
        assert torch.equal(value, expected[name] if name in expected else before[key]), key
    # Frozen blocks stay frozen.
    assert not net.backbone.conv2_2.weight.requires_grad
    assert net.backbone.conv3_1.weight.requires_grad


def test_a_backbone_that_begins_as_vgg16(expected):
    class Longer(Vgg16):
        def __init__(self):
            super().__init__()
            self.fc6 = nn.Conv2d(512, 4, 3)

    net = detector(Longer())
    own = net.backbone.fc6.weight.clone()
    load_backbone(net, expected, "imagenet")
    assert torch.equal(net.backbone.conv5_3.bias, expected["conv5_3.bias"])
    assert torch.equal(net.backbone.fc6.weight, own)


def test_another_backbone_is_refused(build_detector, expected):
    net = build_detector()
    with pytest.raises(UsageError, match=r"=imagenet: .*IterativeBackbone: add backbone=vgg16"):
        load_backbone(net, expected, "imagenet")


@pytest.mark.parametrize("changes", [{"width_multiplier": 0.5}, {"batch_norm": True}])
def test_a_changed_backbone_is_refused(expected, changes):
    net = detector(Vgg16(frozen_blocks=0, **changes))
    with pytest.raises(UsageError, match=r"=imagenet: are VGG16's own.*width_multiplier=1 and"):
        load_backbone(net, expected, "imagenet")


def test_a_detector_that_scales_its_pictures_sees_the_same(expected, picture):
    nets = [detector(std=std) for std in ((1.0, 1.0, 1.0), (127.5, 100.0, 50.0))]
    first = []
    for net in nets:
        load_backbone(net, expected, "a.pth")
        with torch.no_grad():
            first.append(net.backbone.conv1_1(net.normalize(picture)))
    torch.testing.assert_close(*first, rtol=1e-4, atol=1e-4)
