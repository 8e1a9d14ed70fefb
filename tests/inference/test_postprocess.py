"""From predictions to detections, on anchors that lie apart."""

import math

import numpy as np
import pytest
import torch

from facedet.box_coder import FasterRcnnBoxCoder, SsdBoxCoder
from facedet.errors import UsageError
from facedet.inference.postprocess import NmsMerge, NmsPostprocess, VoteMerge
from facedet.models.anchors import ThreeScaleAnchors
from facedet.structures import Detections, Predictions

# Four anchors of 16 px: the first three apart, the last over the third with 15 / 17 = 0.88.
ANCHORS = torch.tensor([[0.0, 0, 16, 16], [100, 0, 116, 16], [200, 0, 216, 16], [201, 0, 217, 16]])


def predict(*images, anchors=ANCHORS, size=None):
    """Predictions of the anchors themselves, with the given face scores per image."""
    scores = torch.tensor(images)
    # softmax of (0, ln(p / (1 - p))) gives p for the face.
    logits = torch.stack([torch.zeros_like(scores), (scores / (1 - scores)).log()], dim=2)
    return Predictions(logits, torch.zeros(*scores.shape, 4), anchors, (), size)


def postprocess(**arguments):
    return NmsPostprocess(SsdBoxCoder(), **arguments)


def test_best_first_without_the_overlapped():
    (found,) = postprocess(score=0.05)(predict([0.2, 0.9, 0.4, 0.3]))
    assert torch.equal(found.boxes, ANCHORS[[1, 2, 0]])
    torch.testing.assert_close(found.scores, torch.tensor([0.9, 0.4, 0.2]))
    assert found.note == ""


HALF = [0.5, 0.75, 0.25, 0.5]  # exact: softmax of (0, 0)
OVER = [0.2, 0.3, 0.9, 0.8]  # the last two are one face


@pytest.mark.parametrize(
    ("arguments", "scores", "expected"),
    [
        ({"score": 0.5}, HALF, [1]),  # above, not at the cut
        ({"score": 0.49}, HALF, [1, 0, 3]),
        ({"top_k": 2}, OVER, [2]),  # before the suppression: one face is left, not two
        ({"keep": 2}, OVER, [2, 1]),  # after it
        ({"iou": 0.9}, OVER, [2, 3, 1, 0]),
        ({"iou": 0.9, "keep": None}, OVER, [2, 3, 1, 0]),
        # Without suppression: candidates for a vote, best first.
        ({"iou": None}, OVER, [2, 3, 1, 0]),
        ({"iou": None, "top_k": 2}, OVER, [2, 3]),
        ({"iou": None, "keep": 3}, OVER, [2, 3, 1]),
    ],
)
def test_cuts_and_limits(arguments, scores, expected):
    (found,) = postprocess(**arguments)(predict(scores))
    assert torch.equal(found.boxes, ANCHORS[expected])
    torch.testing.assert_close(found.scores, torch.tensor(scores)[expected])


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


def test_clipped_to_the_last_pixel():
    anchors = torch.tensor([[-8.0, -8, 23, 23], [200, 0, 216, 16], [205, 5, 208, 60]])
    predictions = predict([0.9, 0.8, 0.7], anchors=anchors, size=(51, 210))
    (found,) = postprocess(clip=True)(predictions)
    # 210 px wide: the last one is 209; 51 px high: 50.
    expected = torch.tensor([[0.0, 0, 23, 23], [200, 0, 209, 16], [205, 5, 208, 50]])
    torch.testing.assert_close(found.boxes, expected)
    (found,) = postprocess()(predictions)
    torch.testing.assert_close(found.boxes, anchors)


