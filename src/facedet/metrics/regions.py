"""FDDB's regions as pixels: ellipses and rectangles drawn, and how much two of them share.

Pure functions in numpy. They follow FDDB's evaluation tool (Jain and Learned-Miller, 2010), which
draws every region with OpenCV on a mask of the picture's size and counts pixels. Here each region
has a window of its own, cut at the picture's border, so that no mask is larger than a face.
"""

from typing import NamedTuple

import cv2
import numpy as np

# Pixels that OpenCV's polygon may reach beyond the exact ellipse.
_DRAWN_MARGIN = 2


class Drawn(NamedTuple):
    """Regions as pixels of the picture."""

    windows: np.ndarray  # [N, 4] int64 x1, y1, x2, y2: the first pixel and the first one beyond
    areas: np.ndarray  # [N] int64 pixels
    masks: list[np.ndarray] | None  # [h, w] uint8, 1 inside; None: all of each window


def similarities(faces: np.ndarray, found: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Intersection over union [G, N] in [0, 1], counted in pixels inside the picture.

    Args:
        faces: ellipses [G, 5] as `draw_ellipses` takes them, or boxes [G, 4] xyxy pixels.
        found: the same of the detections, [N, 5] or [N, 4].
        size: (height, width) of the picture: what reaches beyond it is cut off.

    >>> similarities(np.array([[0., 0., 9., 9.]]), np.array([[0., 0., 9., 4.]]), (20, 20)).item()
    0.5
    """
    a, b = (
        (draw_ellipses if shapes.shape[1] == 5 else draw_rectangles)(shapes, size)
        for shapes in (faces, found)
    )
    shared = _shared(a, b)
    union = a.areas[:, None] + b.areas[None, :] - shared
    return shared / np.maximum(union, 1)


def draw_rectangles(boxes: np.ndarray, size: tuple[int, int]) -> Drawn:
    """Boxes [N, 4] xyxy px as filled rectangles, both rounded corners inside.

    Single precision decides on the rounding; half goes to the even pixel.
    """
    corners = np.rint(boxes.astype(np.float32)).astype(np.int64).reshape(-1, 2, 2)
    # OpenCV draws a rectangle whichever of its corners is named first.
    return _full_windows(np.hstack([corners.min(axis=1), corners.max(axis=1) + 1]), size)


def draw_ellipses(ellipses: np.ndarray, size: tuple[int, int]) -> Drawn:
    """Ellipses [N, 5] as OpenCV fills them.

    Args:
        ellipses: half axes ra and rb (px, cut to whole ones), angle of ra to the x axis (radians,
            clockwise on the screen, rounded to whole degrees), centre x and y (px, rounded).
        size: (height, width) of the picture.
    """
    centres = np.rint(ellipses[:, 3:].astype(np.float32)).astype(np.int64)
    axes = ellipses[:, :2].astype(np.int64)
    (a, b), cos, sin = axes.T**2, np.cos(ellipses[:, 2]) ** 2, np.sin(ellipses[:, 2]) ** 2
    reach = np.sqrt(np.column_stack([a * cos + b * sin, a * sin + b * cos]))
    reach = np.ceil(reach).astype(np.int64) + _DRAWN_MARGIN
    windows, _, _ = _full_windows(np.hstack([centres - reach, centres + reach + 1]), size)
    masks = []
    for window, centre, axis, angle in zip(windows, centres, axes, ellipses[:, 2], strict=True):
        mask = np.zeros((window[3] - window[1], window[2] - window[0]), np.uint8)
        if mask.size:
            middle = (centre - window[:2]).tolist()
            cv2.ellipse(mask, middle, axis.tolist(), float(np.degrees(angle)), 0, 360, 1, -1)
        masks.append(mask)
    areas = np.array([np.count_nonzero(mask) for mask in masks], dtype=np.int64)
    return Drawn(windows, areas, masks)


def _full_windows(windows: np.ndarray, size: tuple[int, int]) -> Drawn:
    """Windows [N, 4] cut at the picture's border, where nothing may be left."""
    height, width = size
    windows = np.clip(windows, 0, np.array([width, height, width, height]))
    areas = (windows[:, 2] - windows[:, 0]) * (windows[:, 3] - windows[:, 1])
    return Drawn(windows, areas, None)


def _shared(a: Drawn, b: Drawn) -> np.ndarray:
    """Pixels [G, N] that are in both regions."""
    if a.masks is None and b.masks is None:
        low = np.maximum(a.windows[:, None, :2], b.windows[None, :, :2])
        high = np.minimum(a.windows[:, None, 2:], b.windows[None, :, 2:])
        return np.clip(high - low, 0, None).prod(axis=2)
    if a.masks is None:
        return _shared(b, a).T
    counts = np.zeros((len(a.areas), len(b.areas)), dtype=np.int64)
    for row, (window, mask) in enumerate(zip(a.windows, a.masks, strict=True)):
        if b.masks is None:
            counts[row] = _count_inside(mask, window, b.windows)
        else:
            others = zip(b.windows, b.masks, strict=True)
            counts[row] = [_count_both(window, mask, *other) for other in others]
    return counts


def _count_inside(mask: np.ndarray, window: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Pixels [N] of a mask that lie in windows [N, 4], by four look-ups each in its running sum."""
    if not mask.size:
        return np.zeros(len(others), dtype=np.int64)
    sums = cv2.integral(mask)
    low, high = np.tile(window[:2], 2), np.tile(window[2:], 2)
    x1, y1, x2, y2 = (np.clip(others, low, high) - low).T
    return sums[y2, x2] - sums[y1, x2] - sums[y2, x1] + sums[y1, x1]


def _count_both(a: np.ndarray, mask: np.ndarray, b: np.ndarray, other: np.ndarray) -> int:
    """Pixels that are in both masks, of the windows a and b."""
    x1, y1 = np.maximum(a[:2], b[:2])
    x2, y2 = np.minimum(a[2:], b[2:])
    if x1 >= x2 or y1 >= y2:
        return 0
    part = mask[y1 - a[1] : y2 - a[1], x1 - a[0] : x2 - a[0]]
    return int((part & other[y1 - b[1] : y2 - b[1], x1 - b[0] : x2 - b[0]]).sum())
