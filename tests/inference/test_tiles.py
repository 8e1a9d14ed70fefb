"""Pictures above the pixel budget, with a detector that finds white boxes exactly."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from facedet.errors import UsageError
from facedet.inference.postprocess import NmsMerge, VoteMerge
from facedet.inference.pyramid import _TILE_MARGIN, _TILE_OVERLAP
from facedet.inference.pyramid import _tiles as tiles
from facedet.inference.scales import Pass
from reference.bright_faces import always, check_boxes, picture, pyramid

# Pixels of one 512 x 512 tile, the smallest that there is.
BUDGET = 512 * 512


def test_within_the_budget_nothing_is_cut():
    one = pyramid(pixel_budget=60 * 100)
    assert one(picture(60, 100, (10, 4, 30, 24))).note == ""
    assert one.net.batches == [(1, 3, 60, 100)]


@given(
    length=st.integers(1, 5000),
    side=st.integers(2 * _TILE_OVERLAP, 1500),
    face=st.integers(1, _TILE_OVERLAP - 2 * _TILE_MARGIN),
    place=st.floats(0, 1),
)
def test_tiles_cover_and_one_answers_for_each_whole_face(length, side, face, place):
    plan = tiles(length, side, _TILE_OVERLAP)
    ends = [min(start + side, length) for start, _, _ in plan]
    assert (plan[0][0], ends[-1]) == (0, length)
    for end, (start, _, _) in zip(ends, plan[1:], strict=False):
        assert end - start >= _TILE_OVERLAP
    low = place * max(length - face, 0)
    high = min(low + face, length)
    centre = (low + high) / 2
    answering = 0
    for end, (start, first, last) in zip(ends, plan, strict=True):
        if not first <= centre <= last:
            continue
        # The whole face lies in each tile that answers for it.
        assert start <= low
        assert high <= end
        answering += 1
    assert answering >= 1


@given(
    length=st.integers(513, 5000),
    side=st.integers(2 * _TILE_OVERLAP, 1500),
    piece=st.floats(0.1, _TILE_OVERLAP - 2 * _TILE_MARGIN - 0.1),
)
def test_no_tile_answers_for_a_piece_at_its_border(length, side, piece):
    plan = tiles(length, side, _TILE_OVERLAP)
    for index, (start, first, last) in enumerate(plan):
        if index > 0:
            assert start + piece / 2 < first
        if index < len(plan) - 1:
            assert start + side - piece / 2 > last


def test_tiles_by_hand():
    # 1,200 px in tiles of 512: ⌈(1200 - 256) / 256⌉ = 4, evenly from 0 to 688: 0, 229, 459, 688.
    # Between 0 … 512 and 229 … 741 the middle of the overlap is 370.5, and so on.
    inf = math.inf
    assert tiles(1200, 512, 256) == [
        (0, -inf, 386.5),
        (229, 354.5, 616.0),
        (459, 584.0, 845.5),
        (688, 813.5, inf),
    ]
    assert tiles(512, 512, 256) == [(0, -inf, inf)]


@pytest.mark.parametrize("x", range(0, 1100, 45))
def test_a_face_at_any_place_is_found_once_and_whole(x):
    found = pyramid(pixel_budget=BUDGET)(picture(512, 1200, (x, 100, x + 100, 200)))
    check_boxes(found, (x, 100, x + 100, 200))
    assert found.note == "in 1 x 4 tiles (pixel budget 262144)"


def test_a_piece_of_a_face_is_no_face():
    # Of 512 … 612 the first tile (0 … 512) sees nothing, of 490 … 590 only 22 px, which overlap
    # the whole face by 22 / 100: less than a suppression at 0.3 would notice.
    found = pyramid(pixel_budget=BUDGET)(picture(700, 1200, (490, 480, 590, 580)))
    check_boxes(found, (490, 480, 590, 580))


@pytest.mark.parametrize("side", [100, 128, 180, 224, 225, 256, 300, 500])
def test_faces_of_every_size_are_found_once(side):
    found = pyramid(pixel_budget=BUDGET)(picture(1200, 1200, (400, 350, 400 + side, 350 + side)))
    # Large ones come from the picture shrunk to 512 px: its pixels are 1200 / 512 = 2.3 px.
    tolerance = 0 if side <= 128 else 2.4
    check_boxes(found, (400, 350, 400 + side, 350 + side), tolerance=tolerance)


def test_neighbouring_faces_on_a_border_are_all_found():
    boxes = [(x, y, x + 40, y + 40) for y in (230, 480) for x in range(200, 800, 50)]
    found = pyramid(pixel_budget=BUDGET)(picture(700, 1000, *boxes))
    assert sorted(found.boxes.tolist()) == sorted(list(map(float, box)) for box in boxes)


def test_a_tiled_picture_keeps_no_more_than_another():
    boxes = [(x, 20, x + 10 + x // 100, 40) for x in range(0, 1200, 100)]
    one = pyramid(merge=NmsMerge(keep=3), pixel_budget=BUDGET)
    # The largest have the best scores: those furthest to the right.
    check_boxes(one(picture(512, 1300, *boxes)), boxes[11], boxes[10], boxes[9])


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("scale", [2.0, 0.8])
def test_tiles_of_a_scaled_and_mirrored_pass(scale, flip):
    boxes = [(230, 100, 280, 150), (700, 20, 750, 70)]
    one = pyramid(passes=[Pass(scale, flip)], pixel_budget=BUDGET)
    found = one(picture(600, 800, *boxes))
    check_boxes(found, *boxes, tolerance=1 / scale)
    assert "tiles" in found.note
    assert max(height * width for _, _, height, width in one.net.batches) <= BUDGET


def test_size_filters_hold_in_tiles():
    passes = [Pass(1.0, larger_than=30.0)]
    boxes = [(490, 100, 540, 150), (480, 300, 500, 320)]
    found = pyramid(passes=passes, pixel_budget=BUDGET)(picture(512, 1200, *boxes))
    check_boxes(found, boxes[0])


@pytest.mark.parametrize(("flip", "x"), [(False, 10), (True, 1140)])
def test_each_tile_is_mirrored_by_itself(flip, x):
    # A network that always sees a face at 10 … 60 of its 512 px. Mirrored it lies at 452 … 502.
    # Of the tiles from 0, 229, 459 and 688 only the first answers for a place so far to the
    # left, and only the last for 688 + 452 = 1140.
    one = pyramid(passes=[Pass(1.0, flip)], pixel_budget=BUDGET)
    one.postprocess = always((10.0, 10, 60, 60))
    check_boxes(one(picture(512, 1200)), (x, 10, x + 50, 60))


def test_size_filters_hold_in_the_shrunk_picture():
    passes = [Pass(1.0, larger_than=150.0)]
    one = pyramid(passes=passes, pixel_budget=60_000, on_large="shrink")
    boxes = [(0, 0, 100, 100), (200, 80, 400, 280)]
    check_boxes(one(picture(400, 600, *boxes)), boxes[1])


def test_shrinking_instead_of_tiles():
    one = pyramid(pixel_budget=60_000, on_large="shrink")
    found = one(picture(400, 600, (100, 80, 300, 280)))
    # 400 * 600 / 60,000 = 4: half the size.
    assert one.net.batches == [(1, 3, 200, 300)]
    check_boxes(found, (100, 80, 300, 280))
    assert found.note == "reduced to 0.5 of its size (pixel budget 60000)"


@pytest.mark.parametrize("on_large", ["tile", "shrink"])
def test_one_pass_over_a_large_picture_is_not_voted_away(on_large):
    # Each face of one pass is seen once; a vote among several passes would drop it.
    one = pyramid(merge=VoteMerge(), pixel_budget=BUDGET, on_large=on_large)
    assert len(one(picture(600, 1200, (100, 80, 200, 180))).boxes) == 1


@pytest.mark.parametrize("raw", [False, True])
def test_raw_candidates_of_tiles_are_left_to_the_merge(raw):
    # The face lies in the overlap of two tiles, whose middle is in it: both answer for it.
    merge = VoteMerge(iou=0.4, raw=raw, singletons="drop")
    found = pyramid(merge=merge, pixel_budget=BUDGET)(picture(512, 1200, (360, 100, 380, 120)))
    check_boxes(found, (360, 100, 380, 120))
    # A vote needs two boxes: were they suppressed before, there would be none.
    assert found.note == "in 1 x 4 tiles (pixel budget 262144)"


def test_the_note_survives_the_merging():
    one = pyramid((0.25, 1.0), pixel_budget=BUDGET)
    found = one(picture(600, 1200, (100, 80, 200, 180)))
    check_boxes(found, (100, 80, 200, 180))
    assert found.note == "in 2 x 4 tiles (pixel budget 262144)"


def test_an_unknown_way_with_large_pictures():
    with pytest.raises(UsageError, match="on_large='crop'"):
        pyramid(on_large="crop")
