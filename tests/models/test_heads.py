"""The heads: max-out background, separate convolutions, and the order of the cells."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from facedet.errors import UsageError
from facedet.models.heads.dilated import DilatedHead
from facedet.models.heads.multibox import MultiBoxHead, flatten_anchors
from facedet.models.heads.plain import PlainHead
from reference.networks import noise, parameters


def constant_head(levels=2, **arguments):
    """A head on maps of one channel whose outputs are its biases."""
    head = MultiBoxHead([1] * levels, [1] * levels, **arguments)
    for module in head.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.zeros_(module.weight)
    return head


def test_flattening_goes_along_rows_and_keeps_channels_together():
    # One image, 2 channels, 2 rows, 3 columns: channel 0 holds 0 … 5, channel 1 holds 10 … 15.
    x = torch.stack([torch.arange(6).reshape(2, 3), torch.arange(10, 16).reshape(2, 3)])[None]
    assert flatten_anchors(x, 2)[0].tolist() == [[i, 10 + i] for i in range(6)]
    # Two anchors per cell: the first has channels 0 and 1, the second 2 and 3.
    both = torch.cat([x, x + 100], dim=1)
    assert flatten_anchors(both, 2)[0, :3].tolist() == [[0, 10], [100, 110], [1, 11]]


def test_the_largest_background_wins_at_the_finest_level_only():
    head = constant_head()
    head.levels[0].score.bias.data = torch.tensor([1.0, 5.0, 3.0, 2.0])
    head.levels[1].score.bias.data = torch.tensor([7.0, 8.0])
    logits, deltas = head([torch.zeros(1, 1, 1, 2), torch.zeros(1, 1, 1, 1)])
    # Background max(1, 5, 3), face 2; then the plain pair.
    assert logits[0].tolist() == [[5, 2], [5, 2], [7, 8]]
    assert deltas.shape == (1, 3, 4)


def test_each_cell_chooses_its_own_background():
    head = constant_head(levels=1)
    # The middle cell of each 3x3 kernel: backgrounds x, -x and 0, face 2 x.
    head.levels[0].score.weight.data[:, 0, 1, 1] = torch.tensor([1.0, -1.0, 0.0, 2.0])
    logits, _ = head([torch.tensor([[[[3.0, -4.0]]]])])
    assert logits[0].tolist() == [[3, 6], [4, -8]]


def test_the_largest_face_wins_at_the_other_levels():
    head = constant_head(max_in=3, prior=0.01)
    assert [level.score.bias.tolist()[0] for level in head.levels] == [0, 0]
    first = [level.score.bias.exp().tolist() for level in head.levels]
    assert first[0] == pytest.approx([1, 1, 1, 1 / 99])
    assert first[1] == pytest.approx([1, 1 / 99, 1 / 99, 1 / 99])
    for level in head.levels:
        level.score.bias.data = torch.tensor([1.0, 5.0, 3.0, 2.0])
    logits, _ = head([torch.zeros(1, 1, 1, 1), torch.zeros(1, 1, 1, 1)])
    # PyramidBox: max(1, 5, 3) and 2; then 1 and max(5, 3, 2).
    assert logits[0].tolist() == [[5, 2], [1, 5]]


def test_levels_come_in_order():
    head = constant_head(levels=3)
    for index, level in enumerate(head.levels):
        level.box.bias.data.fill_(index)
    sizes = [(2, 3), (1, 2), (1, 1)]
    _, deltas = head([torch.zeros(2, 1, *size) for size in sizes])
    assert deltas[1, :, 0].tolist() == [0] * 6 + [1] * 2 + [2]


def test_more_than_one_anchor_per_cell_is_refused():
    with pytest.raises(UsageError, match=r"one anchor per cell, the anchors \[1, 3\]"):
        MultiBoxHead([8, 8], [1, 3])


def test_one_pair_for_all_levels():
    head = constant_head(levels=3, shared=True, max_out=2)
    # One channel: a box of 4 and a score of 2 + 1 outputs, each with 9 weights and a bias.
    assert parameters(head) == (4 + 3) * 10
    head.levels[0].score.bias.data = torch.tensor([1.0, 5.0, 2.0])
    logits, deltas = head([torch.zeros(1, 1, side, side) for side in (3, 2, 1)])
    assert logits[0].tolist() == [[5, 2]] * (9 + 4 + 1)
    assert deltas.shape == (1, 14, 4)
    with pytest.raises(UsageError, match="maps of one width"):
        MultiBoxHead([1, 2], [1, 1], shared=True)


def test_the_first_score_is_the_prior():
    head = constant_head(max_out=1, prior=0.01)
    logits, _ = head([torch.zeros(1, 1, 1, 1), torch.zeros(1, 1, 1, 1)])
    assert logits.softmax(dim=2)[0, :, 1].tolist() == pytest.approx([0.01, 0.01])
    with pytest.raises(UsageError, match="head.prior=0"):
        constant_head(prior=0)


HEADS = [PlainHead, DilatedHead]


def random_head(kind, *arguments, **options):
    """A head with weights large enough to see."""
    head = kind(*arguments, **options)
    for place, value in enumerate(head.parameters()):
        value.data = noise(*value.shape, seed=place) / 4
    return head


def release_order(score):
    """Scores [B, 2 K, H, W] in the release's order, all backgrounds first, to [B, H * W * K, 2]."""
    batch, channels, height, width = score.shape
    apart = score.reshape(batch, 2, channels // 2, height, width)
    return apart.permute(0, 3, 4, 2, 1).reshape(batch, -1, 2)


def test_plain_head_with_the_releases_weights():
    head = random_head(PlainHead, [4], [3])
    (level,) = head.levels
    # [bg16, bg32, bg64, fg16, fg32, fg64] there, [bg16, fg16, bg32, …] here.
    weight, bias = noise(6, 128, 1, 1, seed=8), noise(6, seed=9)
    order = [0, 3, 1, 4, 2, 5]
    level.score.weight.data, level.score.bias.data = weight[order], bias[order]
    x = noise(2, 4, 3, 5)
    hidden = F.relu(F.conv2d(x, level.conv.weight, level.conv.bias, padding=1))
    logits, _ = head([x])
    torch.testing.assert_close(logits, release_order(F.conv2d(hidden, weight, bias)))


def test_ssh_s_module_in_place_of_the_convolution():
    head = random_head(PlainHead, [4, 512], [2, 2], channels=8, context=True)
    level, coarse = head.levels
    # At most the map's own channels, of which the module gives twice as many.
    assert (level.score.in_channels, coarse.score.in_channels) == (8, 16)
    x = noise(2, 4, 3, 5)

    def conv(layer, x):
        return F.conv2d(x, layer.weight, layer.bias, padding=1)

    module = level.conv
    narrow = F.relu(conv(module.narrow, x))
    five = conv(module.window5, narrow)
    seven = conv(module.window7[2], F.relu(conv(module.window7[0], narrow)))
    joined = F.relu(torch.cat([conv(module.window3, x), five, seven], dim=1))
    logits, deltas = head([x, noise(2, 512, 1, 1)])
    expected = level.score(joined).permute(0, 2, 3, 1).reshape(2, 30, 2)
    torch.testing.assert_close(logits[:, :30], expected)
    torch.testing.assert_close(
        deltas[:, :30], level.box(joined).permute(0, 2, 3, 1).reshape(2, 30, 4)
    )


def test_dilated_head_is_three_convolutions_with_the_same_weights():
    head = random_head(DilatedHead, [4], [3])
    (level,) = head.levels
    x = noise(2, 4, 9, 7)
    scores, boxes = [], []
    for index, dilation in enumerate((1, 2, 4)):
        branch = nn.Conv2d(4, 128, 3, padding=dilation, dilation=dilation)
        branch.load_state_dict(level.shared.state_dict())
        hidden = F.relu(branch(x))
        scores.append(level.score[index](hidden))
        boxes.append(level.box[index](hidden))
    # The release joins the three branches' backgrounds, then their faces; boxes anchor by anchor.
    released = torch.cat([s[:, :1] for s in scores] + [s[:, 1:] for s in scores], dim=1)
    logits, deltas = head([x])
    torch.testing.assert_close(logits, release_order(released))
    for index, box in enumerate(boxes):
        expected = box.permute(0, 2, 3, 1).reshape(2, 63, 4)
        torch.testing.assert_close(deltas[:, index::3], expected)


@pytest.mark.parametrize("kind", HEADS)
def test_new_weights(kind):
    torch.manual_seed(0)
    head = kind([512], [3])
    # The 589,824 numbers of the 3x3 convolution.
    largest = max(head.parameters(), key=torch.Tensor.numel)
    assert largest.std().item() == pytest.approx(0.01, rel=0.01)
    assert not any(value.any() for name, value in head.named_parameters() if "bias" in name)


@pytest.mark.parametrize("kind", HEADS)
def test_no_channels(kind):
    with pytest.raises(UsageError, match=r"head\.channels=0: at least one"):
        kind([8], [3], channels=0)
