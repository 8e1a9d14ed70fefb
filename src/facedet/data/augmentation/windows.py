"""Windows of resized pictures, cut without resizing what lies outside them.

Data-anchor sampling (PyramidBox) resizes the picture until one face has about the size of an
anchor and cuts a window around it. The resized picture may have 144 million pixels, the window has
640 x 640; so only the part of the source that falls into the window is resized here.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import cv2
import numpy as np

# OpenCV's filters, and how many source pixels each reads on either side of a point.
INTERPOLATIONS = {
    "linear": (cv2.INTER_LINEAR, 1),
    "cubic": (cv2.INTER_CUBIC, 2),
    "area": (cv2.INTER_AREA, 1),
    "nearest": (cv2.INTER_NEAREST, 1),
    "lanczos4": (cv2.INTER_LANCZOS4, 4),
}
PADDING = (104, 117, 123)  # RGB; the mean in reverse order, as the paper's release has it
_ALIGNMENT = 32  # pixels of the resized picture searched for an edge that falls on a source pixel

Size = tuple[int, int]  # (height, width) in pixels


class Window(NamedTuple):
    """A rectangle of a resized picture."""

    resized: Size  # of the whole picture after resizing
    top: int  # may be negative: that many rows of padding
    left: int  # may be negative: that many columns of padding
    height: int  # with the padding at the top; never beyond the picture's bottom
    width: int  # with the padding at the left; never beyond the picture's right side
    interpolation: str = "linear"  # of the resizing, a key of INTERPOLATIONS


class Crop(NamedTuple):
    """A window and the faces that stay."""

    window: Window
    keep: np.ndarray  # [N] bool


def window_boxes(boxes: np.ndarray, picture: Size, window: Window) -> np.ndarray:
    """Boxes [N, 4] xyxy pixels of a picture of that size, in pixels of the window."""
    scale = np.array([window.resized[1] / picture[1], window.resized[0] / picture[0]])
    return boxes * np.tile(scale, 2) - np.tile([window.left, window.top], 2)


def cut_window(
    picture: np.ndarray,
    window: Window,
    distort: Callable[[np.ndarray], np.ndarray] = lambda piece: piece,
) -> np.ndarray:
    """The pixels of a window, without resizing what lies outside it.

    An enlarged picture that is needed whole comes back at its own size: what follows resizes it
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
    of source pixels. Nearly such edges are searched outside the span and the filter's reach.
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
