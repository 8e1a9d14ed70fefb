"""Rows of numbers in a text file, with the line named where one is wrong."""

from collections.abc import Sequence

import numpy as np

from facedet.errors import FacedetError

# No picture is wider; in float32, which records hold, larger numbers lose their pixels.
FARTHEST = 1e6


def parse_rows(
    lines: Sequence[str],
    start: int,
    count: int,
    columns: int,
    source: str,
    farthest: float = np.inf,
) -> np.ndarray:
    """Numbers [count, columns] float64 of the lines start … start + count - 1 of a text file.

    Args:
        lines: the whole file.
        start: index of the first row (line number minus 1).
        count: rows wanted.
        columns: numbers wanted in each row.
        source: the file's name, for messages.
        farthest: the largest number allowed, of either sign.

    Raises:
        FacedetError: a row is missing, has another number of columns, or a number that is not
            finite or too large.
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
        if values.shape == (count, columns) and are_within(values, farthest):
            return values
    except ValueError:
        pass
    # The whole block is parsed at once for speed; only a bad one is searched for its bad line.
    position = next(at for at, row in enumerate(rows) if not _are_numbers(row, columns, farthest))
    raise FacedetError(
        f"{source}, line {start + position + 1}: '{lines[start + position].strip()[:80]}' "
        f"is not {columns} {wanted_numbers(farthest)}"
    )


def are_within(values: np.ndarray, farthest: float) -> bool:
    """Whether all values are finite, and none is larger than `farthest`, of either sign."""
    return bool((np.isfinite(values) & (np.abs(values) <= farthest)).all())


def wanted_numbers(farthest: float) -> str:
    """What `are_within` asks for, in words."""
    return f"finite numbers up to {farthest:,.0f}" if farthest < np.inf else "finite numbers"


def _are_numbers(row: list[str], columns: int, farthest: float) -> bool:
    """Whether a row has the wanted number of columns, all of them good."""
    try:
        return len(row) == columns and are_within(np.array(row, dtype=np.float64), farthest)
    except ValueError:
        return False
