"""VGG16's convolutions: layers, maps, and the blocks that do not learn."""

import pytest
import torch
import torch.nn.functional as F

from facedet.errors import UsageError
from facedet.models.backbones.vgg import Vgg16
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
        with pytest.raises(UsageError, match=rf"backbone\.{name}=.*{words}"):
            Vgg16(**{name: value})
