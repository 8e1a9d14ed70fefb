"""EXTD's two training crops, as windows chosen from boxes alone and cut before anything is resized.

Data-anchor sampling (PyramidBox) resizes the picture until one face has about the size of an
anchor and cuts a window around it. The resized picture may have 144 million pixels, the window has
640 x 640; so only the part of the source that falls into the window is resized here.
"""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import cv2
import numpy as np

ANCHOR_SIDES = (16, 32, 64, 128, 256, 512)
# OpenCV's filters, and how many source pixels each reads on either side of a point.
INTERPOLATIONS = {
    "linear": (cv2.INTER_LINEAR, 1),
    "cubic": (cv2.INTER_CUBIC, 2),
    "area": (cv2.INTER_AREA, 1),
    "nearest": (cv2.INTER_NEAREST, 1),
    "lanczos4": (cv2.INTER_LANCZOS4, 4),
}
PADDING = (104, 117, 123)  # RGB; the mean in reverse order, as the paper's release has it
_MIN_AREA = 36.0  # px^2 of the network's input
_ALIGNMENT = 32  # pixels of the resized picture searched for an edge that falls on a source pixel


class Window(NamedTuple):
    """A rectangle of a resized picture."""

    resized: tuple[int, int]  # (height, width) of the whole picture after resizing
    top: int  # may be negative: that many rows of padding
    left: int  # may be negative: that many columns of padding
    height: int  # with the padding at the top; never beyond the picture's bottom
    width: int  # with the padding at the left; never beyond the picture's right side
    interpolation: str = "linear"  # of the resizing, a key of INTERPOLATIONS


class Crop(NamedTuple):
    """A window and the faces that stay."""

    window: Window
    keep: np.ndarray  # [N] bool


def whole_picture(picture: tuple[int, int], num_boxes: int) -> Crop:
    """The picture of size (height, width) as it is, with all its faces."""
    return Crop(Window(picture, 0, 0, *picture), np.ones(num_boxes, dtype=bool))


def choose_anchor_window(
    picture: tuple[int, int],
    boxes: np.ndarray,
    pickable: np.ndarray,
    rng: np.random.Generator,
    size: int = 640,
    sides: Sequence[int] = ANCHOR_SIDES,
    interpolations: Sequence[str] = tuple(INTERPOLATIONS),
    tries: int = 50,
    side_limit: int = 12000,
) -> Crop:
    """Data-anchor sampling, as PyramidBox and EXTD train with.

    One face is picked and brought to a randomly chosen anchor's side, at most one anchor larger
    than its own, times 2^U(-1, 1). Of the windows tried, those that hold a face entirely or overlap
    one by IoU > 0.7 are valid, and one of them is taken; without any, the whole resized picture.
    Faces stay whose centre is strictly inside and whose area exceeds 36 px^2 in the window; they
    are not clipped.

    Args:
        picture: (height, width) in pixels.
        boxes: [N, 4] float xyxy pixels.
        pickable: [N] bool, at least one True: the faces a window may be chosen for.
        rng: source of every draw.
        size: side of the window, the network's input.
        sides: anchor sides in pixels, ascending; those above `size` are no targets.
        interpolations: filters to draw from, keys of `INTERPOLATIONS`.
        tries: windows drawn.
        side_limit: the resized picture has at most this squared many pixels.
    """
    height, width = picture
    picked = int(rng.choice(np.flatnonzero(pickable)))
    ratio = _draw_target(boxes[picked], rng, size, sides) * 2 ** rng.uniform(-1, 1)
    ratio = min(ratio, side_limit / math.sqrt(height * width))
    resized = (max(1, round(height * ratio)), max(1, round(width * ratio)))
    interpolation = interpolations[int(rng.integers(len(interpolations)))]
    scaled = boxes * np.tile([resized[1] / width, resized[0] / height], 2)
    corners = _draw_corners(resized, scaled[picked], rng, size, tries)
    # A box annotated beside the picture can be held by a window that sees none of it.
    sees = ((corners < resized[::-1]) & (corners + size > 0)).all(axis=1)
    valid = np.flatnonzero(sees & _holds_a_face(corners, size, scaled[pickable]))
    large = _areas(scaled) > _MIN_AREA
    if not len(valid):
        return Crop(Window(resized, 0, 0, *resized, interpolation), large)
    left, top = (int(corner) for corner in corners[rng.choice(valid)])
    centres = (scaled[:, :2] + scaled[:, 2:]) / 2
    inside = ((centres > (left, top)) & (centres < (left + size, top + size))).all(axis=1)
    bottom, right = min(top + size, resized[0]), min(left + size, resized[1])
    window = Window(resized, top, left, bottom - top, right - left, interpolation)
    return Crop(window, inside & large)


