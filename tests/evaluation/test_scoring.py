"""From detections to metrics.json and curves, without a network."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from facedet.data.readers.wider import require_subsets
from facedet.errors import FacedetError
from facedet.evaluation.benchmarks import Row, WiderFace
from facedet.evaluation.scoring import Scored, column_hint, find_protocol, score_records
from facedet.structures import Record


def record(name, subsets=((1, 1, 1),)):
    subsets = np.array(subsets, dtype=bool).reshape(-1, 3)
    boxes = np.array([[40, 20, 50, 30]], np.float32).repeat(len(subsets), axis=0)
    return Record(name, Path(), boxes, np.zeros(len(boxes), bool), {"subsets": subsets})


# The face of the first picture, then a false alarm of half the score; the second is not looked at.
FOUND = {"e/1": np.array([[40, 20, 10, 10, 0.8], [0, 0, 9, 9, 0.4]])}
RECORDS = [record("e/1"), record("e/2")]


def score(records, found, **options):
    return score_records(find_protocol("wider"), WiderFace(), records, found, options)


def test_a_report_by_hand_and_its_files(tmp_path):
    scored = score(RECORDS, FOUND)
    report = scored.report
    # One of two faces at precision 1.
    assert [report[f"wider/{name}"] for name in ("easy", "medium", "hard")] == [0.5] * 3
    assert (report["images"], report["detections"], report["protocol"]) == (2, 2, "wider")
    assert (report["iou"], report["thresholds"], report["integer_quirk"]) == (0.5, 1000, True)
    assert sorted(report["versions"]) == ["facedet", "opencv", "torch"]
    assert score(RECORDS, FOUND, integer_quirk=False).report["integer_quirk"] is False
    folder = tmp_path / "new" / "a b"
    scored.save(folder, "a title")
    files = ["curves.csv", "curves.npz", "metrics.json", "precision_recall.png"]
    assert sorted(path.name for path in folder.iterdir()) == files
    assert json.loads((folder / "metrics.json").read_text()) == report
    stored = np.load(folder / "curves.npz")
    with (folder / "curves.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    for key in stored.files:
        assert [float(row[key]) for row in rows] == pytest.approx(stored[key].tolist(), rel=1e-5)


def test_table_for_a_reader():
    class Made(WiderFace):
        def rows(self, metric, report):
            return [Row("easy", "AP", 0.5, 2), Row("a longer label", "TPR", 0.98765, 12345)]

    scored = Scored(Made(), None, {})
    assert scored.table() == [
        "  easy            AP 0.5000         2 faces",
        "  a longer label  TPR 0.9877    12,345 faces",
    ]
    assert scored.table(as_percent=True)[1] == "  a longer label   98.77 %    12,345 faces"


def test_faces_that_are_in_no_list():
    require_subsets(RECORDS, Path("here"))
    require_subsets([], Path("here"))
    bare = RECORDS[1]._replace(tags={})
    with pytest.raises(FacedetError, match=r"^here: .*ground_truth/wider_\{easy,medium,hard\}_val"):
        require_subsets([RECORDS[0], bare], Path("here"))


def swapped(columns, rows=((40, 20, 10, 10, 0.8), (70, 60, 20, 30, 0.5))):
    """Rows of a file in another order, as a reader of "x y w h score" reads them."""
    x, y, w, h, score = np.array(rows).T
    named = {"x": x, "y": y, "w": w, "h": h, "score": score, "x1": x, "y1": y}
    named |= {"x2": x + w, "y2": y + h}
    return np.column_stack([named[name] for name in columns.split()])


@pytest.mark.parametrize("columns", ["x1 y1 x2 y2 score", "score x y w h", "score x1 y1 x2 y2"])
def test_a_hint_where_columns_are_swapped(columns):
    boxes = np.array([[40, 20, 50, 30], [70, 60, 90, 90]], np.float32)
    one = Record("e/1", Path(), boxes, np.zeros(2, bool), {})
    hint = column_hint([one], {"e/1": swapped(columns)}, "x y w h score")
    assert hint == f"its columns look like {columns}, expected x y w h score"
    assert column_hint([one], {"e/1": swapped("x y w h score")}, "x y w h score") is None
    # AFW's reader takes "score x1 y1 x2 y2" for granted.
    score, x1, y1, x2, y2 = swapped(columns).T
    read = np.column_stack([x1, y1, x2 - x1, y2 - y1, score])
    hint = column_hint([one], {"e/1": read}, "score x1 y1 x2 y2")
    assert (hint is None) == (columns == "score x1 y1 x2 y2")


def test_other_hints_and_none():
    parts = {"e/1": np.array([[0.4, 0.2, 0.1, 0.1, 0.9]])}
    hint = column_hint(RECORDS[:1], parts, "x y w h score")
    assert hint.startswith("all numbers are below 1, expected x y w h score in pixels")
    # Merely bad detections, none, and an ellipse.
    for rows in ([[0, 0, 9, 9, 0.4]], np.zeros((0, 5)), [[5, 5, 0, 45, 25, 0.4]]):
        assert column_hint(RECORDS[:1], {"e/1": np.array(rows)}, "x y w h score") is None
