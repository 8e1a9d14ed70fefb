"""What is odd about the columns of detection files."""

from pathlib import Path

import numpy as np
import pytest

from facedet.evaluation.scoring import column_hint
from facedet.structures import Record

BOXES = np.array([[40, 20, 50, 30], [70, 60, 90, 90]], np.float32)
RECORDS = [Record("e/1", Path(), BOXES, np.zeros(2, bool), {})]


def swapped(columns, rows=((40, 20, 10, 10, 0.8), (70, 60, 20, 30, 0.5))):
    """Rows of a file in another order, as a reader of "x y w h score" reads them."""
    x, y, w, h, score = np.array(rows).T
    named = {"x": x, "y": y, "w": w, "h": h, "score": score, "x1": x, "y1": y}
    named |= {"x2": x + w, "y2": y + h}
    return np.column_stack([named[name] for name in columns.split()])


@pytest.mark.parametrize("columns", ["x1 y1 x2 y2 score", "score x y w h", "score x1 y1 x2 y2"])
def test_a_hint_where_columns_are_swapped(columns):
    hint = column_hint(RECORDS, {"e/1": swapped(columns)}, "x y w h score")
    assert hint == f"its columns look like {columns}, expected x y w h score"
    assert column_hint(RECORDS, {"e/1": swapped("x y w h score")}, "x y w h score") is None
    # AFW's reader takes "score x1 y1 x2 y2" for granted.
    score, x1, y1, x2, y2 = swapped(columns).T
    read = np.column_stack([x1, y1, x2 - x1, y2 - y1, score])
    hint = column_hint(RECORDS, {"e/1": read}, "score x1 y1 x2 y2")
    assert (hint is None) == (columns == "score x1 y1 x2 y2")


def test_other_hints_and_none():
    parts = {"e/1": np.array([[0.4, 0.2, 0.1, 0.1, 0.9]])}
    hint = column_hint(RECORDS, parts, "x y w h score")
    assert hint.startswith("all numbers are below 1, expected x y w h score in pixels")
    # Merely bad detections, none, and an ellipse.
    for rows in ([[0, 0, 9, 9, 0.4]], np.zeros((0, 5)), [[5, 5, 0, 45, 25, 0.4]]):
        assert column_hint(RECORDS, {"e/1": np.array(rows)}, "x y w h score") is None
