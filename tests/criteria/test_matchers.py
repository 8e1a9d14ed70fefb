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


# Face 0 is best in anchor 0, face 1 in anchor 5.
TWO_FACES = [
    [0.60, 0.30, 0.25, 0.20, 0.05, 0.00, 0.10, 0.00],
    [0.00, 0.10, 0.00, 0.00, 0.00, 0.40, 0.34, 0.12],
]
# Four faces, and an anchor that is nobody's best.
FOUR_FACES = [
    [0, 0.6, 0, 0, 0, 0],
    [0, 0, 0.6, 0, 0, 0],
    [0, 0, 0, 0.6, 0, 0.2],
    [0, 0, 0, 0, 0.6, 0],
]
TO_FILL = [
    [0.60, 0.50, 0.40, 0.36, 0.00, 0.00, 0.00, 0.00, 0.00],
    [0.00, 0.00, 0.00, 0.34, 0.40, 0.30, 0.20, 0.05, 0.18],
    [0.00, 0.00, 0.00, 0.00, 0.00, 0.33, 0.12, 0.15, 0.00],
]


@pytest.mark.parametrize(
    ("matcher", "rows", "expected"),
    [
        # The threshold itself is positive, 0.375 and 0.25 being exact; anchor 0 is forced.
        (IoUMatcher(threshold=0.375), [[0.5, 0.375, 0.374, 0.25]], [0, 0, -1, -1]),
        # An anchor serves its best face.
        (IoUMatcher(), [[0.4, 0.6, 0.5, 0.1], [0.7, 0.5, 0.36, 0.2]], [1, 0, 0, -1]),
        # Face 1 reaches 0.2 at the most, in an anchor that overlaps face 0 more: it is forced.
        (IoUMatcher(), [[0.9, 0.6, 0.0], [0.0, 0.2, 0.1]], [0, 1, -1]),
        # Both are best in anchor 0, which the later one has; the earlier keeps what is above the
        # threshold elsewhere, or goes without.
        (IoUMatcher(), [[0.8, 0.4, 0.2], [0.5, 0.1, 0.3]], [1, 0, -1]),
        (IoUMatcher(), [[0.8, 0.1, 0.2], [0.5, 0.1, 0.3]], [1, -1, -1]),
        (IoUMatcher(), TWO_FACES, [0, -1, -1, -1, -1, 1, -1, -1]),
        # Faces that reach 0.35: two; that reach 0.5: one. ⌊3 / 2⌋ = 1 more anchor: the best one
        # between 0.1 and 0.35 is anchor 6 with 0.34, and it serves face 1.
        (CompensatingMatcher(), TWO_FACES, [0, -1, -1, -1, -1, 1, 1, -1]),
        # With high = 0.3 both faces count twice: ⌊4 / 2⌋ = 2: anchors 6 (0.34) and 1 (0.30).
        (CompensatingMatcher(high=0.3), TWO_FACES, [0, 0, -1, -1, -1, 1, 1, -1]),
        # One face that reaches 0.35 and not 0.5: ⌊1 / 2⌋ = 0.
        (CompensatingMatcher(), [[0.4, 0.3]], [0, -1]),
        # ⌊2 / 2⌋ = 1, but 0.125 is not above low = 0.125, and 0.05 even less.
        (CompensatingMatcher(low=0.125), [[0.6, 0.125, 0.05]], [0, -1, -1]),
        # Four faces that reach 0.5 allow four more; there is one between, and one that is nobody's.
        (CompensatingMatcher(), FOUR_FACES, [-1, 0, 1, 2, 3, 2]),
        # Face 1's best is 0.3 in anchor 2: forced, so not counted again. ⌊(1 + 1) / 2⌋ = 1.
        (CompensatingMatcher(), [[0.6, 0.2, 0.0, 0.15], [0.0, 0.0, 0.3, 0.0]], [0, 0, 1, -1]),
        # First pass: face 0 has anchors 0 … 3, face 1 has 4, face 2 has 5 (forced): ⌊6 / 3⌋ = 2
        # each. Face 1 gets its best free one, 6 (0.2; anchors 3 and 5 are taken), and not 8 (0.18)
        # as well; face 2 then gets 7.
        (CompensatingMatcher(per_face=True), TO_FILL, [0, 0, 0, 0, 1, 2, 1, 2, -1]),
        # ⌊5 / 2⌋ = 2, but face 1's next anchor does not overlap by more than 0.1.
        (
            CompensatingMatcher(per_face=True),
            [[0.6, 0.5, 0.4, 0.36, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0, 0.4, 0.1]],
            [0, 0, 0, 0, 1, -1],
        ),
        # Anchors 0 and 1 reach 0.5, anchor 4 not even 0.3; 0.5 and 0.25 are exact.
        (
            TwoThresholdMatcher(),
            [[0.9, 0.4, 0.4, 0.3, 0.2, 0.0], [0.1, 0.5, 0.49, 0.1, 0.29, 0.0]],
            [0, 1, -2, -2, -1, -1],
        ),
        (TwoThresholdMatcher(0.4, 0.25), [[0.4, 0.39, 0.25, 0.24]], [0, -2, -2, -1]),
        # Face 1 reaches 0.45 at the most and goes without.
        (TwoThresholdMatcher(), [[0.6, 0.0], [0.0, 0.45]], [0, -2]),
    ],
)
def test_matches_by_hand(matcher, rows, expected):
    """-1 is background, -2 neither."""
    assert (BACKGROUND, NEITHER) == (-1, -2)
    assert matcher(torch.tensor(rows, dtype=torch.float32)).tolist() == expected


def test_thresholds_in_the_wrong_order():
    with pytest.raises(UsageError, match="matcher.positive=0.2 lies below matcher.negative=0.3"):
        TwoThresholdMatcher(positive=0.2)
