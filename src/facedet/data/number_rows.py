"""Rows of numbers in a text file, with the line named where one is wrong."""

from collections.abc import Sequence

import numpy as np

from facedet.errors import FacedetError


def parse_rows(
    lines: Sequence[str], start: int, count: int, columns: int, source: str
) -> np.ndarray:
    """Numbers [count, columns] float64 of the lines start … start + count - 1 of a text file.

    Args:
        lines: the whole file.
        start: index of the first row (line number minus 1).
        count: rows wanted.
        columns: numbers wanted in each row.
        source: the file's name, for messages.

    Raises:
        FacedetError: a row is missing, has another number of columns, or is not finite.
    """
    if start + count > len(lines):
        raise FacedetError(
            f"{source}: line {start} promises {count} boxes, "
            f"but {max(0, len(lines) - start)} lines follow"
        )
    if count == 0:
        return np.zeros((0, columns))
    rows = [line.split() for line in lines[start : start + count]]
    try:
        values = np.array(rows, dtype=np.float64)
        if values.shape == (count, columns) and np.isfinite(values).all():
            return values
    except ValueError:
        pass
    # The whole block is parsed at once for speed; only a bad one is searched for its bad line.
    position = next(at for at, row in enumerate(rows) if not _are_numbers(row, columns))
    raise FacedetError(
        f"{source}, line {start + position + 1}: "
        f"'{lines[start + position].strip()[:80]}' is not {columns} finite numbers"
    )


def _are_numbers(row: list[str], columns: int) -> bool:
    """Whether a row has the wanted number of columns, all finite."""
    try:
        return len(row) == columns and bool(np.isfinite(np.array(row, dtype=np.float64)).all())
    except ValueError:
        return False
