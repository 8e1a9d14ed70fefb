"""The box losses, by hand."""

import math

import pytest
import torch

from facedet.box_coder import SsdBoxCoder
from facedet.criteria.box_losses import OverlapLoss, SmoothL1
from facedet.errors import UsageError

CODER = SsdBoxCoder()
ANCHOR = torch.tensor([[0.0, 0, 10, 10]])


def loss(kind, own, box):
    """The loss of a prediction that decodes to `own`, for the face `box`."""
    deltas = CODER.encode(torch.tensor([own]), ANCHOR)
    return kind(deltas, torch.tensor([box]), ANCHOR, CODER).item()


def test_smooth_l1_by_hand():
    # The centre is 1 px off in x: 1 / (0.1 * 10) = 1 in the code; at beta 2 a square, 1² / (2 * 2).
    own, box = [0.0, 0, 10, 10], [1.0, 0, 11, 10]
    assert loss(SmoothL1(), own, box) == pytest.approx(0.5)
    assert loss(SmoothL1(beta=2.0), own, box) == pytest.approx(0.25)


# Half covered: 50 / 150; around both 15 x 10, all covered; centres 5 apart, diagonal 15² + 10².
# Apart: IoU 0; around both 30 x 10, a third of it covered by none; 20² / (30² + 10²).
@pytest.mark.parametrize(
    ("box", "giou", "diou"),
    [
        ([0.0, 0, 10, 10], 0.0, 0.0),
        ([5.0, 0, 15, 10], 2 / 3, 2 / 3 + 25 / 325),
        ([20.0, 0, 30, 10], 1 + 1 / 3, 1 + 400 / 1000),
    ],
)
def test_overlap_by_hand(box, giou, diou):
    own = [0.0, 0, 10, 10]
    assert loss(OverlapLoss("giou"), own, box) == pytest.approx(giou, abs=1e-6)
    assert loss(OverlapLoss("diou"), own, box) == pytest.approx(diou, abs=1e-6)


@pytest.mark.parametrize("penalty", ["giou", "diou"])
def test_wild_codes_give_finite_gradients(penalty):
    deltas = torch.tensor([[0.0, 0, 1e4, -1e4], [1e6, 0, -1e3, -1e3]], requires_grad=True)
    anchors = ANCHOR.expand(2, 4)
    losses = OverlapLoss(penalty)(deltas, anchors + 1, anchors, CODER)
    losses.sum().backward()
    assert torch.isfinite(losses).all()
    assert torch.isfinite(deltas.grad).all()


def test_no_positives():
    nothing = torch.zeros(0, 4)
    for kind in (SmoothL1(), OverlapLoss()):
        assert kind(nothing, nothing, nothing, CODER).shape == (0,)
    assert math.isfinite(OverlapLoss()(nothing, nothing, nothing, CODER).sum().item())


def test_an_unknown_penalty_is_refused():
    with pytest.raises(UsageError, match="box_loss.penalty=ciou is none of giou, diou"):
        OverlapLoss("ciou")
