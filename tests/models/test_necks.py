"""The two layouts between backbone and heads."""

import pytest
import torch
from torch import nn

from facedet.errors import UsageError
from facedet.models.necks.passthrough import Passthrough
from facedet.models.necks.top_down import TopDown
from reference.networks import parameters


def neutral(channels=1, levels=2):
    """A top-down neck whose filters let everything through: what is left is ReLU."""
    neck = TopDown([channels] * levels, [4 * 2**k for k in range(levels)]).eval()
    for up in neck.up:
        nn.init.dirac_(up.depthwise.weight, groups=channels)
        nn.init.dirac_(up.pointwise.conv.weight)
        up.pointwise.norm.eps = 0.0
    return neck


def test_passthrough_hands_on_the_very_maps():
    neck = Passthrough([8, 16], [4, 8])
    maps = [torch.zeros(1, 8, 2, 2), torch.zeros(1, 16, 1, 1)]
    assert neck(maps) is maps
    assert (neck.out_channels, neck.strides, parameters(neck)) == ([8, 16], [4, 8], 0)


def test_enlarged_by_hand():
    coarse = torch.tensor([[[[0.0, 4.0]]]])
    fine = torch.full((1, 1, 1, 4), 10.0)
    # Bilinear, corners not aligned: cells at -0.25 (clamped to 0), 0.25, 0.75, 1.25 (to 1).
    first, last = neutral()([fine, coarse])
    assert first.flatten().tolist() == [10, 11, 13, 14]
    assert last is coarse


def test_sums_go_on_downwards():
    maps = [
        torch.full((1, 1, 4, 4), 1.0),
        torch.full((1, 1, 2, 2), 2.0),
        torch.full((1, 1, 1, 1), 4.0),
    ]
    merged = neutral(levels=3)(maps)
    # 4, then 2 + 4, then 1 + 6.
    assert [x.unique().tolist() for x in merged] == [[7.0], [6.0], [4.0]]


@pytest.mark.parametrize("sizes", [[(25, 33), (13, 17), (7, 9)], [(1, 1), (1, 1), (1, 1)]])
def test_shapes_of_odd_maps(sizes):
    neck = TopDown([8] * 3, [4, 8, 16]).eval()
    maps = [torch.randn(2, 8, *size) for size in sizes]
    assert [x.shape for x in neck(maps)] == [x.shape for x in maps]
    assert (neck.out_channels, neck.strides) == ([8] * 3, [4, 8, 16])


# EXTD §2.6: five steps of 9 C + C * C + 2 C.
@pytest.mark.parametrize(("width", "expected"), [(32, 6_880), (48, 14_160), (64, 24_000)])
def test_parameters(width, expected):
    assert parameters(TopDown([width] * 6, [4, 8, 16, 32, 64, 128])) == expected


def test_maps_of_different_widths_cannot_be_added():
    with pytest.raises(UsageError, match=r"of one width, not of \[32, 64\]"):
        TopDown([32, 64], [4, 8])


def test_weighted_by_hand():
    neck = TopDown([1, 1], [4, 8], weighted=True).eval()
    nn.init.dirac_(neck.up[0].depthwise.weight)
    nn.init.dirac_(neck.up[0].pointwise.conv.weight)
    maps = [torch.full((1, 1, 2, 2), 2.0), torch.full((1, 1, 1, 1), 8.0)]
    # Alike at first: half of each.
    assert neck(maps)[0].unique().tolist() == pytest.approx([5.0], rel=1e-3)
    neck.weights.data[0] = torch.tensor([3.0, 1.0])
    assert neck(maps)[0].unique().tolist() == pytest.approx([0.75 * 2 + 0.25 * 8], rel=1e-3)
    # A negative weight counts as 0.
    neck.weights.data[0] = torch.tensor([1.0, -1.0])
    assert neck(maps)[0].unique().tolist() == pytest.approx([2.0], rel=1e-3)


def test_plain_filters():
    neck = TopDown([4, 4, 4], [4, 8, 16], filter="plain")
    # Two steps: a dense 3x3 without a bias, and two numbers of normalisation for each channel.
    assert parameters(neck) == 2 * (9 * 4 * 4 + 2 * 4)
    maps = [torch.zeros(1, 4, side, side) for side in (5, 3, 2)]
    assert [x.shape for x in neck.eval()(maps)] == [x.shape for x in maps]
    with pytest.raises(UsageError, match="neck.filter=dense is none of separable, plain"):
        TopDown([4, 4], [4, 8], filter="dense")
