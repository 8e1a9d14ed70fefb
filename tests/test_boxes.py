"""Box arithmetic, with values worked out by hand."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from facedet.boxes import area, clip, flip, from_cxcywh, intersection, iou, nms, to_cxcywh, vote
from reference.slow_nms import slow_nms


def boxes(*rows):
    return torch.tensor(rows, dtype=torch.float32).reshape(-1, 4)


def test_area():
    # 3 * 5 = 15; a line has none.
    assert area(boxes((1, 2, 4, 7), (3, 3, 3, 9))).tolist() == [15, 0]
    assert area(boxes()).tolist() == []


def test_intersection_with_and_without_the_whole_pixel():
    a = boxes((0, 0, 9, 9))
    b = boxes((0, 0, 9, 4), (9, 9, 20, 20), (10, 0, 12, 9), (11, 0, 12, 9))
    # 9 * 4 = 36; a shared corner is 0 wide; apart.
    assert intersection(a, b).tolist() == [[36, 0, 0, 0]]
    # 10 * 5 = 50; the corner is one pixel; pixels 9 and 10 are neighbours: 9 - 10 + 1 = 0.
    assert intersection(a, b, plus_one=1).tolist() == [[50, 1, 0, 0]]


def test_iou_by_hand():
    a = boxes((0, 0, 2, 2), (10, 10, 14, 12))
    b = boxes((1, 0, 3, 2), (0, 0, 2, 2), (12, 10, 16, 14))
    # (0,0,2,2) and (1,0,3,2): 2 / (4 + 4 - 2); (10,10,14,12) and (12,10,16,14): 4 / (8 + 16 - 4).
    expected = [[1 / 3, 1, 0], [0, 0, 0.2]]
    torch.testing.assert_close(iou(a, b), torch.tensor(expected))
    torch.testing.assert_close(iou(b, a), torch.tensor(expected).T)
    # Whole pixels: 10 * 5 / (100 + 50 - 50).
    assert iou(boxes((0, 0, 9, 9)), boxes((0, 0, 9, 4)), plus_one=1).item() == 0.5


def test_iou_of_empty_boxes_is_zero():
    line, point = (5, 0, 5, 9), (5, 5, 5, 5)
    assert iou(boxes(line, point), boxes(line, point, (0, 0, 9, 9))).count_nonzero() == 0


@pytest.mark.parametrize(("rows", "columns"), [(0, 0), (0, 2), (2, 0)])
def test_iou_of_no_boxes(rows, columns):
    one = (0, 0, 1, 1)
    assert iou(boxes(*[one] * rows), boxes(*[one] * columns)).shape == (rows, columns)


def test_centre_form():
    # Centre ((2 + 8) / 2, (4 + 5) / 2), sides (6, 1).
    assert to_cxcywh(boxes((2, 4, 8, 5))).tolist() == [[5, 4.5, 6, 1]]
    assert from_cxcywh(boxes((5, 4.5, 6, 1))).tolist() == [[2, 4, 8, 5]]
    assert to_cxcywh(torch.zeros(2, 3, 4)).shape == (2, 3, 4)
    assert from_cxcywh(boxes()).shape == (0, 4)


@given(st.lists(st.tuples(*[st.integers(-2000, 2000)] * 4), max_size=5))
def test_centre_form_and_back(rows):
    # Halves of integers are exact.
    assert torch.equal(from_cxcywh(to_cxcywh(boxes(*rows))), boxes(*rows))


def test_clip_takes_height_first():
    found = boxes((-5, -5, 150, 90), (10, 20, 30, 40), (120, 70, 130, 80))
    expected = boxes((0, 0, 100, 50), (10, 20, 30, 40), (100, 50, 100, 50))
    assert torch.equal(clip(found, (50, 100)), expected)
    assert clip(boxes(), (50, 100)).shape == (0, 4)
    assert found[0].tolist() == [-5, -5, 150, 90]


def test_flip():
    # Pixels 10 … 30 of 100 are pixels 70 … 90 from the other side; y stays.
    box = boxes((10, 5, 30, 25))
    assert flip(box, 100).tolist() == [[70, 5, 90, 25]]
    assert torch.equal(flip(flip(box, 101), 101), box)
    assert flip(boxes(), 100).shape == (0, 4)


def test_nms_by_hand():
    found = boxes((0, 0, 10, 10), (0, 0, 10, 5), (0, 0, 10, 4), (20, 20, 30, 30), (0, 0, 10, 9))
    scores = torch.tensor([0.8, 0.7, 0.6, 0.9, 0.5])
    # Against box 0: box 1 has 50 / 100, box 2 has 40 / 100, box 4 has 90 / 100. Box 2 has
    # 40 / 50 of box 1, but a dropped box drops nothing.
    assert nms(found, scores, 0.45).tolist() == [3, 0, 2]
    # An IoU of exactly the threshold stays; box 2 now falls to box 1.
    assert nms(found, scores, 0.5).tolist() == [3, 0, 1]
    assert nms(found, scores, 0.45, limit=2).tolist() == [3, 0]
    assert nms(found, scores, 0.45, limit=0).tolist() == []
    assert nms(found, scores, 0.45, limit=9).tolist() == [3, 0, 2]


def test_nms_and_vote_of_nothing():
    nothing = torch.zeros(0)
    assert nms(boxes(), nothing, 0.3).tolist() == []
    assert nms(boxes(), nothing, 0.3).dtype == torch.long
    voted, scores = vote(boxes(), nothing, 0.3)
    assert (voted.shape, scores.shape) == ((0, 4), (0,))


def random_boxes(seed, count):
    """Boxes with whole coordinates, so that every IoU is one correctly rounded division."""
    rng = np.random.default_rng(seed)
    corners = rng.integers(0, 60, (count, 2))
    sides = rng.integers(0, 40, (count, 2))
    scores = rng.integers(1, 50, count) / 50
    found = torch.from_numpy(np.hstack([corners, corners + sides])).float()
    return found, torch.from_numpy(scores).float()


# 256 boxes make a block: the border must not show.
@settings(max_examples=25)
@given(
    seed=st.integers(0, 2**32 - 1),
    count=st.sampled_from([1, 2, 20, 255, 256, 257, 400, 513]),
    threshold=st.sampled_from([0.0, 0.3, 0.5, 0.9, 1.0]),
    limit=st.sampled_from([None, 1, 7, 256]),
)
def test_nms_equals_the_obvious_one(seed, count, threshold, limit):
    found, scores = random_boxes(seed, count)
    expected = slow_nms(found.tolist(), scores.tolist(), threshold, limit)
    assert nms(found, scores, threshold, limit).tolist() == expected


def test_vote_by_hand():
    found = boxes((0, 0, 9, 7), (50, 50, 59, 59), (0, 0, 9, 9))
    scores = torch.tensor([0.2, 0.9, 0.6])
    # In whole pixels 80 / 100 = 0.8; y2 = (0.6 * 9 + 0.2 * 7) / 0.8 = 8.5; the best score stays.
    voted, best = vote(found, scores, 0.8)
    torch.testing.assert_close(voted, boxes((0, 0, 9, 8.5)))
    assert best.tolist() == [scores[2]]
    voted, best = vote(found, scores, 0.8, singletons="keep")
    torch.testing.assert_close(voted, boxes((50, 50, 59, 59), (0, 0, 9, 8.5)))
    assert best.tolist() == [scores[1], scores[2]]
    # Above 0.8 nobody joins anybody.
    assert len(vote(found, scores, 0.81)[0]) == 0
    assert len(vote(found, scores, 0.81, singletons="keep")[0]) == 3


def test_vote_gathers_around_the_best_box_only():
    # Of width 10 in whole pixels, shifted by 4: neighbours share 6 / 14 = 0.43, ends 2 / 18 = 0.11.
    chain = boxes((0, 0, 9, 9), (4, 0, 13, 9), (8, 0, 17, 9))
    voted, best = vote(chain, torch.tensor([0.9, 0.3, 0.6]), 0.3, singletons="keep")
    # x1 = (0.9 * 0 + 0.3 * 4) / 1.2 = 1; the far end is left alone.
    torch.testing.assert_close(voted, boxes((1, 0, 10, 9), (8, 0, 17, 9)))
    torch.testing.assert_close(best, torch.tensor([0.9, 0.6]))


def test_vote_may_keep_a_single_box_that_is_the_last_left():
    pair, single = [(0, 0, 9, 9), (0, 0, 9, 9)], (50, 50, 59, 59)

    def kept(scores, *rows):
        return vote(boxes(*rows), torch.tensor(scores), 0.4, "keep_last")[0].tolist()

    # The single box has the lowest score: nothing is left when its turn comes.
    assert kept([0.9, 0.8, 0.1], *pair, single) == [[0, 0, 9, 9], [50, 50, 59, 59]]
    # It has the highest: the pair is still there.
    assert kept([0.2, 0.8, 0.9], *pair, single) == [[0, 0, 9, 9]]
    # Of two single boxes the second is the last.
    assert kept([0.9, 0.8], (80, 0, 89, 9), single) == [[50, 50, 59, 59]]
    assert kept([0.9], single) == [[50, 50, 59, 59]]
    # The last group of two is kept in any case.
    assert vote(boxes(*pair), torch.tensor([0.9, 0.8]), 0.4)[0].tolist() == [[0, 0, 9, 9]]


def test_vote_ends_where_a_box_is_not_like_itself():
    # Infinite sides make the IoU with itself 0 / nan; the loop must still take the box out.
    voted, _ = vote(boxes((0, 0, float("inf"), 9)), torch.tensor([0.5]), 0.3)
    assert len(voted) == 0


@pytest.mark.data
def test_vote_of_the_release(golden):
    stored = np.load(golden / "bbox_vote_extd.npz")
    rows = torch.from_numpy(stored["dets"])
    voted, best = vote(rows[:, :4], rows[:, 4], 0.3)
    expected = torch.from_numpy(stored["vote"])
    assert len(expected) == 11
    torch.testing.assert_close(voted, expected[:, :4])
    torch.testing.assert_close(best, expected[:, 4])


@pytest.mark.data
def test_vote_of_the_smallhardface_release(golden):
    stored = np.load(golden / "shf_decode_vote.npz")
    rows = torch.from_numpy(stored["vote_in"])
    voted, best = vote(rows[:, :4], rows[:, 4], 0.4, "keep_last")
    expected = torch.from_numpy(stored["vote_out"])
    assert (len(rows), len(expected)) == (62, 13)
    torch.testing.assert_close(voted, expected[:, :4])
    torch.testing.assert_close(best, expected[:, 4])
    # Without the one that is kept for being the last.
    assert len(vote(rows[:, :4], rows[:, 4], 0.4)[0]) == 12
