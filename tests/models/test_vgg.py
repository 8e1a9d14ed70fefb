"""VGG16 and what S3FD adds: layers, maps by plain operations, blocks that do not learn."""

import math
import re

import pytest
import torch
import torch.nn.functional as F

from facedet.errors import UsageError
from facedet.models.backbones.vgg import Vgg16
from facedet.models.backbones.vgg_extended import Vgg16Extended
from facedet.models.folding import fold
from reference.networks import noise
from reference.vgg16_weights import CHANNELS, NAMES, maps_by_hand

# Name to [out, in] of the thirteen layers, as VGG16's configuration D has them.
LAYERS = dict(zip(NAMES, zip(CHANNELS[1:], CHANNELS, strict=False), strict=True))


@pytest.fixture(scope="module")
def vgg():
    torch.manual_seed(0)
    return Vgg16()


def test_layers(vgg):
    shapes = {key: tuple(value.shape) for key, value in vgg.state_dict().items()}
    expected = {f"{name}.weight": (*width, 3, 3) for name, width in LAYERS.items()}
    expected |= {f"{name}.bias": (width[0],) for name, width in LAYERS.items()}
    assert shapes == expected
    # Nine weights for each pair of channels, and the biases.
    assert sum(value.numel() for value in vgg.parameters()) == 14_714_688


def test_maps_are_those_of_plain_operations(vgg):
    images = noise(2, 3, 32, 48)
    layers = {name: tuple(vgg.get_submodule(name).parameters()) for name in NAMES}
    with torch.no_grad():
        expected, maps = maps_by_hand(layers, images), vgg(images)
    torch.testing.assert_close(maps, expected)
    assert [tuple(x.shape) for x in maps] == [(2, 512, 4, 6), (2, 512, 2, 3)]


