"""Initial weights: found, fetched, refused in one line, and put into the backbone."""

import logging
import os
import sys

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from facedet.errors import FacedetError, UsageError
from facedet.models.anchors import ThreeScaleAnchors
from facedet.models.backbones.vgg import Vgg16
from facedet.models.detector import Detector
from facedet.models.heads.plain import PlainHead
from facedet.models.necks.fuse import Fuse
from facedet.weights import fetching, vgg16
from facedet.weights.store import file_sha256
from facedet.weights.vgg16 import (
    import_torchvision_vgg16,
    load_backbone,
    read_backbone_weights,
)
from reference.vgg16_weights import random_layers, torchvision_state

MEAN = (122.7717, 115.9465, 102.9801)


@pytest.fixture(scope="module")
def layers():
    return random_layers()


@pytest.fixture(scope="module")
def published(layers, tmp_path_factory):
    """A file in torchvision's layout that stands for the published one."""
    path = tmp_path_factory.mktemp("published") / "vgg16-397923af.pth"
    torch.save(torchvision_state(layers), path)
    return path


@pytest.fixture(scope="module")
def expected(layers):
    return import_torchvision_vgg16(torchvision_state(layers), MEAN)


@pytest.fixture
def served(published, monkeypatch):
    """The stand-in is what the URL gives, and its digest the one that is expected."""
    monkeypatch.setattr(vgg16, "URL", published.as_uri())
    monkeypatch.setattr(vgg16, "SHA256", file_sha256(published))
    return published


def caffe_arrays(layers):
    """As in a dump for BGR."""
    return {
        f"{name}/{kind}": value.numpy()
        for name, pair in layers.items()
        for kind, value in zip(("weights", "biases"), pair, strict=True)
    }


def assert_same(state, other):
    assert state.keys() == other.keys()
    assert all(torch.equal(value, other[key]) for key, value in state.items())


def refused(kind, cache, name, *parts):
    """The name is refused in one line that holds all parts."""
    with pytest.raises(kind) as caught:
        read_backbone_weights(str(name), MEAN, cache)
    text = str(caught.value)
    assert "\n" not in text
    for part in parts:
        assert str(part) in text


def test_imagenet_is_fetched_once(served, expected, tmp_path, monkeypatch):
    cache = tmp_path / "new" / "cache"
    assert_same(read_backbone_weights("imagenet", MEAN, cache), expected)
    assert [file.name for file in cache.glob("[!.]*")] == ["vgg16-397923af.pth"]
    monkeypatch.setattr(fetching, "_download", None)
    assert_same(read_backbone_weights("imagenet", MEAN, cache), expected)


def test_without_a_network(tmp_path, monkeypatch):
    # Nothing listens at port 9 of this machine.
    url = "http://127.0.0.1:9/vgg16-397923af.pth"
    monkeypatch.setattr(vgg16, "URL", url)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    path = tmp_path / "vgg16-397923af.pth"
    refused(FacedetError, tmp_path, "imagenet", f"{url} cannot be fetched", f"put it at {path}")
    assert not list(tmp_path.glob("[!.]*"))


def test_a_download_that_arrives_damaged(served, tmp_path, monkeypatch):
    monkeypatch.setattr(vgg16, "SHA256", "0" * 64)
    digest = file_sha256(served)
    refused(FacedetError, tmp_path, "imagenet", "what arrived", digest, "0" * 64, "try again")
    assert not list(tmp_path.glob("[!.]*"))


def test_another_file_in_the_cache_is_not_imagenet(published, tmp_path):
    path = tmp_path / "vgg16-397923af.pth"
    path.write_bytes(published.read_bytes())
    refused(FacedetError, tmp_path, "imagenet", path, file_sha256(path), f"backbone_weights={path}")


def test_the_digest_is_torchvision_s():
    # Its first eight digits are in the file's name.
    assert vgg16.SHA256.startswith(vgg16.URL.split("-")[1].split(".")[0])
    assert len(vgg16.SHA256) == 64


