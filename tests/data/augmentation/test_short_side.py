"""SmallHardFace's scales and crops: sizes by hand, and rules by loops over faces."""

import functools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facedet.data.augmentation.smallhardface import ShortSideCrop, resized_size


@pytest.mark.parametrize(
    ("picture", "short", "expected"),
    [
        ((768, 1024), 400, (400, 533)),  # 400 / 768 * 1024 = 533.3
        ((768, 1024), 800, (800, 1067)),  # 1066.7
        ((1024, 768), 1200, (1600, 1200)),
        ((600, 2400), 1200, (500, 2000)),  # 1200 would make 4800: 2000 / 2400 * 600 = 500
        ((600, 1000), 1200, (1200, 2000)),  # exactly at the limit
        ((1, 3000), 400, (1, 2000)),  # 2000 / 3000 * 1 rounds to 1
        ((1, 9000), 400, (1, 2000)),  # 0.2 of a pixel is one
    ],
)
def test_sizes_by_hand(picture, short, expected):
    assert resized_size(picture, short, 2000) == expected


made = functools.cache(ShortSideCrop)


def choose(picture, boxes, seed=0, pickable=None, **how):
    boxes = np.array(boxes, dtype=np.float64).reshape(-1, 4)
    pickable = np.ones(len(boxes), bool) if pickable is None else np.array(pickable)
    return made(**how).choose(picture, boxes, pickable, np.random.default_rng(seed))


def is_whole(window):
    return (window.top, window.left, window.height, window.width) == (0, 0, *window.resized)


def test_scales_are_drawn_evenly():
    counts = dict.fromkeys([400, 800, 1200], 0)
    for seed in range(900):
        window = choose((300, 400), [], seed).window
        counts[window.resized[0]] += 1
        assert is_whole(window)  # no face, no crop
    # 300 expected, standard deviation sqrt(900 * 2 / 9) = 14.
    assert all(abs(count - 300) < 57 for count in counts.values())


def test_half_of_the_pictures_are_cropped_and_both_sides_by_themselves():
    face = [[150, 100, 250, 200]]
    windows = [choose((300, 400), face, seed, scales=(300,)).window for seed in range(1000)]
    cropped = [window for window in windows if not is_whole(window)]
    # 500 expected, standard deviation 16; a face in the middle is nearly always held.
    assert abs(len(cropped) - 500) < 70
    heights = np.array([window.height / 300 for window in cropped])
    widths = np.array([window.width / 400 for window in cropped])
    for ratios in (heights, widths):
        assert 0.598 < ratios.min() < 0.62
        assert 0.98 < ratios.max() <= 1
        assert ratios.mean() == pytest.approx(0.8, abs=0.03)
    assert abs(np.corrcoef(heights, widths)[0, 1]) < 0.15


def test_faces_by_hand():
    # At scale 1: the first stays; the second has a width of 0.9 pixels; the third lies beyond the
    # picture but for 0.5 of its width; the fourth reaches beyond it and is clipped to 5 x 5.
    boxes = [[10, 10, 30, 30], [50, 50, 50.9, 70], [99.5, 40, 130, 60], [-15, -15, 5, 5]]
    crop = choose((100, 100), boxes, scales=(100,), crop=0.0)
    assert crop.keep.tolist() == [True, False, False, True]
    # Twice as large, the second has 1.8 pixels and the third one.
    crop = choose((100, 100), boxes, scales=(200,), crop=0.0)
    assert crop.keep.tolist() == [True, True, True, True]
    # A quarter: 5 x 5 become 1.25 pixels.
    crop = choose((100, 100), boxes, scales=(25,), crop=0.0)
    assert crop.keep.tolist() == [True, False, False, True]


def kept(window, picture, boxes):
    """Numbers of the faces that stay, one by one."""
    rows = []
    for number, box in enumerate(boxes):
        scale_x, scale_y = window.resized[1] / picture[1], window.resized[0] / picture[0]
        x1, x2 = (min(max(x, 0), picture[1]) * scale_x for x in (box[0], box[2]))
        y1, y2 = (min(max(y, 0), picture[0]) * scale_y for y in (box[1], box[3]))
        right, bottom = window.left + window.width, window.top + window.height
        inside = window.left < (x1 + x2) / 2 < right and window.top < (y1 + y2) / 2 < bottom
        wide = min(x2, right) - max(x1, window.left) >= 1
        high = min(y2, bottom) - max(y1, window.top) >= 1
        if inside and wide and high:
            rows.append(number)
    return rows


sides = st.integers(1, 900)
corners = st.tuples(st.floats(-50, 950), st.floats(-50, 950))
faces = st.lists(
    st.tuples(corners, st.floats(0, 300), st.floats(0, 300), st.booleans()), max_size=6
)


@settings(max_examples=300)
@given(st.tuples(sides, sides), faces, st.integers(0, 10**6), st.sampled_from([0.0, 0.5, 1.0]))
def test_invariants(picture, listed, seed, share):
    boxes = np.array([(x, y, x + w, y + h) for (x, y), w, h, _ in listed]).reshape(-1, 4)
    pickable = np.array([is_face for *_, is_face in listed], dtype=bool)
    rng = np.random.default_rng(seed)
    crop = made(crop=share).choose(picture, boxes, pickable, rng)
    window = crop.window
    assert window.resized in [resized_size(picture, short, 2000) for short in (400, 800, 1200)]
    height, width = window.resized
    assert window.top >= 0
    assert window.left >= 0
    assert window.top + window.height <= height
    assert window.left + window.width <= width
    assert max(1, round(0.6 * height)) <= window.height
    assert max(1, round(0.6 * width)) <= window.width
    assert np.flatnonzero(crop.keep).tolist() == kept(window, picture, boxes)
    if not is_whole(window):
        assert share > 0
        assert holds_a_centre(window, picture, boxes[pickable])


def holds_a_centre(window, picture, boxes):
    scale = np.array([window.resized[1] / picture[1], window.resized[0] / picture[0]])
    clipped = boxes.clip(0, [picture[1], picture[0]] * 2)
    centres = (clipped[:, :2] + clipped[:, 2:]) / 2 * scale - (window.left, window.top)
    return bool(((centres > 0) & (centres < (window.width, window.height))).all(axis=1).any())
