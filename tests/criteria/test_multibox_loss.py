"""The two losses: by hand, without faces, and against the values of the release."""

import math

import numpy as np
import pytest
import torch

from facedet.box_coder import SsdBoxCoder
from facedet.boxes import from_cxcywh, iou
from facedet.criteria.matchers import CompensatingMatcher, TwoThresholdMatcher
from facedet.criteria.miners import HardNegativeRatio
from facedet.criteria.multibox import MultiBoxLoss
from facedet.models.anchors import AnchorGenerator
from facedet.structures import NO_POSITIVE, Predictions, Target

# One anchor on the face, five far away from it.
ANCHORS = torch.tensor([[x, 0.0, x + 16, 16] for x in (0.0, 100, 200, 300, 400, 500)])
# IoU with anchor 0: 12 * 12 / (256 + 256 - 144) = 0.39. Its code: (12 - 8) / (0.1 * 16) twice,
# ln(16 / 16) / 0.2 twice: (2.5, 2.5, 0, 0).
FACE = (4.0, 4, 20, 20)
# IoU with anchor 0: 16 * 12 / (256 + 256 - 192) = 0.6.
NEAR_FACE = (0.0, 4, 16, 20)


def target(*boxes, ignore=None):
    count = len(boxes)
    ignored = torch.zeros(count, dtype=torch.bool) if ignore is None else torch.tensor(ignore)
    subsets = torch.zeros(count, 0, dtype=torch.bool)
    return Target(torch.tensor(boxes).reshape(-1, 4), ignored, subsets, 0, (640, 640))


def criterion(minimum=0, box_weight=1.0, matcher=None, **settings):
    miner, matcher = HardNegativeRatio(minimum=minimum), matcher or CompensatingMatcher()
    return MultiBoxLoss(matcher, miner, SsdBoxCoder(), box_weight, **settings)


def predict(logits=None, deltas=None, images=1):
    count = len(ANCHORS)
    return Predictions(
        torch.zeros(images, count, 2, requires_grad=True) if logits is None else logits,
        torch.zeros(images, count, 4, requires_grad=True) if deltas is None else deltas,
        ANCHORS,
    )


def test_losses_by_hand():
    losses = criterion()(predict(), [target(FACE)])
    # Smooth L1 of 2.5 is 2.5 - 0.5, twice.
    assert losses.box.item() == pytest.approx(4.0, rel=1e-5)
    # One positive and three negatives at score one half: 4 ln 2.
    assert losses.classification.item() == pytest.approx(4 * math.log(2))
    # It tells which images are hard; nothing is learned from it.
    assert not losses.hardest_positive.requires_grad


def test_small_errors_count_squared():
    # 0.5 away in one coordinate: 0.5 * 0.5².
    deltas = torch.zeros(1, 6, 4)
    deltas[0, 0] = torch.tensor([2.5, 2.0, 0.0, 0.0])
    losses = criterion()(predict(deltas=deltas), [target(FACE)])
    assert losses.box.item() == pytest.approx(0.125, rel=1e-4)


def test_box_weight():
    losses = criterion(box_weight=2.5)(predict(), [target(FACE)])
    assert losses.box.item() == pytest.approx(10.0, rel=1e-5)
    assert losses.classification.item() == pytest.approx(4 * math.log(2))


def test_sums_are_divided_by_the_positives_of_the_batch():
    # Image 0 has one face, image 1 has two (the second of the same shape on anchor 1): three
    # positives, each with box loss 4; the negatives are 3 and, of 4 left over, 4.
    second = (104.0, 4, 120, 20)
    losses = criterion()(predict(images=2), [target(FACE), target(FACE, second)])
    assert losses.box.item() == pytest.approx((4 + 8) / 3, rel=1e-5)
    assert losses.classification.item() == pytest.approx((4 + 6) * math.log(2) / 3)


def test_the_hardest_negatives_count():
    logits = torch.zeros(1, 6, 2)
    # Face logits of anchors 1 … 5: the loss of a negative is ln(1 + e^x).
    logits[0, 1:, 1] = torch.tensor([-1.0, 5.0, 3.0, -2.0, 4.0])
    losses = criterion()(predict(logits), [target(FACE)])
    expected = math.log(2) + sum(math.log(1 + math.exp(x)) for x in (5, 4, 3))
    assert losses.classification.item() == pytest.approx(expected, rel=1e-5)


