"""The heads: max-out background and the order of the cells."""

import pytest
import torch
from torch import nn

from facedet.errors import UsageError
from facedet.models.heads.multibox import MultiBoxHead, flatten_anchors
from reference.networks import parameters


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


# EXTD §2.6: boxes 6 * (36 C + 4); scores 5 * (18 C + 2) and 36 C + 4 for the finest.
@pytest.mark.parametrize(
    ("width", "box", "score"), [(32, 6_936, 4_046), (48, 10_392, 6_062), (64, 13_848, 8_078)]
)
def test_parameters(width, box, score):
    head = MultiBoxHead([width] * 6, [1] * 6)
    assert sum(parameters(level.box) for level in head.levels) == box
    assert sum(parameters(level.score) for level in head.levels) == score


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
