"""MobileFaceNet as a backbone: the table of its paper, the layers behind, sizes and weights."""

import pytest
import torch

from facedet.models.backbones.mobilefacenet import MobileFaceNet
from reference.networks import parameters


@pytest.fixture(scope="module")
def net():
    torch.manual_seed(0)
    return MobileFaceNet().eval()


def bottleneck(channels, expansion, out):
    """Two 1x1 and a depthwise 3x3 convolution, two numbers per normalised channel, two slopes."""
    hidden = expansion * channels
    return hidden * (channels + 2) + hidden * (9 + 2) + out * (hidden + 2) + 2


def test_parameters_add_up(net):
    # 3 * 64 * 9 and 64 * 9 weights, two numbers per normalised channel, a slope each.
    assert parameters(net.stem) == 1_728 + 128 + 1 + 576 + 128 + 1
    # MobileFaceNet, table 1: (expansion, channels) 2, 64 five times; 4, 128 once; 2, 128 six
    # times; 4, 128 once; 2, 128 twice.
    assert [parameters(part) for part in net.body] == [
        5 * bottleneck(64, 2, 64),
        bottleneck(64, 4, 128) + 6 * bottleneck(128, 2, 128),
        bottleneck(128, 4, 128) + 2 * bottleneck(128, 2, 128),
    ]
    pair = (128 * 64 + 128 + 1) + (64 * 128 * 9 + 256 + 1)
    assert [parameters(part) for part in net.further] == 3 * [pair]
    assert parameters(net) == 1_084_070


def test_the_first_block_of_a_row_has_the_stride_and_no_residual(net):
    found = [
        [(block.depthwise.conv.stride[0], block.has_residual) for block in part]
        for part in net.body
    ]
    first, other = (2, False), (1, True)
    # The 128 channels of the third part are as many before it; its stride forbids the addition.
    assert found == [[first, *4 * [other]], [first, *6 * [other]], [first, *2 * [other]]]


def test_each_map_is_made_of_the_one_before(net):
    images = torch.randn(1, 3, 96, 64, generator=torch.Generator().manual_seed(4))
    with torch.no_grad():
        maps = net(images)
        x = net.stem(images)
        for part, expected in zip((*net.body, *net.further), maps, strict=True):
            x = part(x)
            assert torch.equal(x, expected)