def test_gradients_reach_what_counts_and_nothing_else():
    logits = torch.zeros(1, 6, 2)
    logits[0, 1:, 1] = torch.tensor([-1.0, 5.0, 3.0, -2.0, 4.0])
    predictions = predict(logits.requires_grad_())
    losses = criterion()(predictions, [target(FACE)])
    (losses.classification + losses.box).backward()
    assert logits.grad[0, :, 1].nonzero().flatten().tolist() == [0, 2, 3, 5]
    # d/dx of |x| is the sign: too small by 2.5 in both coordinates of the centre.
    expected = torch.zeros(6, 4)
    expected[0] = torch.tensor([-1.0, -1, 0, 0])
    torch.testing.assert_close(predictions.deltas.grad[0], expected)


@pytest.mark.parametrize("minimum", [0, 2])
def test_a_batch_without_any_face(minimum):
    predictions = predict(images=2)
    losses = criterion(minimum)(predictions, [target(), target()])
    assert losses.box.item() == 0.0
    # Divided by one; the minimum lets two negatives of each image count.
    assert losses.classification.item() == pytest.approx(2 * minimum * math.log(2))
    assert losses.hardest_positive.tolist() == [NO_POSITIVE] * 2
    (losses.classification + losses.box).backward()
    assert predictions.deltas.grad.count_nonzero() == 0
    assert torch.isfinite(predictions.logits.grad).all()
    assert predictions.logits.grad.count_nonzero() == 2 * 2 * minimum


def test_an_image_without_a_face_beside_one_with():
    losses = criterion()(predict(images=2), [target(), target(NEAR_FACE)])
    # Off by 4 px in y alone.
    assert losses.box.item() == pytest.approx(2.0, rel=1e-5)
    assert losses.classification.item() == pytest.approx(4 * math.log(2))
    assert losses.hardest_positive.tolist() == [NO_POSITIVE, 0.5]


def test_a_face_to_ignore_is_no_face():
    losses = criterion()(predict(), [target(FACE, ignore=[True])])
    assert (losses.box.item(), losses.classification.item()) == (0.0, 0.0)


def test_an_anchor_that_is_neither_is_not_learned_from():
    # IoU 0.39 lies between the thresholds: no positive, and so no negative is mined either.
    losses = criterion(matcher=TwoThresholdMatcher())(predict(), [target(FACE)])
    assert (losses.box.item(), losses.classification.item()) == (0.0, 0.0)
    # With a minimum the other five may be mined; the one between may not, for all its loss.
    logits = torch.zeros(1, 6, 2)
    logits[0, 0, 1] = 9.0
    losses = criterion(9, matcher=TwoThresholdMatcher())(predict(logits), [target(FACE)])
    assert losses.classification.item() == pytest.approx(5 * math.log(2))


def test_matches_name_the_face_among_all():
    # The ignored face lies on anchor 0 as well and comes first; the index is that of the target.
    faces = target((0.0, 0, 16, 16), FACE, (104.0, 4, 120, 20), ignore=[True, False, False])
    assert criterion().match(predict(), [faces]).tolist() == [[1, 2, -1, -1, -1, -1]]
    losses = criterion()(predict(), [faces])
    # Both faces are off by (2.5, 2.5, 0, 0); with the ignored one's box it would be less.
    assert losses.box.item() == pytest.approx(4.0, rel=1e-5)


def test_the_hardest_positive_is_the_least_certain_one():
    logits = torch.zeros(2, 6, 2)
    # Face logits ln 9 and ln(1/3): scores 0.9 and 0.25. Anchor 2 is no positive.
    logits[0, :3, 1] = torch.tensor([math.log(9), math.log(1 / 3), -9.0])
    logits[1, 0, 1] = math.log(9)
    second = (100.0, 4, 116, 20)
    targets = [target(NEAR_FACE, second), target(NEAR_FACE)]
    losses = criterion()(predict(logits, images=2), targets)
    torch.testing.assert_close(losses.hardest_positive, torch.tensor([0.25, 0.9]))