@pytest.mark.parametrize(
    ("maps", "channels", "strides"),
    [((4, 5), [512, 512], [8, 16]), ((3, 4, 5), [256, 512, 512], [4, 8, 16]), ((2,), [128], [2])],
)
def test_maps_of_other_blocks(maps, channels, strides):
    vgg = Vgg16(maps=maps)
    assert (vgg.out_channels, vgg.strides) == (channels, strides)
    with torch.no_grad():
        shapes = [tuple(x.shape) for x in vgg(noise(1, 3, 32, 32))]
    assert shapes == [(1, c, 32 // s, 32 // s) for c, s in zip(channels, strides, strict=True)]
    # What comes after the last map is not made.
    assert {key.split(".")[0] for key in vgg.state_dict()} == {
        name for name in LAYERS if int(name[4]) <= max(maps)
    }


def test_frozen_blocks_do_not_learn_and_keep_nothing(vgg):
    frozen = {name for name, value in vgg.named_parameters() if not value.requires_grad}
    assert {name.split(".")[0] for name in frozen} == {"conv1_1", "conv1_2", "conv2_1", "conv2_2"}
    seen = []
    handle = vgg.conv3_1.register_forward_pre_hook(lambda _, x: seen.append(x[0]))
    # Being put into training mode changes nothing.
    sum(x.sum() for x in vgg.train()(noise(1, 3, 32, 32))).backward()
    handle.remove()
    # No graph, so no stored activations, in front of conv3_1.
    assert seen[0].grad_fn is None
    assert not seen[0].requires_grad
    for name, value in vgg.named_parameters():
        assert (value.grad is None) == (name in frozen), name
    vgg.zero_grad()


def test_a_narrow_one():
    vgg = Vgg16(maps=(1, 5), width_multiplier=0.125)
    assert vgg.out_channels == [8, 64]
    shapes = {key: tuple(value.shape[:2]) for key, value in vgg.state_dict().items()}
    assert shapes["conv2_1.weight"] == (16, 8)
    assert shapes["conv1_1.weight"] == (8, 3)
    with torch.no_grad():
        assert [tuple(x.shape) for x in vgg(noise(1, 3, 32, 32))] == [(1, 8, 32, 32), (1, 64, 2, 2)]
    # 64 and 128 of VGG16 would be .64 and 1.28: one channel is left at the least.
    assert Vgg16(maps=(1, 2), width_multiplier=0.001).out_channels == [1, 1]


def test_a_normalised_one():
    vgg = Vgg16(frozen_blocks=0, width_multiplier=0.125, batch_norm=True)
    images = noise(2, 3, 32, 32)
    vgg(images)
    x, layer = images, vgg.conv1_1
    assert layer.conv.bias is None
    with torch.no_grad():
        x = F.conv2d(x, layer.conv.weight, padding=1)
        x = (x - x.mean((0, 2, 3), keepdim=True)) / (
            x.var((0, 2, 3), False, keepdim=True) + 1e-5
        ) ** 0.5
        torch.testing.assert_close(layer(images), x, rtol=1e-4, atol=1e-4)
        # Folded for use: the same, to rounding.
        vgg.eval()
        for ours, plain in zip(fold(vgg)(images), vgg(images), strict=True):
            torch.testing.assert_close(ours, plain, rtol=1e-3, atol=1e-4)
    with pytest.raises(UsageError, match=r"frozen_blocks=2: expected 0 with backbone\.batch_norm"):
        Vgg16(batch_norm=True)


@pytest.mark.parametrize(
    ("name", "values", "words"),
    [
        ("width_multiplier", [0, -1, float("nan"), float("inf")], "above 0"),
        ("maps", [(), (5, 4), (4, 4), (0,), (6,), ("conv4_3",)], "blocks 1 … 5, in order"),
        ("frozen_blocks", [-1, 6], "blocks 0 … 5"),
    ],
)
def test_wrong_arguments(name, values, words):
    for value in values:
        given = re.escape(str(list(value) if name == "maps" else value))
        with pytest.raises(UsageError, match=rf"backbone\.{name}={given}: .*{words}"):
            Vgg16(**{name: value})


# Name to [out, in, side of the kernel] of the layers behind VGG16's (S3FD §3.1).
FURTHER = {
    "fc6": (1024, 512, 3), "fc7": (1024, 1024, 1),
    "conv6_1": (256, 1024, 1), "conv6_2": (512, 256, 3),
    "conv7_1": (128, 512, 1), "conv7_2": (256, 128, 3),
}  # fmt: skip


@pytest.fixture(scope="module")
def net():
    torch.manual_seed(0)
    return Vgg16Extended().eval()


def test_layers_behind_vgg16(net):
    shapes = {key: tuple(value.shape) for key, value in net.state_dict().items()}
    expected = {f"{name}.weight": (out, into, k, k) for name, (out, into, k) in FURTHER.items()}
    expected |= {f"{name}.bias": (width[0],) for name, width in FURTHER.items()}
    expected |= {f"norms.{place}.weight": (width,) for place, width in enumerate((256, 512, 512))}
    of_vgg = {key: tuple(value.shape) for key, value in Vgg16().state_dict().items()}
    assert shapes == of_vgg | expected
    # VGG16; fc6 and fc7; conv6 and conv7; 256 + 512 + 512 scales.
    count = 14_714_688 + 4_719_616 + 1_049_600 + 262_400 + 1_180_160 + 65_664 + 295_168 + 1_280
    assert sum(value.numel() for value in net.parameters()) == count == 22_288_576


def test_six_maps_are_those_of_plain_operations():
    torch.manual_seed(1)
    net = Vgg16Extended(scales=(3, 2, 1)).eval()
    x = images = noise(2, 3, 128, 192)
    expected = []
    with torch.no_grad():
        for block, names in enumerate(net.blocks, start=1):
            x = x if block == 1 else F.max_pool2d(x, 2)
            for name in names:
                layer = net.get_submodule(name)
                x = F.relu(F.conv2d(x, layer.weight, layer.bias, padding=1))
            if block > 2:
                length = x.square().sum(dim=1, keepdim=True).sqrt()
                expected.append((6 - block) * x / length)  # 3, 2, 1 for blocks 3, 4, 5
        x = F.max_pool2d(x, 2)
        x = F.relu(F.conv2d(x, net.fc6.weight, net.fc6.bias, padding=3, dilation=3))
        x = F.relu(F.conv2d(x, net.fc7.weight, net.fc7.bias))
        expected.append(x)
        for narrow, halve in ((net.conv6_1, net.conv6_2), (net.conv7_1, net.conv7_2)):
            x = F.relu(F.conv2d(x, narrow.weight, narrow.bias))
            x = F.relu(F.conv2d(x, halve.weight, halve.bias, stride=2, padding=1))
            expected.append(x)
        maps = net(images)
    assert len(maps) == 6
    for one, other in zip(maps, expected, strict=True):
        assert other.abs().max() > 0
        torch.testing.assert_close(one, other)


def test_new_weights(net):
    # VGG16's are He's, those behind it Xavier's: |w| up to sqrt(6 / (fan in + fan out)).
    assert net.conv3_2.weight.std().item() == pytest.approx(math.sqrt(2 / 2304), rel=0.01)
    for name, (out, into, side) in FURTHER.items():
        limit = math.sqrt(6 / ((out + into) * side**2))
        largest = net.get_submodule(name).weight.abs().max().item()
        assert largest == pytest.approx(limit, rel=0.001)
        assert not net.get_submodule(name).bias.any()
    assert [norm.weight.unique().tolist() for norm in net.norms] == [[10], [8], [5]]


@pytest.mark.parametrize(
    "scales", [(10, 8), (10, 8, 5, 5), (10, 0, 5), (10, -8, 5), (10, 8, float("nan"))]
)
def test_wrong_scales(scales):
    with pytest.raises(UsageError, match=r"backbone\.scales=.*three numbers above 0"):
        Vgg16Extended(scales=scales)
