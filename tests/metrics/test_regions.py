"""FDDB's regions as pixels, counted by hand and against masks of the whole picture."""

import cv2
import numpy as np
import pytest

from facedet.metrics.regions import draw_ellipses, draw_rectangles, similarities

SIZE = (12, 20)  # 12 px high, 20 px wide


def ellipse(ra, rb, degrees, cx, cy):
    return np.array([[ra, rb, np.radians(degrees), cx, cy]])


def pixels(shape, size=SIZE):
    """(x, y) of all pixels of one ellipse."""
    drawn = draw_ellipses(shape, size)
    rows, columns = np.nonzero(drawn.masks[0])
    x1, y1 = drawn.windows[0, :2]
    assert drawn.areas[0] == len(rows)
    return sorted(zip((columns + x1).tolist(), (rows + y1).tolist(), strict=True))


def test_rectangles_by_hand():
    boxes = [[0, 0, 9, 4], [-5, -5, 4, 4], [15, 8, 99, 99], [30, 0, 40, 5], [-9, -9, -2, -2]]
    # 10 x 5; 5 x 5; 5 x 4; outside to the right; outside to the left.
    assert draw_rectangles(np.array(boxes, float), SIZE).areas.tolist() == [50, 25, 20, 0, 0]
    # 0.5 -> 0, 1.5 -> 2, 2.5 -> 2, 3.51 -> 4: x from 0 to 2, y from 2 to 4; corners may be swapped.
    for corners in ([0.5, 1.5, 2.5, 3.51], [2.5, 3.51, 0.5, 1.5]):
        assert draw_rectangles(np.array([corners]), SIZE).windows.tolist() == [[0, 2, 3, 5]]


def test_flat_ellipses_by_hand():
    # A line along the first axis.
    assert pixels(ellipse(3, 0, 0, 8, 5)) == [(x, 5) for x in range(5, 12)]
    assert pixels(ellipse(3, 0, 90, 8, 5)) == [(8, y) for y in range(2, 9)]
    # The angle turns clockwise on the screen.
    line = pixels(ellipse(4, 0, 45, 8, 5))
    assert (10, 7) in line
    assert (10, 3) not in line
    # Axes are cut and centres rounded: 3.99 -> 3; 8.5 -> 8 and 5.5 -> 6, half to even.
    assert pixels(ellipse(3.99, 0.99, 0, 8.5, 5.5)) == [(x, 6) for x in range(5, 12)]
    # Cut at the borders.
    assert pixels(ellipse(3, 0, 0, 1, 5)) == [(x, 5) for x in range(5)]
    drawn = draw_ellipses(ellipse(3, 2, 0, 99, 5), SIZE)
    assert (drawn.areas.tolist(), drawn.masks[0].size) == ([0], 0)


def test_similarity_by_hand():
    line = ellipse(3, 0, 0, 8, 5)  # x from 5 to 11
    boxes = np.array([[5, 5, 11, 5], [9, 5, 13, 5], [0, 0, 3, 3]], float)
    # 7 of 7; 3 shared of 7 + 5 - 3; none.
    expected = [[1.0, 3 / 9, 0.0]]
    np.testing.assert_allclose(similarities(line, boxes, SIZE), expected)
    np.testing.assert_allclose(similarities(boxes, line, SIZE), np.transpose(expected))
    # What lies beyond the border counts for nothing: inside both are x from 16 to 19; in a wider
    # picture the line ends at 22, the box at 30: 7 of 15.
    line, box = ellipse(3, 0, 0, 19, 5), np.array([[16, 5, 30, 5]], float)
    assert similarities(line, box, SIZE).item() == 1.0
    assert similarities(line, box, (12, 99)).item() == pytest.approx(7 / 15)


def test_nothing_has_no_similarity():
    outside = np.array([[30, 30, 40, 40]], float)
    assert similarities(outside, outside, SIZE).item() == 0.0
    assert similarities(np.zeros((0, 5)), outside, SIZE).shape == (0, 1)
    assert similarities(ellipse(3, 2, 0, 8, 5), np.zeros((0, 4)), SIZE).shape == (1, 0)


def whole_mask(shape, size):
    """A region on a mask of the picture's size."""
    mask = np.zeros(size, np.uint8)
    if len(shape) == 5:
        centre = np.rint(shape[3:]).astype(int).tolist()
        axes = shape[:2].astype(int).tolist()
        cv2.ellipse(mask, centre, axes, float(np.degrees(shape[2])), 0, 360, 1, -1)
    else:
        corners = np.rint(shape).astype(int).tolist()
        cv2.rectangle(mask, corners[:2], corners[2:], 1, -1)
    return mask.astype(bool)


@pytest.mark.parametrize("columns", [(5, 4), (4, 5), (5, 5), (4, 4)])
def test_windows_say_what_whole_masks_say(columns):
    rng = np.random.default_rng(0)
    size = (70, 90)

    def shapes(kind):
        if kind == 5:
            low, high = [2, 2, -4, -10, -10], [40, 30, 4, 100, 80]
            return rng.uniform(low, high, (15, 5))
        low = rng.uniform(-20, 80, (15, 2))
        return np.hstack([low, low + rng.uniform(0, 50, (15, 2))])

    a, b = (shapes(kind) for kind in columns)
    masks = [[whole_mask(shape, size) for shape in some] for some in (a, b)]
    shared = np.array([[np.sum(x & y) for y in masks[1]] for x in masks[0]])
    union = np.array([[np.sum(x | y) for y in masks[1]] for x in masks[0]])
    assert (shared > 0).sum() > 20
    np.testing.assert_array_equal(similarities(a, b, size), shared / np.maximum(union, 1))