@pytest.mark.parametrize(
    ("least", "expected"), [(0.5, 0.9), (0.6, 0.9), (0.3, 0.25), (0.0, 0.01), (0.61, NO_POSITIVE)]
)
def test_the_difficulty_is_that_of_anchors_well_on_their_face(least, expected):
    # Positive are anchor 0 at IoU 0.6, anchor 1 at 0.39, and anchor 2, forced upon a face of
    # 2 x 2 px inside it, at 4 / 256; their scores are 0.9, 0.25 and 0.01.
    faces = target(NEAR_FACE, (104.0, 4, 120, 20), (200.0, 0, 202, 2))
    logits = torch.zeros(1, 6, 2)
    logits[0, :3, 1] = torch.tensor([math.log(9), math.log(1 / 3), math.log(1 / 99)])
    loss = criterion(difficulty_iou=least)
    assert loss.match(predict(), [faces]).tolist() == [[0, 1, 2, -1, -1, -1]]
    assert loss(predict(logits), [faces]).hardest_positive.item() == pytest.approx(expected)


# The values of the release


STRIDES = (4, 8, 16, 32, 64, 128)


def released_anchors():
    """The release's anchors of a 640 x 640 picture: made as centre and sides, in units of it."""
    cells = [(s, x, y) for s in STRIDES for y in range(640 // s) for x in range(640 // s)]
    stride, x, y = torch.tensor(cells, dtype=torch.float64).T
    side = 4 * stride / 640
    centre_form = torch.stack([(x + 0.5) * stride / 640, (y + 0.5) * stride / 640, side, side], 1)
    return from_cxcywh(centre_form.float())


def stored_targets(stored, unit=1.0):
    rows = (stored["gt0"], stored["gt1"])
    return [target(*(row[:, :4] * np.float32(unit)).tolist()) for row in rows]


def matched(loss, anchors, one):
    nothing = torch.zeros(1, len(anchors), 4)
    return loss.match(Predictions(nothing[..., :2], nothing, anchors), [one])[0]


@pytest.mark.data
def test_matching_and_losses_of_the_release(golden):
    # In the release's own units: candidates of the second pass tie in exact arithmetic (a face
    # lies alike in several anchors), and which of them is taken last is decided by the rounding
    # of coordinates in 0 … 1.
    stored = np.load(golden / "extd_match_loss.npz")
    anchors, targets = released_anchors(), stored_targets(stored)
    loss = criterion()
    for index, one in enumerate(targets):
        match = matched(loss, anchors, one)
        positive = (match >= 0).nonzero().flatten()
        assert positive.tolist() == stored[f"pos_idx{index}"].tolist()
        codes = SsdBoxCoder().encode(one.boxes[match[positive]], anchors[positive])
        np.testing.assert_allclose(codes, stored[f"loc_t{index}"], rtol=0, atol=2e-5)
    random = np.random.RandomState(5)
    deltas = torch.from_numpy(random.randn(2, 34125, 4).astype(np.float32))
    logits = torch.from_numpy((random.randn(2, 34125, 2) * 2).astype(np.float32))
    losses = loss(Predictions(logits, deltas, anchors), targets)
    assert losses.box.item() == pytest.approx(5.001462, abs=1e-5)
    assert losses.classification.item() == pytest.approx(21.002239, abs=1e-5)
    # Mining: 3 * 20 and 3 * 349 negatives.
    positive = torch.stack([matched(loss, anchors, one) >= 0 for one in targets])
    counted = loss.miner(torch.rand(positive.shape), positive, ~positive)
    negatives = (counted & ~positive).sum(dim=1)
    assert negatives.tolist() == stored["num_neg"].flatten().tolist() == [60, 1047]


@pytest.mark.data
def test_in_pixels_only_ties_fall_differently(golden):
    stored = np.load(golden / "extd_match_loss.npz")
    sizes = [(640 // stride, 640 // stride) for stride in STRIDES]
    anchors = AnchorGenerator(STRIDES)(sizes, torch.device("cpu"))
    for index, one in enumerate(stored_targets(stored, unit=640)):
        match = matched(criterion(), anchors, one)
        positive = (match >= 0).nonzero().flatten()
        expected = torch.from_numpy(stored[f"pos_idx{index}"])
        assert len(positive) == len(expected) == (20, 349)[index]
        best = iou(one.boxes, anchors).amax(dim=0)
        torch.testing.assert_close(
            best[positive].sort().values, best[expected].sort().values, rtol=0, atol=1e-5
        )