def test_some_stay_whatever_their_score():
    low = predict([0.01, 0.02, 0.03, 0.01])
    assert len(postprocess(score=0.5)(low)[0].boxes) == 0
    (found,) = postprocess(score=0.5, at_least=1)(low)
    assert torch.equal(found.boxes, ANCHORS[[2]])
    (found,) = postprocess(score=0.5, at_least=3)(predict([0.1, 0.9, 0.2, 0.3]))
    # The best three are anchors 1, 3 and 2, of which 3 then suppresses 2.
    assert torch.equal(found.boxes, ANCHORS[[1, 3]])
    # More than there are; and where enough are above the cut, no others.
    assert len(postprocess(at_least=9, iou=None)(low)[0].boxes) == 4
    assert len(postprocess(score=0.5, at_least=1)(predict([0.6, 0.7, 0.1, 0.1]))[0].boxes) == 2


@pytest.mark.data
def test_candidates_of_the_smallhardface_release(golden):
    stored = np.load(golden / "shf_decode_vote.npz")
    # [background of three anchors, face of three, row, column] and [anchor and code, row, column].
    face = torch.from_numpy(stored["prop_scores"][0, 3:]).permute(1, 2, 0).reshape(1, -1)
    deltas = torch.from_numpy(stored["prop_deltas"]).permute(0, 2, 3, 1).reshape(1, -1, 4)
    logits = torch.stack([torch.zeros_like(face), (face / (1 - face)).log()], dim=2)
    anchors = ThreeScaleAnchors([8])([(6, 9)], torch.device("cpu"))
    size = tuple(int(side) for side in stored["prop_im_info"][:2])
    decode = NmsPostprocess(
        FasterRcnnBoxCoder(), score=0.002, top_k=10_000, iou=None, keep=None, clip=True, at_least=1
    )
    (found,) = decode(Predictions(logits, deltas, anchors, (162,), size))
    assert found.boxes.shape == (162, 4)
    np.testing.assert_allclose(found.scores, stored["prop_probs"][:, 1], atol=1e-6)
    np.testing.assert_allclose(found.boxes, stored["prop_boxes"][:, 1:], atol=1e-4)
    # Single boxes, clipped to 60 x 90 px.
    four = Predictions(
        predict([0.9, 0.8, 0.7, 0.6]).logits,
        torch.from_numpy(stored["deltas"])[None],
        torch.from_numpy(stored["anchors"]).float(),
        (4,),
        tuple(stored["clip_hw"].tolist()),
    )
    np.testing.assert_allclose(decode(four)[0].boxes, stored["clipped"], atol=1e-5)


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
    assert len(VoteMerge(iou=0.3, singletons="keep")(PASSES).boxes) == 3


def test_only_scores_above_the_cut_vote():
    # Without 0.2 the first face is seen once; 0.5 itself does not vote, nor does 0.4.
    assert len(VoteMerge(score=0.3)(PASSES).boxes) == 1
    assert len(VoteMerge(score=0.5, singletons="keep")(PASSES).boxes) == 2
    merged = VoteMerge(score=0.5, singletons="keep_last")(PASSES)
    # 0.9 goes first, and 0.6 is what is left.
    assert torch.equal(merged.boxes, PASSES.boxes[[0]])


def test_no_limit_to_what_is_kept():
    left = torch.arange(1000) * 20.0
    row = torch.stack([left, left * 0, left + 9, left * 0 + 9], dim=1)
    many = Detections(torch.cat([row, row]), torch.linspace(1, 0.5, 2000))
    assert len(VoteMerge(keep=None)(many).boxes) == len(NmsMerge(keep=None)(many).boxes) == 1000
    assert len(VoteMerge()(many).boxes) == len(NmsMerge()(many).boxes) == 750


def test_a_wrong_word_for_singletons():
    with pytest.raises(UsageError, match="merge.singletons='last': there are drop, keep, keep_l"):
        VoteMerge(singletons="last")


@pytest.mark.parametrize("merge", [NmsMerge(), VoteMerge(), VoteMerge(singletons="keep_last")])
def test_merging_nothing(merge):
    merged = merge(Detections(torch.zeros(0, 4), torch.zeros(0)))
    assert (merged.boxes.shape, merged.scores.shape) == ((0, 4), (0,))
