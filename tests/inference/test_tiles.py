"""Pictures above the pixel budget, with a detector that finds white boxes exactly."""

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from facedet.errors import UsageError
from facedet.inference.postprocess import NmsMerge, VoteMerge
from facedet.inference.scales import Pass
from facedet.inference.tiles import LARGEST, OVERLAP, STEP, Span, Tile, side_of, spans
from facedet.structures import Detections
from reference.bright_faces import always, check_boxes, find_bright, picture, pyramid

# Pixels of one 512 x 512 tile, the smallest that there is.
BUDGET = 512 * 512


def test_within_the_budget_nothing_is_cut():
    one = pyramid(pixel_budget=60 * 100, on_large="shrink")
    assert one(picture(60, 100, (10, 4, 30, 24))).note == ""
    assert one.net.batches == [(1, 3, 60, 100)]


SIDES = st.integers(4, 12).map(lambda steps: steps * STEP)


@given(
    length=st.integers(1, 5000),
    side=SIDES,
    face=st.integers(1, LARGEST),
    place=st.floats(0, 1),
)
def test_tiles_cover_and_one_answers_for_each_whole_face(length, side, face, place):
    plan = spans(length, side)
    ends = [min(one.start + side, length) for one in plan]
    assert (plan[0].start, ends[-1]) == (0, length)
    for end, one in zip(ends, plan[1:], strict=False):
        assert end - one.start >= OVERLAP
    low = place * max(length - face, 0)
    high = min(low + face, length)
    answering = 0
    for end, one in zip(ends, plan, strict=True):
        if not one.low <= (low + high) / 2 <= one.high:
            continue
        # The whole face lies in each tile that answers for it.
        assert one.start <= low
        assert high <= end
        answering += 1
    assert answering >= 1


@given(length=st.integers(513, 5000), side=SIDES, piece=st.floats(0.1, LARGEST - 0.1))
def test_no_tile_answers_for_a_piece_at_its_border(length, side, piece):
    plan = spans(length, side)
    for index, one in enumerate(plan):
        if index > 0:
            assert one.start + piece / 2 < one.low
        if index < len(plan) - 1:
            assert one.start + side - piece / 2 > one.high


@given(length=st.integers(1, 5000), side=SIDES)
def test_tiles_begin_where_every_stride_has_a_cell(length, side):
    assert all(one.start % 128 == 0 for one in spans(length, side))


def test_tiles_by_hand():
    # 1,200 px in tiles of 512: ⌈(1200 - 256) / 256⌉ = 4, of which the last begins at 688 or after:
    # 768, so that they are 256 apart. Between 0 … 512 and 256 … 768 the middle of the overlap is
    # 384, and so on.
    inf = math.inf
    assert spans(1200, 512) == [
        Span(0, -inf, 400.0, -inf, 512.0),
        Span(256, 368.0, 656.0, 256.0, 768.0),
        Span(512, 624.0, 912.0, 512.0, 1024.0),
        Span(768, 880.0, inf, 768.0, inf),
    ]
    assert spans(512, 512) == [Span(0, -inf, inf, -inf, inf)]
    # 1,095 x 1,095 = 1.2 million: 8 steps.
    assert [side_of(budget) for budget in (1_200_000, 1024 * 1024, 1)] == [1024, 1024, 512]


def test_a_large_box_counts_where_no_border_is_near():
    column, row = spans(1200, 512)[1], spans(400, 512)[0]
    # 300 px wide; 30 px and more from 256 and 768 are whole; the picture's own borders cut nothing.
    boxes = [(286, 0, 586, 400), (285, 0, 585, 300), (438, 0, 738, 300), (439, 0, 739, 300)]
    found = Tile(row, column).answers_for(torch.tensor(boxes, dtype=torch.float32))
    assert found.tolist() == [False, False, True, False]  # the first is 400 px high


def find_cells(images):
    """Each cell of 128 px with something bright in it has a face in its corner."""
    found = []
    for image in images:
        cells = F.max_pool2d(image[:1].float(), STEP, ceil_mode=True)[0] >= 128
        corners = cells.nonzero().flip(1) * float(STEP)
        scores = torch.linspace(0.9, 0.8, len(corners))
        found.append(Detections(torch.cat([corners, corners + 40], dim=1), scores))
    return found


@pytest.mark.parametrize("flip", [False, True])
def test_cells_of_tiles_are_those_of_the_whole_picture(flip):
    spots = [(x, y, x + 4, y + 4) for x in range(60, 1180, 150) for y in (20, 330, 640)]
    found = []
    for budget in (None, BUDGET):
        one = pyramid(passes=[Pass(1.0, flip)], pixel_budget=budget)
        one.postprocess = find_cells
        found.append(sorted(one(picture(700, 1190, *spots)).boxes.tolist()))
    assert found[0] == found[1]
    assert len(found[0]) >= len(spots)


@pytest.mark.parametrize("x", range(0, 1100, 45))
def test_a_face_at_any_place_is_found_once_and_whole(x):
    found = pyramid(pixel_budget=BUDGET)(picture(512, 1200, (x, 100, x + 100, 200)))
    check_boxes(found, (x, 100, x + 100, 200))
    assert found.note == "in 1 x 4 tiles (pixel budget 262144)"


def test_a_piece_of_a_face_is_no_face():
    # Of 512 … 612 the first tile (0 … 512) sees nothing, of 490 … 590 only 22 px, which overlap
    # the whole face by 22 / 100: less than a suppression at 0.3 would notice.
    # Hydra reads 3e5 as a number with a point.
    found = pyramid(pixel_budget=float(BUDGET))(picture(700, 1200, (490, 480, 590, 580)))
    check_boxes(found, (490, 480, 590, 580))


@pytest.mark.parametrize("shrunk_is_better", [False, True])
@pytest.mark.parametrize("side", [100, 128, 180, 224, 225, 256, 300, 500])
def test_faces_of_every_size_are_found_once(side, shrunk_is_better):
    one = pyramid(pixel_budget=BUDGET)
    if shrunk_is_better:
        one.postprocess = lambda images: [
            found._replace(scores=1 - found.scores) for found in find_bright(images)
        ]
    found = one(picture(1200, 1200, (400, 350, 400 + side, 350 + side)))
    # What no tile holds comes from the picture shrunk to 512 px, with pixels of 1200 / 512 = 2.3.
    tolerance = 0 if side <= 300 else 2.4
    check_boxes(found, (400, 350, 400 + side, 350 + side), tolerance=tolerance)


def test_a_mirrored_face_comes_from_the_tile_that_holds_it():
    # Mirrored it lies at 300 … 600, in the tile 256 … 768; unmirrored no tile holds it whole.
    one = pyramid(passes=[Pass(1.0, flip=True)], pixel_budget=BUDGET)
    one.postprocess = lambda images: [
        found._replace(scores=1 - found.scores) for found in find_bright(images)
    ]
    check_boxes(one(picture(1200, 1200, (601, 350, 901, 650))), (601, 350, 901, 650))


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
    boxes = [(230, 100, 284, 154), (700, 20, 750, 70)]
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
def test_tiles_are_cut_of_the_mirrored_picture(flip, x):
    # A network that always sees a face at 10 … 60 of its 512 px. Of the tiles from 0, 256, 512 and
    # 768 only the first answers for a place so far to the left: mirrored, 1200 - 60 = 1140.
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
    with pytest.raises(UsageError, match="tiles have 262,144 pixels at least"):
        pyramid(pixel_budget=BUDGET - 1)
    with pytest.raises(UsageError, match="on_large='crop'"):
        pyramid(on_large="crop")