def choose_square(
    picture: tuple[int, int],
    boxes: np.ndarray,
    pickable: np.ndarray,
    rng: np.random.Generator,
    size: int = 640,
    min_scale: float = 0.3,
    tries: int = 50,
) -> Crop:
    """A square that holds a face entirely (SSD's crop as S3FD and EXTD use it).

    Five searches, one for squares of the whole short side and four of U(min_scale, 1) of it, end
    with their first square around a face or with none; one of the squares found is taken, else the
    whole picture. Faces stay whose centre is inside or on the edge and which, clipped to the
    square, have at least 36 px^2 at the network's input.

    Args:
        picture: (height, width) in pixels.
        boxes: [N, 4] float xyxy pixels.
        pickable: [N] bool: the faces a square may be chosen for.
        rng: source of every draw.
        size: side of the network's input.
        min_scale: of the short side, for the smallest square.
        tries: squares drawn in each search.
    """
    height, width = picture
    scales = rng.uniform(min_scale, 1, (5, tries))
    scales[0] = 1
    # Whole pixels, so that the faces move by exactly as much as the pixels do.
    side = np.maximum(1, np.rint(min(picture) * scales)).astype(np.int64)
    left, top = rng.integers(0, width - side + 1), rng.integers(0, height - side + 1)
    squares = np.stack([left, top, left + side, top + side], axis=-1)  # (5, tries, 4)
    holds = _any_inside(squares, boxes[pickable])
    found = np.flatnonzero(holds.any(axis=1))
    window = Window(picture, 0, 0, height, width)
    if len(found):
        search = rng.choice(found)
        x1, y1, x2, y2 = squares[search, holds[search].argmax()].tolist()
        window = Window(picture, y1, x1, y2 - y1, x2 - x1)
    low = np.array([window.left, window.top])
    high = low + (window.width, window.height)
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    inside = ((centres >= low) & (centres <= high)).all(axis=1)
    clipped = np.clip(boxes, np.tile(low, 2), np.tile(high, 2))
    enlarged = _areas(clipped) * size**2 / (window.width * window.height)
    return Crop(window, inside & (enlarged >= _MIN_AREA))


def window_boxes(boxes: np.ndarray, picture: tuple[int, int], window: Window) -> np.ndarray:
    """Boxes [N, 4] xyxy pixels of a picture of size (height, width), in pixels of the window."""
    scale = np.array([window.resized[1] / picture[1], window.resized[0] / picture[0]])
    return boxes * np.tile(scale, 2) - np.tile([window.left, window.top], 2)


def cut_window(
    picture: np.ndarray,
    window: Window,
    distort: Callable[[np.ndarray], np.ndarray] = lambda piece: piece,
) -> np.ndarray:
    """The pixels of a window, without resizing what lies outside it.

    An enlarged picture that is wanted whole comes back at its own size: what follows resizes it
    to the network's input anyway.

    Args:
        picture: uint8 [H, W, 3].
        window: of that picture.
        distort: applied to the pixels of the window, before or after they are resized, whichever
            are fewer: resizing averages, and a photometric distortion is nearly linear.

    Returns:
        uint8 [window.height, window.width, 3], or the picture's own size as said above.
    """
    height, width = picture.shape[:2]
    rows, columns = window.resized
    whole = (window.top, window.left, window.height, window.width) == (0, 0, rows, columns)
    if whole and rows * columns > height * width:
        return distort(picture)
    flag, margin = INTERPOLATIONS[window.interpolation]
    x = _source_span(window.left, window.width, columns, width, margin)
    y = _source_span(window.top, window.height, rows, height, margin)
    piece = picture[y.source, x.source]
    shrinks = rows * columns < height * width
    if not shrinks:
        piece = distort(piece)
    if (rows, columns) != (height, width):
        piece = cv2.resize(piece, (x.resized, y.resized), interpolation=flag)[y.cut, x.cut]
    if shrinks:
        piece = distort(piece)
    top, left = max(0, -window.top), max(0, -window.left)
    if top or left:
        piece = cv2.copyMakeBorder(piece, top, 0, left, 0, cv2.BORDER_CONSTANT, value=PADDING)
    return piece


