"""S3FD's backbone: its layers, its six maps by plain operations, and how they start."""

import math

import pytest
import torch
import torch.nn.functional as F

from facedet.errors import UsageError
from facedet.models.backbones.vgg import Vgg16
from facedet.models.backbones.vgg_extended import Vgg16Extended
from reference.networks import noise

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


def test_layers(net):
    shapes = {key: tuple(value.shape) for key, value in net.state_dict().items()}
    expected = {f"{name}.weight": (out, into, k, k) for name, (out, into, k) in FURTHER.items()}
    expected |= {f"{name}.bias": (width[0],) for name, width in FURTHER.items()}
    expected |= {f"norms.{place}.weight": (width,) for place, width in enumerate((256, 512, 512))}
    of_vgg = {key: tuple(value.shape) for key, value in Vgg16().state_dict().items()}
    assert shapes == of_vgg | expected
    # VGG16; fc6 and fc7; conv6 and conv7; 256 + 512 + 512 scales.
    count = 14_714_688 + 4_719_616 + 1_049_600 + 262_400 + 1_180_160 + 65_664 + 295_168 + 1_280
    assert sum(value.numel() for value in net.parameters()) == count == 22_288_576


def test_maps_are_those_of_plain_operations():
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
