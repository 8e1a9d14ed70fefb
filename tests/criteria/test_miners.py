"""Which negatives enter the loss."""

import torch

from facedet.criteria.miners import HardNegativeRatio


def mine(losses, positive, **arguments):
    chosen = HardNegativeRatio(**arguments)(
        torch.tensor(losses), torch.tensor(positive, dtype=torch.bool)
    )
    return [row.nonzero().flatten().tolist() for row in chosen]


LOSSES = [[9.0, 1.0, 8.0, 2.0, 7.0, 3.0, 6.0, 4.0]]


def test_three_negatives_per_positive():
    # Anchor 0 is positive; the worst others are 2 (8), 4 (7) and 6 (6).
    assert mine(LOSSES, [[1, 0, 0, 0, 0, 0, 0, 0]]) == [[2, 4, 6]]


def test_another_ratio():
    assert mine(LOSSES, [[1, 0, 0, 0, 0, 0, 0, 0]], ratio=1) == [[2]]
    # 2 * 1.5 = 3; 1 * 1.5 is rounded down.
    assert mine(LOSSES, [[1, 1, 0, 0, 0, 0, 0, 0]], ratio=1.5) == [[2, 4, 6]]
    assert mine(LOSSES, [[1, 0, 0, 0, 0, 0, 0, 0]], ratio=1.5) == [[2]]
    assert mine(LOSSES, [[1, 0, 0, 0, 0, 0, 0, 0]], ratio=0) == [[]]


def test_no_more_negatives_than_there_are():
    # 3 * 5 = 15 of three.
    assert mine(LOSSES, [[1, 1, 1, 1, 1, 0, 0, 0]]) == [[5, 6, 7]]
    assert mine(LOSSES, [[1] * 8]) == [[]]


def test_an_image_without_a_face_adds_nothing():
    assert mine(LOSSES, [[0] * 8]) == [[]]


def test_a_minimum_lets_it_teach():
    assert mine(LOSSES, [[0] * 8], minimum=2) == [[0, 2]]
    # Where three per positive are more, the minimum does nothing.
    assert mine(LOSSES, [[1, 0, 0, 0, 0, 0, 0, 0]], minimum=2) == [[2, 4, 6]]


def test_at_most_all_anchors_but_one():
    assert mine([[4.0, 3.0, 2.0, 1.0]], [[0] * 4], minimum=9) == [[0, 1, 2]]


def test_each_image_by_itself():
    losses = [[1.0, 2.0, 3.0, 4.0], [1.0, 2.0, 3.0, 4.0], [100.0] * 4]
    positive = [[1, 0, 0, 0], [0, 0, 0, 1], [0, 0, 0, 0]]
    assert mine(losses, positive, ratio=2) == [[2, 3], [1, 2], []]


def test_no_image():
    chosen = HardNegativeRatio()(torch.zeros(0, 4), torch.zeros(0, 4, dtype=torch.bool))
    assert chosen.shape == (0, 4)


def test_choosing_has_no_gradient():
    losses = torch.tensor(LOSSES, requires_grad=True)
    positive = torch.zeros(1, 8, dtype=torch.bool)
    positive[0, 0] = True
    chosen = HardNegativeRatio()(losses, positive)
    assert chosen.dtype == torch.bool
    assert not chosen.requires_grad
