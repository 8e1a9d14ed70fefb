"""SimOTA's matching, by hand."""

import pytest
import torch

from facedet.criteria.dynamic_matcher import SimOtaMatcher
from facedet.criteria.matchers import BACKGROUND
from facedet.errors import UsageError

# Anchors of 16 px in a row, centres at x = 8, 24, 40, 56, 72.
ANCHORS = torch.tensor([[16.0 * i, 0, 16 * i + 16, 16] for i in range(5)])
FACE = torch.tensor([[0.0, 0, 48, 16]])  # the first three centres lie in it


def match(boxes, scores=(0.5,) * 5, faces=FACE, **options):
    return SimOtaMatcher(**options)(
        faces, ANCHORS, torch.tensor(scores), torch.tensor(boxes, dtype=torch.float32)
    ).tolist()


def half(fraction):
    return [0, 0, 48 * fraction, 16]  # IoU with FACE: the fraction


def test_the_sum_of_the_overlaps_says_how_many():
    # 0.75 + 0.5 + 0.875 = 2.125: two anchors, those that predict the best boxes.
    assert match([half(0.75), half(0.5), half(0.875), half(1), half(1)]) == [0, -1, 0, -1, -1]
    # With one counted, 0.875 is rounded down to nothing, and one is taken all the same.
    boxes = [half(0.75), half(0.5), half(0.875), half(1), half(1)]
    assert match(boxes, top=1) == [-1, -1, 0, -1, -1]


def test_the_scores_count_beside_the_boxes():
    # -ln 0.9 - 3 ln 0.5 = 2.18 and -ln 0.1 - 3 ln 0.75 = 3.17: the better score wins ...
    boxes = [half(0.5), half(0.75), half(0.1), half(0.1), half(0.1)]
    scores = (0.9, 0.1, 0.5, 0.5, 0.5)
    assert match(boxes, scores) == [0, BACKGROUND, BACKGROUND, BACKGROUND, BACKGROUND]
    # ... unless the box weighs more: 7.04 and 5.18 at a weight of 10.
    assert match(boxes, scores, iou_weight=10.0)[:2] == [BACKGROUND, 0]


def test_candidates_lie_in_the_face_or_around_its_centre():
    # A face of 2 px at (30, 8): no centre in it, that at 24 within 0.625 * 16 = 10 px, as is 40.
    face = torch.tensor([[29.0, 7, 31, 9]])
    boxes = [[0, 0, 1, 1], [29, 7, 31, 9], [29, 7, 31, 9], [29, 7, 31, 9], [0, 0, 1, 1]]
    assert match(boxes, faces=face) == [-1, 0, 0, -1, -1]
    assert match(boxes, faces=face, radius=0.5) == [-1, 0, -1, -1, -1]
    # Without a candidate the cheapest anchor of all is taken: no face is left without one.
    assert match(boxes, (0.1, 0.1, 0.1, 0.9, 0.1), face, radius=0.1) == [-1, -1, -1, 0, -1]


def test_an_anchor_of_two_faces_serves_the_cheaper_one():
    faces = torch.tensor([[0.0, 0, 16, 16], [0.0, 0, 14, 16]])
    boxes = [[0, 0, 14, 16], *[[200, 0, 216, 16]] * 4]
    # IoU 0.875 with the first, 1 with the second: both take anchor 0.
    assert match(boxes, faces=faces)[0] == 1


@pytest.mark.parametrize(("faces", "anchors"), [(0, 5), (2, 0)])
def test_nothing_to_match(faces, anchors):
    found = SimOtaMatcher()(
        FACE.repeat(2, 1)[:faces], ANCHORS[:anchors], torch.ones(anchors), ANCHORS[:anchors]
    )
    assert found.tolist() == [BACKGROUND] * anchors


def test_nothing_to_sum():
    with pytest.raises(UsageError, match="matcher.top=0"):
        SimOtaMatcher(top=0)
