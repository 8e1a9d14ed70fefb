"""From predictions to detections, on anchors that lie apart."""

import math

import pytest
import torch

from facedet.box_coder import SsdBoxCoder
from facedet.postprocess import NmsMerge, NmsPostprocess, VoteMerge
from facedet.structures import Detections, Predictions

# Four anchors of 16 px: the first three apart, the last over the third with 15 / 17 = 0.88.
ANCHORS = torch.tensor([[0.0, 0, 16, 16], [100, 0, 116, 16], [200, 0, 216, 16], [201, 0, 217, 16]])


def predict(*images, anchors=ANCHORS):
    """Predictions of the anchors themselves, with the given face scores per image."""
    scores = torch.tensor(images)
    # softmax of (0, ln(p / (1 - p))) gives p for the face.
    logits = torch.stack([torch.zeros_like(scores), (scores / (1 - scores)).log()], dim=2)
    return Predictions(logits, torch.zeros(*scores.shape, 4), anchors)


def postprocess(**arguments):
    return NmsPostprocess(SsdBoxCoder(), **arguments)


def test_best_first_without_the_overlapped():
    (found,) = postprocess(score=0.05)(predict([0.2, 0.9, 0.4, 0.3]))
    assert torch.equal(found.boxes, ANCHORS[[1, 2, 0]])
    torch.testing.assert_close(found.scores, torch.tensor([0.9, 0.4, 0.2]))
    assert found.note == ""


def test_a_score_must_be_above_the_cut():
    # One half is exact: softmax of (0, 0).
    (found,) = postprocess(score=0.5)(predict([0.5, 0.75, 0.25, 0.5]))
    assert torch.equal(found.boxes, ANCHORS[[1]])
    torch.testing.assert_close(found.scores, torch.tensor([0.75]))
    (found,) = postprocess(score=0.49)(predict([0.5, 0.75, 0.25, 0.5]))
    assert torch.equal(found.boxes, ANCHORS[[1, 0, 3]])


def test_top_k_comes_before_the_suppression():
    # The best two are the third anchor and the one over it: one face is left, not two.
    (found,) = postprocess(top_k=2)(predict([0.2, 0.3, 0.9, 0.8]))
    assert torch.equal(found.boxes, ANCHORS[[2]])


def test_keep_comes_after_the_suppression():
    (found,) = postprocess(keep=2)(predict([0.2, 0.3, 0.9, 0.8]))
    assert torch.equal(found.boxes, ANCHORS[[2, 1]])


def test_iou_threshold():
    (found,) = postprocess(iou=0.9)(predict([0.2, 0.3, 0.9, 0.8]))
    assert torch.equal(found.boxes, ANCHORS[[2, 3, 1, 0]])


def test_deltas_are_decoded_with_their_own_anchor():
    predictions = predict([0.01, 0.9, 0.01, 0.8])
    # Anchor 1 moves by 5 * 0.1 * 16 = 8 px to the right and doubles its height about y = 8.
    predictions.deltas[0, 1] = torch.tensor([5, 0, 0, math.log(2) / 0.2])
    # Anchor 3 moves down by 10 * 0.1 * 16 = 16 px.
    predictions.deltas[0, 3] = torch.tensor([0, 10, 0, 0])
    (found,) = postprocess()(predictions)
    expected = torch.tensor([[108.0, -8, 124, 24], [201, 16, 217, 32]])
    torch.testing.assert_close(found.boxes, expected)


def test_nothing_found():
    found = postprocess()(predict([0.01] * 4, [0.9, 0.01, 0.01, 0.01]))
    assert [(len(one.boxes), len(one.scores)) for one in found] == [(0, 0), (1, 1)]
    assert found[0].boxes.shape == (0, 4)


def test_no_anchor_and_no_image():
    empty = Predictions(torch.zeros(1, 0, 2), torch.zeros(1, 0, 4), torch.zeros(0, 4))
    assert postprocess()(empty)[0].boxes.shape == (0, 4)
    none = Predictions(torch.zeros(0, 4, 2), torch.zeros(0, 4, 4), ANCHORS)
    assert postprocess()(none) == []


def test_each_image_by_itself():
    images = [[0.2, 0.9, 0.4, 0.3], [0.6, 0.1, 0.2, 0.7]]
    together = postprocess()(predict(*images))
    for found, image in zip(together, images, strict=True):
        (alone,) = postprocess()(predict(image))
        assert torch.equal(found.boxes, alone.boxes)
        assert torch.equal(found.scores, alone.scores)


# One face seen by two passes, one seen by one, and one seen by two passes with less certainty.
PASSES = Detections(
    torch.tensor([[0.0, 0, 9, 9], [50, 50, 59, 59], [0, 0, 9, 7], [80, 0, 89, 9], [80, 0, 89, 9]]),
    torch.tensor([0.6, 0.9, 0.2, 0.5, 0.4]),
)


def test_merging_by_nms():
    merged = NmsMerge(iou=0.3)(PASSES)
    assert torch.equal(merged.boxes, PASSES.boxes[[1, 0, 3]])
    assert torch.equal(merged.scores, PASSES.scores[[1, 0, 3]])
    assert torch.equal(NmsMerge(iou=0.3, keep=2)(PASSES).boxes, PASSES.boxes[[1, 0]])


def test_merging_by_vote_drops_what_one_pass_saw():
    merged = VoteMerge(iou=0.3)(PASSES)
    # y2 = (0.6 * 9 + 0.2 * 7) / 0.8 = 8.5
    expected = torch.tensor([[0.0, 0, 9, 8.5], [80, 0, 89, 9]])
    torch.testing.assert_close(merged.boxes, expected)
    torch.testing.assert_close(merged.scores, torch.tensor([0.6, 0.5]))
    assert len(VoteMerge(iou=0.3, keep=1)(PASSES).boxes) == 1
    assert len(VoteMerge(iou=0.3, keep_singletons=True)(PASSES).boxes) == 3


@pytest.mark.parametrize("merge", [NmsMerge(), VoteMerge()])
def test_merging_nothing(merge):
    merged = merge(Detections(torch.zeros(0, 4), torch.zeros(0)))
    assert (merged.boxes.shape, merged.scores.shape) == ((0, 4), (0,))
