"""The classification losses, by hand, and focal loss without mining inside the criterion."""

import math

import pytest
import torch

from facedet.box_coder import SsdBoxCoder
from facedet.criteria.classification_losses import CrossEntropy, Focal
from facedet.criteria.matchers import IoUMatcher
from facedet.criteria.miners import AllAnchors
from facedet.criteria.multibox import MultiBoxLoss
from facedet.errors import UsageError
from facedet.structures import Predictions, Target

# Face score 3/4 of a face, and of background: the right classes have 3/4 and 1/4.
LOGITS = torch.tensor([[[0.0, math.log(3)], [0.0, math.log(3)]]])
POSITIVE = torch.tensor([[True, False]])


def test_cross_entropy_by_hand():
    expected = [-math.log(3 / 4), -math.log(1 / 4)]
    assert CrossEntropy()(LOGITS, POSITIVE)[0].tolist() == pytest.approx(expected)


def test_focal_by_hand():
    expected = [-0.25 * (1 / 4) ** 2 * math.log(3 / 4), -0.75 * (3 / 4) ** 2 * math.log(1 / 4)]
    assert Focal()(LOGITS, POSITIVE)[0].tolist() == pytest.approx(expected)
    plain = Focal(alpha=0.5, gamma=0.0)(LOGITS, POSITIVE)
    torch.testing.assert_close(2 * plain, CrossEntropy()(LOGITS, POSITIVE))


def test_focal_of_certain_anchors_has_a_finite_gradient():
    logits = torch.tensor([[[-60.0, 60.0], [60.0, -60.0], [80.0, -80.0]]], requires_grad=True)
    losses = Focal()(logits, torch.tensor([[True, False, True]]))
    losses.sum().backward()
    assert losses[0, :2].tolist() == [0.0, 0.0]
    assert torch.isfinite(logits.grad).all()


def test_all_background_counts_without_mining():
    anchors = torch.tensor([[0.0, 0, 16, 16], [100, 0, 116, 16], [200, 0, 216, 16]])
    criterion = MultiBoxLoss(IoUMatcher(), AllAnchors(), SsdBoxCoder(), classification_loss=Focal())
    target = Target(
        anchors[:1], torch.zeros(1, dtype=torch.bool), torch.zeros(1, 0).bool(), 0, (16, 216)
    )
    predictions = Predictions(torch.zeros(1, 3, 2), torch.zeros(1, 3, 4), anchors)
    # At score one half a face costs 0.25 / 4 ln 2, each of the two others 0.75 / 4 ln 2.
    losses = criterion(predictions, [target])
    assert losses.classification.item() == pytest.approx((0.25 + 2 * 0.75) / 4 * math.log(2))


@pytest.mark.parametrize("values", [{"alpha": 1.5}, {"gamma": -1.0}])
def test_values_out_of_range_are_refused(values):
    with pytest.raises(UsageError, match="classification_loss"):
        Focal(**values)