def test_a_file_of_another_digest_is_taken_and_said(published, expected, tmp_path, caplog):
    with caplog.at_level(logging.INFO):
        assert_same(read_backbone_weights(str(published), MEAN, tmp_path), expected)
    text = caplog.text
    assert "torchvision's VGG16 (scaled RGB); 2 other arrays left out" in text
    assert f"SHA-256 {file_sha256(published)}, not that of torchvision's file" in text


def test_safetensors(layers, expected, tmp_path):
    path = tmp_path / "vgg16.safetensors"
    save_file(torchvision_state(layers), path)
    assert_same(read_backbone_weights(str(path), MEAN, tmp_path), expected)


def check_caffe(state, layers):
    assert len(state) == 26
    assert torch.equal(state["conv1_1.weight"], layers["conv1_1"][0][:, [2, 1, 0]])
    assert torch.equal(state["conv1_1.bias"], layers["conv1_1"][1])
    assert torch.equal(state["conv4_2.weight"], layers["conv4_2"][0])


def test_npz(layers, tmp_path, caplog):
    path = tmp_path / "VGG.NPZ"
    with path.open("wb") as stream:
        np.savez(stream, **caffe_arrays(layers), fc6=np.zeros(3))
    with caplog.at_level(logging.INFO):
        check_caffe(read_backbone_weights(str(path), MEAN, tmp_path), layers)
    assert "Caffe's VGG16 (BGR); 1 other arrays left out" in caplog.text


def test_h5(layers, tmp_path):
    h5py = pytest.importorskip("h5py")
    path = tmp_path / "vgg.h5"
    with h5py.File(path, "w") as file:
        for name, array in caffe_arrays(layers).items():
            is_weight = array.ndim == 4
            file[f"features/{name}"] = array.transpose(2, 3, 1, 0) if is_weight else array
    check_caffe(read_backbone_weights(str(path), MEAN, tmp_path), layers)


def test_h5_without_h5py(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "h5py", None)
    path = tmp_path / "vgg.h5"
    path.write_bytes(b"\x89HDF")
    refused(UsageError, tmp_path, path, path, "needs h5py: pip install h5py")


@pytest.mark.parametrize("suffix", ["pth", "npz", "h5", "safetensors"])
def test_files_that_are_something_else(suffix, tmp_path):
    path = tmp_path / f"vgg.{suffix}"
    path.write_bytes(b"<!DOCTYPE html>\n<html>")
    refused(FacedetError, tmp_path, path, path)


class Payload:
    """Makes a folder when it is unpickled."""

    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return os.mkdir, (str(self.target),)


def test_files_that_hold_code(tmp_path):
    made = tmp_path / "made"
    path = tmp_path / "vgg.pth"
    torch.save({"features.0.weight": Payload(made)}, path)
    refused(FacedetError, tmp_path, path, path, "nothing in it was run")
    path = tmp_path / "vgg.npz"
    np.savez(path, **{"features.0.weight": np.array([Payload(made)], dtype=object)})
    refused(FacedetError, tmp_path, path, path)
    assert not made.exists()


def test_files_without_names(tmp_path):
    path = tmp_path / "list.pth"
    torch.save([torch.zeros(1)], path)
    refused(FacedetError, tmp_path, path, path, "else than named tensors")


def test_names_that_are_no_file(tmp_path):
    refused(FacedetError, tmp_path, tmp_path / "no.pth", "no.pth: no such file", "imagenet or a")
    refused(FacedetError, tmp_path, tmp_path, "no such file")


def test_another_network_s_weights(tmp_path):
    path = tmp_path / "extd.pth"
    torch.save({"base.0.0.weight": torch.zeros(1)}, path)
    refused(FacedetError, tmp_path, path, path, "no array for conv1_1.weight of VGG16 (26 of 26")


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


def test_a_detector_that_scales_its_pictures_is_refused(expected):
    with pytest.raises(UsageError, match=r"net\.std is \[1\.0, 2\.0, 1\.0\]: expected \[1, 1, 1"):
        load_backbone(detector(std=(1.0, 2.0, 1.0)), expected, "a.pth")
