"""Which face an anchor serves, with overlaps written out."""

import pytest
import torch

from facedet.criteria.matchers import (
    BACKGROUND,
    NEITHER,
    CompensatingMatcher,
    IoUMatcher,
    TwoThresholdMatcher,
)
from facedet.errors import UsageError

MATCHERS = [IoUMatcher(), CompensatingMatcher(), CompensatingMatcher(per_face=True)]
ALL = [*MATCHERS, TwoThresholdMatcher()]


def overlaps(*rows):
    return torch.tensor(rows)


@pytest.mark.parametrize("matcher", ALL)
def test_no_face(matcher):
    match = matcher(torch.zeros(0, 5))
    assert match.tolist() == [BACKGROUND] * 5
    assert match.dtype == torch.long


@pytest.mark.parametrize("matcher", ALL)
def test_no_anchor(matcher):
    assert matcher(torch.zeros(3, 0)).tolist() == []


@pytest.mark.parametrize("matcher", MATCHERS)
@pytest.mark.parametrize("overlap", [0.0, 0.02, 0.9])
def test_one_anchor_serves_one_face_whatever_their_overlap(matcher, overlap):
    assert matcher(overlaps([overlap])).tolist() == [0]


@pytest.mark.parametrize("matcher", MATCHERS)
def test_one_anchor_and_two_faces(matcher):
    # Both faces want it; the later one gets it, though the first one overlaps more.
    assert matcher(overlaps([0.9], [0.1])).tolist() == [1]


def test_the_threshold_itself_is_positive():
    # 0.375 and 0.25 are exact; anchor 0 is forced.
    match = IoUMatcher(threshold=0.375)(overlaps([0.5, 0.375, 0.374, 0.25]))
    assert match.tolist() == [0, 0, BACKGROUND, BACKGROUND]


def test_an_anchor_serves_its_best_face():
    match = IoUMatcher()(overlaps([0.4, 0.6, 0.5, 0.1], [0.7, 0.5, 0.36, 0.2]))
    assert match.tolist() == [1, 0, 0, BACKGROUND]


def test_no_face_is_left_without_an_anchor():
    # Face 1 reaches 0.2 at the most, in an anchor that overlaps face 0 more.
    match = IoUMatcher()(overlaps([0.9, 0.6, 0.0], [0.0, 0.2, 0.1]))
    assert match.tolist() == [0, 1, BACKGROUND]


def test_the_later_of_two_faces_has_their_best_anchor():
    # Both are best in anchor 0; the earlier keeps what is above the threshold elsewhere.
    match = IoUMatcher()(overlaps([0.8, 0.4, 0.2], [0.5, 0.1, 0.3]))
    assert match.tolist() == [1, 0, BACKGROUND]
    # Nothing else for the earlier: it goes without.
    match = IoUMatcher()(overlaps([0.8, 0.1, 0.2], [0.5, 0.1, 0.3]))
    assert match.tolist() == [1, BACKGROUND, BACKGROUND]


# Face 0 is best in anchor 0, face 1 in anchor 5.
TWO_FACES = overlaps(
    [0.60, 0.30, 0.25, 0.20, 0.05, 0.00, 0.10, 0.00],
    [0.00, 0.10, 0.00, 0.00, 0.00, 0.40, 0.34, 0.12],
)


def test_compensation_by_hand():
    # Faces that reach 0.35: two; that reach 0.5: one. ⌊3 / 2⌋ = 1 more anchor: the best one
    # between 0.1 and 0.35 is anchor 6 with 0.34, and it serves face 1.
    match = CompensatingMatcher()(TWO_FACES)
    assert match.tolist() == [0, -1, -1, -1, -1, 1, 1, -1]
    assert IoUMatcher()(TWO_FACES).tolist() == [0, -1, -1, -1, -1, 1, -1, -1]


def test_compensation_looks_at_the_whole_image():
    # With high = 0.3 both faces count twice: ⌊4 / 2⌋ = 2: anchors 6 (0.34) and 1 (0.30).
    match = CompensatingMatcher(high=0.3)(TWO_FACES)
    assert match.tolist() == [0, 0, -1, -1, -1, 1, 1, -1]


