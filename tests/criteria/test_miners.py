"""Which anchors enter the loss."""

import pytest
import torch

from facedet.criteria.miners import HardNegativeRatio, OnlineHardExamples
from facedet.errors import UsageError


def mine(losses, positive, **arguments):
    """The negatives that are chosen beside all positives."""
    positive = torch.tensor(positive, dtype=torch.bool)
    chosen = HardNegativeRatio(**arguments)(torch.tensor(losses), positive, ~positive)
    assert chosen[positive].all()
    return [row.nonzero().flatten().tolist() for row in chosen & ~positive]


MINERS = [HardNegativeRatio(), OnlineHardExamples()]
LOSSES = [[9.0, 1.0, 8.0, 2.0, 7.0, 3.0, 6.0, 4.0]]


@pytest.mark.parametrize(
    ("positives", "arguments", "negatives"),
    [
        # Of one positive the three worst others are 2 (8), 4 (7) and 6 (6).
        (1, {}, [2, 4, 6]),
        (1, {"ratio": 1}, [2]),
        # 2 * 1.5 = 3; 1 * 1.5 is rounded down.
        (2, {"ratio": 1.5}, [2, 4, 6]),
        (1, {"ratio": 1.5}, [2]),
        (1, {"ratio": 0}, []),
        # 3 * 5 = 15 of three that there are.
        (5, {}, [5, 6, 7]),
        (8, {}, []),
        # An image without a face adds nothing, unless a minimum lets it teach: at most all anchors
        # but one. Where three per positive are more, the minimum does nothing.
        (0, {}, []),
        (0, {"minimum": 2}, [0, 2]),
        (0, {"minimum": 9}, [0, 2, 3, 4, 5, 6, 7]),
        (1, {"minimum": 2}, [2, 4, 6]),
    ],
)
def test_negatives_by_hand(positives, arguments, negatives):
    assert mine(LOSSES, [[place < positives for place in range(8)]], **arguments) == [negatives]


def test_each_image_by_itself():
    losses = [[1.0, 2.0, 3.0, 4.0], [1.0, 2.0, 3.0, 4.0], [100.0] * 4]
    positive = [[1, 0, 0, 0], [0, 0, 0, 1], [0, 0, 0, 0]]
    assert mine(losses, positive, ratio=2) == [[2, 3], [1, 2], []]


@pytest.mark.parametrize("miner", MINERS)
def test_no_image(miner):
    nothing = torch.zeros(0, 4, dtype=torch.bool)
    assert miner(torch.zeros(0, 4), nothing, nothing).shape == (0, 4)


@pytest.mark.parametrize("miner", MINERS)
def test_no_anchor(miner):
    nothing = torch.zeros(2, 0, dtype=torch.bool)
    assert miner(torch.zeros(2, 0), nothing, nothing).shape == (2, 0)


@pytest.mark.parametrize("miner", MINERS)
def test_what_is_neither_is_never_chosen(miner):
    positive = torch.tensor([[True, False, False, False]])
    negative = torch.tensor([[False, False, True, False]])
    # The greatest losses are those of anchors 1 and 3.
    chosen = miner(torch.tensor([[1.0, 9.0, 2.0, 8.0]]), positive, negative)
    assert chosen.tolist() == [[True, False, True, False]]


# A fixed number, the hardest of both kinds


def sample(losses, roles, count, share):
    """Chosen anchors; a role is + (serves a face), - (background) or 0 (neither)."""
    positive = torch.tensor([[role == "+" for role in roles]])
    negative = torch.tensor([[role == "-" for role in roles]])
    chosen = OnlineHardExamples(count, share)(torch.tensor([losses]), positive, negative)
    return chosen[0].nonzero().flatten().tolist()


TEN = [1.0, 5.0, 3.0, 2.0, 8.0, 7.0, 9.0, 4.0, 6.0, 0.5]
FIVE = [1.0, 2.0, 3.0, 4.0, 5.0]


@pytest.mark.parametrize(
    ("losses", "roles", "count", "share", "chosen"),
    [
        # Of four anchors one positive: anchor 1 (5). Three negatives: 6 (9), 5 (7), 8 (6); anchor 4
        # has a greater loss than two of them and is neither.
        (TEN, "+++-0--0--", 4, 0.25, [1, 5, 6, 8]),
        # Half of four: positives 1 (5) and 2 (3), negatives 6 and 5.
        (TEN, "+++-0--0--", 4, 0.5, [1, 2, 5, 6]),
        # 0.25 * 7 = 1.75 is rounded down to one; the five negatives there are do not fill it.
        (TEN, "+++-0--0--", 7, 0.25, [1, 3, 5, 6, 8, 9]),
        # Two positives were allowed, one is there, or none: negatives fill up.
        (FIVE, "+----", 4, 0.5, [0, 2, 3, 4]),
        (FIVE, "-----", 4, 0.5, [1, 2, 3, 4]),
        # Positives do not, where negatives are few.
        (FIVE, "++++-", 4, 0.25, [3, 4]),
        (FIVE, "+++++", 4, 0.25, [4]),
    ],
)
def test_samples_by_hand(losses, roles, count, share, chosen):
    assert sample(losses, roles, count, share) == chosen


def test_of_equal_losses_the_earlier_anchor():
    assert sample([2.0] * 9, "++++-----", 4, 0.5) == [0, 1, 4, 5]
    # Many equal ones: a sort that is not stable shows only from some length on.
    assert sample([0.7] * 1000, "+" * 300 + "-" * 700, 256, 0.25) == [
        *range(64),
        *range(300, 492),
    ]


def test_each_image_is_sampled_by_itself():
    losses = torch.tensor([[1.0, 2.0, 3.0, 4.0], [4.0, 3.0, 2.0, 1.0], [1.0, 2.0, 3.0, 4.0]])
    positive = torch.tensor([[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 0, 0]]).bool()
    chosen = OnlineHardExamples(2, 0.5)(losses, positive, ~positive)
    assert [row.nonzero().flatten().tolist() for row in chosen] == [[1, 3], [0, 2], [2, 3]]


@pytest.mark.parametrize("settings", [{"count": 0}, {"positive_share": 1.5}])
def test_settings_out_of_range(settings):
    ((key, value),) = settings.items()
    with pytest.raises(UsageError, match=f"miner.{key}={value}"):
        OnlineHardExamples(**settings)
