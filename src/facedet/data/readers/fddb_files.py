"""FDDB's text layout, which its annotations and its results share.

A picture is a block of lines: its name without a suffix ("2002/08/11/big/img_591"), a number of
faces, and as many rows of numbers. Blocks follow each other in one file or in one per fold.
"""

from collections.abc import Iterable

import numpy as np

from facedet.data.readers.number_rows import parse_rows
from facedet.data.readers.text import Text, without_suffix
from facedet.errors import FacedetError

_ELLIPSE_COLUMNS = 6


def read_blocks(
    texts: Iterable[Text], columns: tuple[int, ...], farthest: float = np.inf
) -> dict[str, np.ndarray]:
    """Reads blocks of rows.

    Args:
        texts: (source, name, text) of files.
        columns: numbers that a row may have; all rows of all texts have as many.
        farthest: the largest number allowed, of either sign.

    Returns:
        By picture, in the files' order, float64 [N, columns]; [0, columns[0]] where nothing says
        how many.

    Raises:
        FacedetError: a malformed line, or a picture that is there twice; the message names both.
    """
    blocks: dict[str, np.ndarray] = {}
    wanted = None
    for source, _, text in texts:
        lines = text.rstrip().splitlines()
        place = 0
        while place < len(lines):
            if not lines[place].strip():
                place += 1
                continue
            name = without_suffix(lines[place].strip())
            if name in blocks:
                raise FacedetError(f"{source}, line {place + 1}: {name} is there a second time")
            if len(name.split()) > 1:
                raise FacedetError(f"{source}, line {place + 1}: '{name[:80]}' is no picture")
            count = lines[place + 1].strip() if place + 1 < len(lines) else ""
            if not count.isdecimal() or len(count) > 9:  # int() refuses thousands of digits
                raise FacedetError(f"{source}, line {place + 2}: '{count[:80]}' is no number")
            place += 2
            if int(count) and wanted is None and place < len(lines):
                width = len(lines[place].split())
                wanted = width if width in columns else None
            size = wanted or columns[0]
            rows = parse_rows(lines, place, int(count), size, source, farthest)
            is_bad = (rows[:, :2] < 0).any(axis=1) & (size == _ELLIPSE_COLUMNS)
            if is_bad.any():
                line = place + int(is_bad.argmax()) + 1
                raise FacedetError(f"{source}, line {line}: an ellipse has a half axis below 0")
            blocks[name] = rows
            place += int(count)
    # What comes before the first row does not know how wide rows are.
    nothing = np.zeros((0, wanted or columns[0]))
    return {name: rows if len(rows) else nothing for name, rows in blocks.items()}
