"""EXTD's crops: rules by hand and against loops, pixels against resizing the whole picture."""

import functools
import math

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.random import default_rng

from facedet.data.augmentation import windows as crops
from facedet.data.augmentation.extd import DataAnchorSampling, SquareCrop
from facedet.data.augmentation.windows import Window, cut_window
from reference import whole_resize as reference
from reference.whole_resize import difference

ALL = np.ones(1, dtype=bool)  # one face, and a window may be chosen for it


@functools.cache
def made(kind, **how):
    return kind(**how)


def choose_anchor_window(picture, boxes, pickable, rng, **how):
    return made(DataAnchorSampling, **how).choose(picture, boxes, pickable, rng)


def choose_square(picture, boxes, pickable, rng, **how):
    return made(SquareCrop, **how).choose(picture, boxes, pickable, rng)


def test_target_anchor():
    # 49 x 49 at 10..59 counts 50 whole pixels: nearest to 64 (index 2), so targets 16 .. 128, and
    # the ratio lies within a factor of two of target / 50.
    box = np.array([[10.0, 10.0, 59.0, 59.0]])
    rng, ratios = default_rng(1), []
    for _ in range(3000):
        window = choose_anchor_window((2000, 2000), box, ALL, rng).window
        ratios.append(window.resized[0] / 2000)
    assert min(ratios) >= 16 / 50 / 2 - 1e-3
    assert min(ratios) < 16 / 50 / 2 * 1.02
    assert 128 / 50 * 2 * 0.98 < max(ratios) <= 128 / 50 * 2 + 1e-3
    # log2(ratio * 50 / 16) is U(-1, 1) + {0, 1, 2, 3}, evenly: a quarter is below 0.5.
    below = np.mean(np.log2(np.array(ratios) * 50 / 16) < 0.5)
    # P = (0.75 * 1 + 0.25 * 1) / 4 = 0.25, standard deviation 0.008
    assert abs(below - 0.25) < 0.035


def test_no_target_above_the_window():
    # At 128 pixels the targets end at 128 whatever the face: ratio at most 128 / 400 * 2.
    box = np.array([[0.0, 0.0, 399.0, 399.0]])
    rng = default_rng(2)
    ratios = [
        choose_anchor_window((800, 800), box, ALL, rng, size=128).window.resized[0] / 800
        for _ in range(500)
    ]
    assert max(ratios) <= 128 / 400 * 2 + 1e-3
    assert max(ratios) > 128 / 400 * 2 * 0.9


def test_the_resized_picture_is_limited():
    box = np.array([[0.0, 0.0, 3.0, 3.0]])
    rng = default_rng(3)
    areas = [
        math.prod(choose_anchor_window((2000, 3000), box, ALL, rng).window.resized)
        for _ in range(50)
    ]
    # 16 / 4 and 32 / 4 times 2^U(-1, 1) exceed sqrt(12000^2 / (2000 * 3000)) = 4.9 often.
    assert max(areas) == pytest.approx(12000**2, rel=1e-3)


faces = st.lists(
    st.tuples(st.integers(0, 280), st.integers(0, 180), st.floats(2, 120), st.floats(2, 120)).map(
        lambda f: (f[0], f[1], min(f[0] + f[2], 300.0), min(f[1] + f[3], 200.0))
    ),
    min_size=1,
    max_size=6,
)


@settings(deadline=None, max_examples=150)
@given(faces, st.integers(0, 2**32))
def test_anchor_windows_obey_the_rules(boxes, seed):
    size, picture = 96, (200, 300)
    boxes = np.array(boxes, dtype=np.float64)
    crop = choose_anchor_window(
        picture, boxes, np.ones(len(boxes), dtype=bool), default_rng(seed), size=size
    )
    window = crop.window
    scaled = crops.window_boxes(boxes, picture, Window(window.resized, 0, 0, 1, 1))
    large = [n for n, (x1, y1, x2, y2) in enumerate(scaled) if (x2 - x1) * (y2 - y1) > 36]
    if (window.top, window.left, *window.resized) == (0, 0, window.height, window.width):
        assert np.flatnonzero(crop.keep).tolist() in (
            large,
            reference.anchor_faces(0, 0, size, scaled),
        )
        return
    assert reference.anchor_window_is_valid(window.left, window.top, size, scaled)
    kept = reference.anchor_faces(window.left, window.top, size, scaled)
    assert np.flatnonzero(crop.keep).tolist() == kept
    rows, columns = window.resized
    assert window.width == min(window.left + size, columns) - window.left > 0
    assert window.height == min(window.top + size, rows) - window.top > 0
    if max(rows, columns) <= size:
        # The whole picture is in the window, in its lower right part.
        assert columns - size <= window.left <= 0
        assert rows - size <= window.top <= 0


def test_windows_lie_around_the_face():
    # The window's left runs from x2 + 1 - 128, the face at its right edge, to x1, at its left edge.
    box = np.array([[300.0, 300.0, 350.0, 320.0]])
    rng, slack = default_rng(4), []
    for _ in range(400):
        window = choose_anchor_window((1000, 1000), box, ALL, rng, size=128, sides=(32,)).window
        x1, y1, x2, y2 = crops.window_boxes(box, (1000, 1000), window)[0]
        assert x1 >= 0
        assert x2 <= 128
        assert y1 >= 0
        assert y2 <= 128
        slack.append(x1 / (128 - (x2 - x1)))
    assert min(slack) < 0.05
    assert max(slack) > 0.95


