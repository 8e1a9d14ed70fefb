"""The necks by hand and by plain operations, and PyramidBox and SSH as a whole."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from facedet.config import build, compose
from facedet.errors import UsageError
from facedet.models.folding import fold
from facedet.models.necks.fuse import Fuse, enlarge
from facedet.models.necks.passthrough import Passthrough
from facedet.models.necks.pyramidbox import PyramidBoxNeck
from facedet.models.necks.top_down import TopDown
from facedet.structures import Target
from reference.networks import noise, parameters


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


def test_maps_of_different_widths_cannot_be_added():
    with pytest.raises(
        UsageError, match=r"^neck=top_down needs maps of one width, not of \[32, 64\]"
    ):
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


def silent(channels=(1, 1), **arguments):
    """A neck whose weights are all 0."""
    neck = Fuse(channels, (8, 16), **arguments)
    for value in neck.parameters():
        nn.init.zeros_(value)
    return neck


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
        words = r"neck=fuse needs two maps.*backbone=vgg16.*strides \["
        with pytest.raises(UsageError, match=words):
            Fuse([4] * len(strides), strides)


WIDTHS = (4, 6, 6, 8, 5)
STRIDES = (4, 8, 16, 32, 64)


def test_the_neck_by_plain_operations():
    torch.manual_seed(0)
    neck = PyramidBoxNeck(WIDTHS, STRIDES, scales=(3, 2, 1)).eval()
    sides = (13, 7, 4, 2, 1)  # rounded up, so that the enlarged maps are cut
    maps = [noise(2, width, side, side) for width, side in zip(WIDTHS, sides, strict=True)]
    joined = list(maps)
    for level in (2, 1, 0):
        up = F.relu(F.conv2d(joined[level + 1], neck.above[level].weight, neck.above[level].bias))
        size = (sides[level], sides[level])
        joined[level] = enlarge(up, size) * F.relu(neck.lateral[level](maps[level]))
    with torch.no_grad():
        found = neck(maps)
    for level, (x, block) in enumerate(zip(joined, neck.blocks, strict=True)):

        def norm(part, x):
            # New statistics are 0 and 1: what is left is the release's epsilon.
            return F.conv2d(x, part.conv.weight, padding=part.conv.padding) / 1.001**0.5

        first, second, last = block.residual
        residual = norm(last, F.relu(norm(second, F.relu(norm(first, x)))))
        x = F.relu(block.context(F.relu(norm(block.shortcut, x) + residual)))
        if level < 3:
            x = (3 - level) * F.normalize(x, dim=1)
        torch.testing.assert_close(found[level], x)
    assert (neck.out_channels, neck.strides) == ([512] * 5, list(STRIDES))


@pytest.mark.parametrize("strides", [(8, 16), (4, 8, 16), (4, 8, 32, 64)])
def test_a_backbone_with_other_maps_is_refused(strides):
    with pytest.raises(UsageError, match=r"four or more maps.*vgg16_extended.*strides \["):
        PyramidBoxNeck([4] * len(strides), strides)


@pytest.mark.slow  # VGG16 and 57 million parameters, forwards and backwards
@pytest.mark.parametrize(
    ("preset", "levels"), [("ssh", (128, 32, 8)), ("pyramidbox", (256, 64, 16, 4, 1, 1))]
)
def test_a_rival_learns_a_face(preset, levels):
    torch.manual_seed(0)
    config = compose("train", [f"preset={preset}"])
    net, criterion = build(config.model.net), build(config.criterion)
    images = torch.randint(0, 256, (2, 3, 64, 64), generator=torch.Generator().manual_seed(2))
    face = torch.tensor([[8.0, 8.0, 40.0, 40.0]])
    target = Target(face, torch.tensor([False]), torch.zeros(1, 0, dtype=torch.bool), 0, (64, 64))
    learning = [value for value in net.parameters() if value.requires_grad]
    optimizer = torch.optim.Adam(learning, lr=1e-4)
    losses = []
    for _ in range(4):
        predictions = net(images)
        parts = criterion(predictions, [target, target])
        loss = parts.classification + parts.box
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert predictions.levels == levels
    assert losses[-1] < 0.7 * losses[0]
    net.eval()
    with torch.no_grad():
        usual, folded = net(images), fold(net)(images)
    scale = usual.logits.abs().max().item()
    torch.testing.assert_close(folded.logits, usual.logits, rtol=1e-3, atol=1e-4 * scale)