class _Span(NamedTuple):
    """One axis of a cut: source pixels, their number after resizing, and which of those count."""

    source: slice
    resized: int
    cut: slice


def _source_span(first: int, length: int, resized: int, source: int, margin: int) -> _Span:
    """The source pixels behind the pixels first .. first + length of a resized axis.

    Resizing a part gives the pixels of the resized whole only where the part's edges fall on edges
    of source pixels. Nearly such edges are searched outside the wanted span and the filter's reach.
    """
    start, stop = max(0, first), first + length
    if resized == source:
        return _Span(slice(start, stop), stop - start, slice(0, stop - start))
    scale = resized / source
    reach = math.ceil(margin * scale)
    low = _aligned(max(0, start - reach - _ALIGNMENT), max(0, start - reach), scale)
    high = _aligned(min(resized, stop + reach), min(resized, stop + reach + _ALIGNMENT), scale)
    part = slice(round(low / scale), round(high / scale))
    return _Span(part, high - low, slice(start - low, stop - low))


def _aligned(low: int, high: int, scale: float) -> int:
    """The edge in low..high that comes closest to an edge of source pixels."""
    edges = np.arange(low, high + 1) / scale
    return low + int(np.abs(edges - np.rint(edges)).argmin())


def _draw_target(
    box: np.ndarray, rng: np.random.Generator, size: int, sides: Sequence[int]
) -> float:
    """The factor that brings a face to the side of a randomly chosen anchor."""
    # Sides count whole pixels: a face from 3 to 5 is three wide.
    side = math.sqrt((box[2] - box[0] + 1) * (box[3] - box[1] + 1))
    nearest = int(np.abs(np.array(sides) - side).argmin())
    last = sum(anchor <= size for anchor in sides) - 1
    return sides[int(rng.integers(min(nearest + 1, last) + 1))] / side


def _draw_corners(
    resized: tuple[int, int], face: np.ndarray, rng: np.random.Generator, size: int, tries: int
) -> np.ndarray:
    """Upper left corners (x, y) [tries, 2] of windows in a resized picture."""
    height, width = resized
    if size < max(height, width):
        # From the face at the window's far edge to the face at its near edge; a face larger than
        # the window is cut by it instead.
        bounds = np.stack([face[:2], face[2:] + 1 - size])
    else:
        bounds = np.array([[width - size, height - size], [0, 0]], dtype=np.float64)
    low, high = bounds.min(axis=0), bounds.max(axis=0)
    return np.floor(rng.uniform(low, high, (tries, 2))).astype(np.int64)


def _holds_a_face(corners: np.ndarray, size: int, faces: np.ndarray) -> np.ndarray:
    """Which windows [T] hold a face entirely or overlap one by IoU > 0.7."""
    windows = np.concatenate([corners, corners + size], axis=1)
    low = np.maximum(windows[:, None, :2], faces[:, :2])
    high = np.minimum(windows[:, None, 2:], faces[:, 2:])
    shared = (high - low).clip(min=0).prod(axis=-1)
    overlaps = shared / (size**2 + _areas(faces) - shared) > 0.7
    return _any_inside(windows, faces) | overlaps.any(axis=1)


def _any_inside(windows: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Which windows [..., 4] hold any face [N, 4] entirely, edges included: [...] bool."""
    outer = windows[..., None, :]
    inside = (outer[..., :2] <= faces[:, :2]) & (outer[..., 2:] >= faces[:, 2:])
    return np.asarray(inside.all(axis=-1).any(axis=-1))


def _areas(boxes: np.ndarray) -> np.ndarray:
    return (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
