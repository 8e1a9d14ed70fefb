"""Caffe's model files, written here field by field, and SmallHardFace's release in one."""

import struct

import numpy as np
import pytest
import torch

from facedet.config import build, compose, plain
from facedet.weights.caffe import read_caffemodel, smallhardface_config
from facedet.weights.store import Weights, build_coder, build_net, model_config, read_weights
from facedet.weights.trusted import build_untrusted


def varint(value):
    low, rest = value & 127, value >> 7
    return bytes([low | 128]) + varint(rest) if rest else bytes([low])


def field(number, data):
    """A field of the wire format: bytes with their length, or a number."""
    if isinstance(data, int):
        return varint(number << 3) + varint(data)
    return varint(number << 3 | 2) + varint(len(data)) + data


def blob(array):
    """BlobProto of today: packed data (5), and a shape (7) of packed sizes (1)."""
    sizes = b"".join(map(varint, array.shape))
    return field(5, array.astype("<f4").tobytes()) + field(7, field(1, sizes))


def layer(name, *blobs):
    """An entry of `layer` (100): name (1), type (2), blobs (7)."""
    parts = [field(1, name.encode()), field(2, b"Convolution"), *(field(7, one) for one in blobs)]
    return field(100, b"".join(parts))


def test_today_s_layout():
    weight = np.arange(600, dtype=np.float32).reshape(2, 300, 1, 1)
    data = field(1, b"a net") + layer("conv", blob(weight), blob(weight[:, 0, 0, 0]))
    arrays = read_caffemodel(data + layer("relu"))
    assert arrays.keys() == {"conv/0", "conv/1"}
    np.testing.assert_array_equal(arrays["conv/0"], weight)
    assert arrays["conv/1"].tolist() == [0, 300]


def test_the_layout_before_2014():
    # Entries of `layers` (2): name (4), blobs (6); sizes are fields 1 to 4, the numbers not packed.
    numbers = b"".join(varint(5 << 3 | 5) + struct.pack("<f", value) for value in (1.5, -2))
    old = field(1, 1) + field(2, 1) + field(3, 1) + field(4, 2) + numbers
    arrays = read_caffemodel(field(2, field(4, b"conv1_1") + field(6, old)))
    assert arrays["conv1_1/0"].tolist() == [[[[1.5, -2]]]]


def test_no_whole_file():
    data = layer("conv", blob(np.ones((2, 3))))
    for broken in (data[:-1], data[:1], b"<!DOCTYPE html>", layer("conv", blob(np.ones(3))[4:])):
        with pytest.raises(ValueError):  # noqa: PT011, four messages
            read_caffemodel(broken)


@pytest.fixture(scope="module")
def net():
    torch.manual_seed(0)
    return build(compose("network", ["preset=smallhardface"]).model.net).eval()


@pytest.fixture(scope="module")
def released(net):
    """The authors' layers with the weights of `net`, which reads RGB: their first one reads BGR."""
    parts = {name: part for name, part in net.named_modules() if hasattr(part, "weight")}
    level = "head.levels.0"
    heads = {f"{level}.shared": ["head_1", "head_2", "head_4"]}
    for index, name in enumerate("124"):
        heads[f"{level}.score.{index}"] = [f"cls_score_{name}"]
        heads[f"{level}.box.{index}"] = [f"bbox_pred_{name}"]
    layers = b""
    for name, part in parts.items():
        weight, bias = part.weight.detach().numpy(), part.bias.detach().numpy()
        if name == "backbone.conv1_1":
            weight = weight[:, ::-1]
        for theirs in heads.get(name, [name.rpartition(".")[2]]):
            layers += layer(theirs, blob(weight), blob(bias.reshape(1, 1, 1, -1)))
    return layers + layer("conv5_256_up", blob(np.ones((256, 1, 4, 4))))


def test_the_release_becomes_a_file_of_ours(net, released, cli, tmp_path):
    source, target = tmp_path / "shf.caffemodel", tmp_path / "shf.safetensors"
    source.write_bytes(released)
    result = cli("weights", "convert", source, target)
    assert (result.code, result.err) == (0, "")
    assert f"{target}: 18,077,010 parameters" in result.out
    weights = read_weights(target)
    assert weights.info["source"] == "SmallHardFace's Caffe model"
    image = torch.randint(0, 256, (1, 3, 40, 50), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        ours, expected = build_net(weights, target)(image), net(image)
    for one, other in zip(ours[:3], expected[:3], strict=True):
        assert torch.equal(one, other)


def test_the_config_is_the_preset_s():
    preset = model_config(plain(compose("train", ["preset=smallhardface"])))
    configs = smallhardface_config(), preset
    coders = [build_coder(Weights({}, config, {}), "a") for config in configs]
    assert coders[0] == coders[1]
    plans = [build_untrusted(config["inference"], "a") for config in configs]
    assert plans[0]((480, 640)) == plans[1]((480, 640))
    nets = [build_untrusted(config["net"], "a") for config in configs]
    assert str(nets[0]) == str(nets[1])
    assert torch.equal(nets[0].mean, nets[1].mean)
    assert nets[0].multiple == nets[1].multiple


def test_what_is_no_release(released, cli, tmp_path):
    source, target = tmp_path / "a.caffemodel", tmp_path / "a.safetensors"
    source.write_bytes(layer("conv1_1", blob(np.ones((64, 3, 3, 3))), blob(np.ones(64))))
    words = "has no weight of conv1_2: no SmallHardFace"
    cli("weights", "convert", source, target).check_error(1, source, words)
    source.write_bytes(released[:5000])
    cli("weights", "convert", source, target).check_error(1, source, "not a readable Caffe model")
    assert not target.exists()
