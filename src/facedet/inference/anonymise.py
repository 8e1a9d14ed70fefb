"""Faces made unrecognisable."""

from collections.abc import Sequence
from typing import Literal, get_args

import cv2
import numpy as np

from facedet.errors import UsageError

Way = Literal["blur", "pixelate"]
# Of a face no more is kept than the mean colours of so many cells along its longer side; of a face
# smaller than `_CELLS * _CELL` pixels fewer, so that a cell is never a pixel.
_CELLS = 8
_CELL = 8


def hide(rgb: np.ndarray, boxes: Sequence[Sequence[float]], way: Way = "blur") -> np.ndarray:
    """A copy of a picture whose boxes hold only the mean colours of up to 8 x 8 cells.

    Args:
        rgb: uint8 [H, W, 3].
        boxes: xyxy pixels; what lies outside the picture is left out.
        way: `blur` joins the cells smoothly, `pixelate` shows them.

    Raises:
        UsageError: `way` is neither.
    """
    if way not in get_args(Way):
        raise UsageError(f"way={way!r}: expected {' or '.join(get_args(Way))}")
    hidden = np.ascontiguousarray(rgb).copy()
    height, width = hidden.shape[:2]
    smooth = cv2.INTER_CUBIC if way == "blur" else cv2.INTER_NEAREST
    for x1, y1, x2, y2 in boxes:
        left, top = max(0, int(np.floor(x1))), max(0, int(np.floor(y1)))
        right, bottom = min(width, int(np.ceil(x2))), min(height, int(np.ceil(y2)))
        if right <= left or bottom <= top:
            continue
        size = (right - left, bottom - top)
        cell = max(_CELL, max(size) / _CELLS)
        cells = [max(1, round(side / cell)) for side in size]
        # The cells of the untouched picture: two faces that overlap do not mix.
        small = cv2.resize(rgb[top:bottom, left:right], cells, interpolation=cv2.INTER_AREA)
        hidden[top:bottom, left:right] = cv2.resize(small, size, interpolation=smooth)
    return hidden