def test_a_face_that_fits_is_always_held():
    # Up to 128 pixels, nearly as large as the window: the very first window tried holds it, so the
    # whole picture never comes. Without the one pixel in the bounds, rounding would cut it off.
    box = np.array([[100.3, 90.7, 130.3, 120.7]])
    rng = default_rng(8)
    for _ in range(300):
        crop = choose_anchor_window((1000, 1000), box, ALL, rng, size=130, sides=(64,), tries=1)
        assert crop.window.resized != (crop.window.height, crop.window.width)
        assert crop.keep.tolist() == [True]


def test_a_window_sees_something_of_the_picture():
    # The box is annotated to the right of a picture 100 wide.
    box = np.array([[190.0, 10.0, 220.0, 40.0]])
    rng = default_rng(9)
    for _ in range(200):
        window = choose_anchor_window((100, 100), box, ALL, rng, size=96, sides=(64,)).window
        assert window.width > 0
        assert window.height > 0


def test_without_a_valid_window_the_whole_picture_stays():
    # A face as large as the picture comes to 64 .. 256 pixels. No window of 128 holds it or
    # overlaps it by more than 0.7 where 128^2 / side^2 < 0.7, that is above 153.
    box = np.array([[0.0, 0.0, 299.0, 299.0]])
    rng, whole = default_rng(6), 0
    for _ in range(300):
        crop = choose_anchor_window((300, 300), box, ALL, rng, size=128, sides=(128,))
        rows = crop.window.resized[0]
        if rows > 155:
            assert crop.window[:5] == ((rows, rows), 0, 0, rows, rows)
            assert crop.keep.tolist() == [True]
            whole += 1
        elif rows < 150:
            assert crop.window.width <= 128
    assert whole > 50


@settings(deadline=None, max_examples=150)
@given(faces, st.integers(0, 2**32))
def test_squares_obey_the_rules(boxes, seed):
    boxes = np.array(boxes, dtype=np.float64)
    crop = choose_square(
        (200, 300), boxes, np.ones(len(boxes), dtype=bool), default_rng(seed), size=96
    )
    window = crop.window
    if window.width != window.height:  # none found
        assert window == Window((200, 300), 0, 0, 200, 300)
        return
    side = window.width
    assert 60 <= side <= 200  # 0.3 and 1.0 of the short side
    assert 0 <= window.left <= 300 - side
    assert 0 <= window.top <= 200 - side
    right, bottom = window.left + side, window.top + side
    assert any(
        window.left <= x1 and window.top <= y1 and x2 <= right and y2 <= bottom
        for x1, y1, x2, y2 in boxes
    )
    kept = reference.square_faces(window.left, window.top, side, 96, boxes)
    assert np.flatnonzero(crop.keep).tolist() == kept


def test_a_fifth_of_the_squares_span_the_short_side():
    # Every search finds a small face in the middle nearly always: one search in five has scale 1.
    box = np.array([[145.0, 95.0, 155.0, 105.0]])
    rng = default_rng(7)
    sides = [choose_square((200, 300), box, ALL, rng).window.width for _ in range(2000)]
    # U(0.3, 1) rounds to 200 for another 0.8 * 0.36 %; standard deviation 0.9 %.
    assert abs(np.mean(np.array(sides) == 200) - 0.203) < 0.035
    assert min(sides) < 70


@pytest.mark.parametrize("interpolation", list(crops.INTERPOLATIONS))
@pytest.mark.parametrize(
    ("ratio", "top", "left"),
    [
        (0.31, -200, -100),
        (0.77, -20, 150),
        (1.37, 100, 200),
        (2.9, 900, 1200),
        (7.3, -77, 3555),
    ],
)
def test_the_window_is_that_of_the_resized_whole(picture, interpolation, ratio, top, left):
    resized = (round(400 * ratio), round(512 * ratio))
    bottom, right = min(top + 256, resized[0]), min(left + 256, resized[1])
    window = Window(resized, top, left, bottom - top, right - left, interpolation)
    ours, whole = cut_window(picture, window), reference.cut_whole(picture, window)
    assert ours.shape == whole.shape
    half_a_pixel = np.array([[1, 0, 0.5], [0, 1, 0.5]], dtype=np.float32)
    shifted = cv2.warpAffine(
        whole, half_a_pixel, whole.shape[1::-1], borderMode=cv2.BORDER_REPLICATE
    )
    apart = difference(ours, whole)
    assert apart.mean() < 0.4
    assert apart.mean() < difference(shifted, whole).mean() / 3
    assert np.quantile(apart, 0.9) <= 1


def test_a_window_of_the_picture_as_it_is(picture):
    window = Window((400, 512), 30, 40, 256, 200)
    np.testing.assert_array_equal(cut_window(picture, window), picture[30:286, 40:240])


def test_padding_by_hand():
    image = np.full((4, 6, 3), 9, dtype=np.uint8)
    out = cut_window(image, Window((4, 6), -2, -1, 6, 5))
    assert out.shape == (6, 5, 3)
    assert out[1, 3].tolist() == [104, 117, 123]
    assert out[3, 0].tolist() == [104, 117, 123]
    assert (out[2:, 1:] == 9).all()
    # What is padded is not distorted, neither before nor after a resize.
    for resized in ((4, 6), (2, 3), (8, 12)):
        out = cut_window(image, Window(resized, -1, 0, 3, 3), lambda piece: piece + 1)
        assert out[0].tolist() == [[104, 117, 123]] * 3
        assert (out[1:] == 10).all()


def test_a_window_touches_only_its_own_pixels(picture):
    seen = []
    window = Window((4000, 5120), 1000, 2000, 640, 640, "lanczos4")
    cut_window(picture, window, lambda piece: seen.append(piece.shape) or piece)
    # 64 source pixels, 4 for the filter and at most 4 for the alignment on either side.
    assert max(seen[0][:2]) <= 64 + 2 * (4 + 4)