def test_compensation_has_limits():
    # One face that reaches 0.35 and not 0.5: ⌊1 / 2⌋ = 0.
    assert CompensatingMatcher()(overlaps([0.4, 0.3])).tolist() == [0, BACKGROUND]
    # ⌊2 / 2⌋ = 1, but 0.125 is not above low = 0.125, and 0.05 even less.
    matcher = CompensatingMatcher(low=0.125)
    assert matcher(overlaps([0.6, 0.125, 0.05])).tolist() == [0, BACKGROUND, BACKGROUND]
    # Four faces that reach 0.5 allow four more; there is one between, and one that is nobody's.
    rows = torch.zeros(4, 6)
    rows[range(4), range(1, 5)] = 0.6
    rows[2, 5] = 0.2
    assert CompensatingMatcher()(rows).tolist() == [BACKGROUND, 0, 1, 2, 3, 2]


def test_a_forced_anchor_is_no_candidate():
    # Face 1's best is 0.3 in anchor 2: forced, so not counted again. ⌊(1 + 1) / 2⌋ = 1: anchor 1.
    match = CompensatingMatcher()(overlaps([0.6, 0.2, 0.0, 0.15], [0.0, 0.0, 0.3, 0.0]))
    assert match.tolist() == [0, 0, 1, BACKGROUND]


def test_each_face_filled_up_by_hand():
    rows = overlaps(
        [0.60, 0.50, 0.40, 0.36, 0.00, 0.00, 0.00, 0.00, 0.00],
        [0.00, 0.00, 0.00, 0.34, 0.40, 0.30, 0.20, 0.05, 0.18],
        [0.00, 0.00, 0.00, 0.00, 0.00, 0.33, 0.12, 0.15, 0.00],
    )
    # First pass: face 0 has anchors 0 … 3, face 1 has 4, face 2 has 5 (forced): ⌊6 / 3⌋ = 2 each.
    # Face 1 gets its best free one, 6 (0.2; anchors 3 and 5 are taken), and not 8 (0.18) as well;
    # face 2 then gets 7.
    match = CompensatingMatcher(per_face=True)(rows)
    assert match.tolist() == [0, 0, 0, 0, 1, 2, 1, 2, BACKGROUND]


def test_filling_up_stops_at_low():
    rows = overlaps([0.6, 0.5, 0.4, 0.36, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0, 0.4, 0.1])
    # ⌊5 / 2⌋ = 2, but face 1's next anchor does not overlap by more than 0.1.
    match = CompensatingMatcher(per_face=True)(rows)
    assert match.tolist() == [0, 0, 0, 0, 1, BACKGROUND]


def test_two_thresholds_by_hand():
    # Anchors 0 and 1 reach 0.5, anchor 4 not even 0.3; 0.5 and 0.25 are exact.
    rows = overlaps([0.9, 0.4, 0.4, 0.3, 0.2, 0.0], [0.1, 0.5, 0.49, 0.1, 0.29, 0.0])
    match = TwoThresholdMatcher()(rows)
    assert match.tolist() == [0, 1, NEITHER, NEITHER, BACKGROUND, BACKGROUND]
    assert match.dtype == torch.long
    match = TwoThresholdMatcher(positive=0.4, negative=0.25)(overlaps([0.4, 0.39, 0.25, 0.24]))
    assert match.tolist() == [0, NEITHER, NEITHER, BACKGROUND]


def test_two_thresholds_force_no_anchor():
    # Face 1 reaches 0.45 at the most and goes without.
    assert TwoThresholdMatcher()(overlaps([0.6, 0.0], [0.0, 0.45])).tolist() == [0, NEITHER]


def test_thresholds_in_the_wrong_order():
    with pytest.raises(UsageError, match="matcher.positive=0.2 lies below matcher.negative=0.3"):
        TwoThresholdMatcher(positive=0.2)
