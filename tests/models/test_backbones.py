"""What holds for every backbone."""

import math

import pytest
import torch

from facedet.models.backbones.iterative import IterativeBackbone
from facedet.models.backbones.iterative_plain import IterativePlainBackbone
from facedet.models.backbones.mobilefacenet import MobileFaceNet
from facedet.models.backbones.vgg import Vgg16
from facedet.models.backbones.vgg_extended import Vgg16Extended

# Backbone, channels, first stride, first blocks that are frozen.
BACKBONES = [
    (lambda: IterativeBackbone(32), 6 * [32], 4, 0),
    (lambda: IterativeBackbone(48, activation="relu"), 6 * [48], 4, 0),
    (lambda: IterativePlainBackbone(8), 6 * [8], 4, 0),
    (MobileFaceNet, [64, *5 * [128]], 4, 0),
    (Vgg16, [512, 512], 8, 2),
    (lambda: Vgg16Extended(3), [256, 512, 512, 1024, 512, 256], 4, 3),
]


@pytest.fixture(scope="module", params=BACKBONES)
def case(request):
    torch.manual_seed(0)
    make, *expected = request.param
    return make(), *expected


@pytest.mark.parametrize("size", [(128, 128), (97, 131), (33, 47), (8, 200), (1, 1)])
def test_sizes_channels_and_strides_are_as_announced(case, size):
    net, channels, finest, _ = case
    assert net.out_channels == channels
    assert net.strides == [finest << level for level in range(len(channels))]
    with torch.no_grad():
        maps = net.eval()(torch.zeros(1, 3, *size))
    assert [tuple(x.shape[1:]) for x in maps] == [
        (width, math.ceil(size[0] / stride), math.ceil(size[1] / stride))
        for width, stride in zip(channels, net.strides, strict=True)
    ]


def test_everything_learns_that_is_not_frozen(case):
    net, *_, frozen = case
    images = torch.randn(2, 3, 128, 128, generator=torch.Generator().manual_seed(4))
    before = images.clone()
    sum(x.square().sum() for x in net.train()(images)).backward()
    assert torch.equal(images, before)
    for name, value in net.named_parameters():
        is_frozen = frozen and name.startswith("conv") and int(name[4]) <= frozen
        assert (value.grad is None) == bool(is_frozen), name
        assert is_frozen or torch.isfinite(value.grad).all(), name
