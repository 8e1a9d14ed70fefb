"""SmallHardFace's neck: the fixed enlargement, the order of the branches, one level or three."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from facedet.errors import UsageError
from facedet.models.necks.fuse import Fuse, enlarge
from reference.networks import noise


def silent(channels=(1, 1), **arguments):
    """A neck whose weights are all 0."""
    neck = Fuse(channels, (8, 16), **arguments)
    for value in neck.parameters():
        nn.init.zeros_(value)
    return neck


def test_enlarged_by_hand():
    # Cells at -0.25, 0.25, 0.75 and 1.25 of 4, 8 between zeros:
    # 3/4 * 4 = 3, 3/4 * 4 + 1/4 * 8 = 5, 7, 3/4 * 8 = 6; and 3/4 of it in both rows.
    row = [2.25, 3.75, 5.25, 4.5]
    assert enlarge(torch.tensor([[[[4.0, 8.0]]]]), (2, 4))[0, 0].tolist() == [row, row]


@pytest.mark.parametrize("size", [(1, 1), (3, 5), (8, 2)])
def test_enlarging_is_the_releases_transposed_convolution(size):
    x = noise(2, 3, *size).requires_grad_()
    line = torch.tensor([0.25, 0.75, 0.75, 0.25])
    kernel = torch.outer(line, line).expand(3, 1, 4, 4)
    expected = F.conv_transpose2d(x, kernel, stride=2, padding=1, groups=3)
    enlarged = enlarge(x, expected.shape[2:])
    torch.testing.assert_close(enlarged, expected)
    # Caffe's crop keeps the upper left part.
    assert torch.equal(enlarge(x, (1, 2)), enlarged[..., :1, :2])
    weight = noise(*expected.shape, seed=2)
    (gradient,) = torch.autograd.grad((enlarged * weight).sum(), x)
    (expected_gradient,) = torch.autograd.grad((expected * weight).sum(), x)
    torch.testing.assert_close(gradient, expected_gradient)


def test_the_paper_s_order_of_operations():
    neck = Fuse((6, 7), (8, 16))
    for value in neck.parameters():
        value.data = noise(*value.shape, seed=value.numel()) / 20
    conv4, conv5 = noise(2, 6, 6, 8), noise(2, 7, 3, 4)
    up = enlarge(F.relu(neck.conv5_256(conv5)), (6, 8))
    x = torch.cat([up, F.relu(neck.conv4_256(conv4))], dim=1)
    x = F.relu(neck.conv4_fuse_final(x))
    (fused,) = neck([conv4, conv5])
    torch.testing.assert_close(fused, F.relu(neck.conv4_fuse_final_dim_red(x)))
    # Both branches and ReLU matter.
    assert (fused == 0).any()
    assert (fused > 0).any()


def test_ssh_adds_the_branches():
    neck = Fuse((6, 7), (8, 16), levels=3, reduce=False, width=128, join="sum")
    assert [name for name, _ in neck.named_children()] == [
        "conv5_128",
        "conv4_128",
        "conv4_fuse_final",
    ]
    assert neck.out_channels == [128, 7, 7]
    # A picture of 72 px has 9 cells at stride 8 and, rounded up, 5 at stride 16.
    conv4, conv5 = noise(2, 6, 9, 8), noise(2, 7, 5, 4)
    summed = enlarge(F.relu(neck.conv5_128(conv5)), (9, 8)) + F.relu(neck.conv4_128(conv4))
    torch.testing.assert_close(neck([conv4, conv5])[0], F.relu(neck.conv4_fuse_final(summed)))


def test_three_levels_add_the_coarser_map_and_its_pooled_half():
    conv5 = torch.arange(15.0).reshape(1, 1, 3, 5)
    fused, same, pooled = silent(levels=3)([torch.zeros(1, 1, 6, 10), conv5])
    assert fused.shape == (1, 128, 6, 10)
    assert same is conv5
    # Rows 0 and 1, then 2 alone; columns 0-1, 2-3 and 4 alone: the largest of each.
    assert pooled.tolist() == [[[[6, 8, 9], [11, 13, 14]]]]


@pytest.mark.parametrize(
    ("levels", "reduce", "channels", "strides"),
    [
        (1, True, [128], [8]),
        (1, False, [512], [8]),
        (3, True, [128, 20, 20], [8, 16, 32]),
        (3, False, [512, 20, 20], [8, 16, 32]),
    ],
)
def test_what_is_announced(levels, reduce, channels, strides):
    neck = Fuse((10, 20), (8, 16), levels, reduce)
    assert (neck.out_channels, neck.strides) == (channels, strides)
    maps = neck([torch.zeros(1, 10, 8, 4), torch.zeros(1, 20, 4, 2)])
    assert [x.shape[1] for x in maps] == channels
    assert [(8 * 8 // x.shape[2], 8 * 4 // x.shape[3]) for x in maps] == [(s, s) for s in strides]


def test_new_weights():
    torch.manual_seed(0)
    neck = Fuse((512, 512), (8, 16))
    assert neck.conv4_fuse_final.weight.std().item() == pytest.approx(0.01, rel=0.01)
    assert not any(value.any() for name, value in neck.named_parameters() if "bias" in name)
    # He's: the variance is 2 over the inputs of a unit, 9 cells of 512 channels.
    weight = Fuse((512, 512), (8, 16), init="he").conv4_fuse_final.weight
    assert weight.std().item() == pytest.approx((2 / (9 * 512)) ** 0.5, rel=0.01)


def test_what_is_refused():
    for name, value, words in (
        ("levels", 2, "1 or 3"),
        ("join", "product", "concat or sum"),
        ("init", "zeros", "gaussian or he"),
    ):
        with pytest.raises(UsageError, match=rf"neck\.{name}={value}: use {words}"):
            Fuse((4, 4), (8, 16), **{name: value})
    for strides in ((8,), (8, 8), (8, 32), (4, 8, 16)):
        with pytest.raises(UsageError, match=r"neck=fuse needs two maps.*backbone=vgg16.*strides"):
            Fuse([4] * len(strides), strides)
