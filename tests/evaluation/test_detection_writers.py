"""Result files as the benchmarks' own tools read them, and read back."""

import pytest
import torch

from facedet.errors import FacedetError
from facedet.evaluation.detection_files import read_fddb_detections
from facedet.evaluation.detection_writers import EventFiles, FoldFile, ScoredLines
from facedet.structures import Detections

EMPTY = Detections(torch.zeros(0, 4), torch.zeros(0))


def found(*rows):
    rows = torch.tensor(rows)
    return Detections(rows[:, :4], rows[:, 4])


@pytest.mark.parametrize(
    ("options", "rows", "text"),
    [
        # The released form: w = 11 - 1.26 + 1 = 10.74, h = 22 - 2 + 1 = 21; best first.
        (
            {},
            [[0.0, 0.0, 9.0, 4.0, 0.12345], [1.26, 2.0, 11.0, 22.0, 0.98765]],
            "1\n2\n1.3 2.0 10.7 21.0 0.988\n0.0 0.0 10.0 5.0 0.123\n",
        ),
        # int(30.2) - int(10.9) = 30 - 10, not round(19.3); int(-0.7) is 0.
        (
            {"plus_one": 0, "decimals": 0, "score_decimals": 2, "truncate": True},
            [[10.9, 20.5, 30.2, 41.0, 0.75], [-0.7, 3.0, 5.99, 8.5, 0.5]],
            "1\n2\n10 20 20 21 0.75\n0 3 5 5 0.50\n",
        ),
    ],
)
def test_event_files_by_hand(tmp_path, options, rows, text):
    writer = EventFiles(tmp_path, **options)
    writer.add("0--Parade/1", found(*rows))
    assert (writer.has("0--Parade/1"), writer.has("0--Parade/2")) == (True, False)
    assert [file.name for file in (tmp_path / "0--Parade").iterdir()] == ["1.txt"]
    assert (tmp_path / "0--Parade" / "1.txt").read_text() == text


def test_writing_where_nothing_can_be_written(tmp_path):
    (tmp_path / "a").write_text("a file in the folder's place")
    with pytest.raises(FacedetError, match="cannot be written"):
        EventFiles(tmp_path).add("a/1", EMPTY)
    with pytest.raises(FacedetError, match="cannot be written"):
        FoldFile(tmp_path / "a").close()
    for name in ("../1", "/etc/1"):
        with pytest.raises(FacedetError, match="no image name"):
            EventFiles(tmp_path).add(name, EMPTY)


def test_fold_file(tmp_path):
    writer = FoldFile(tmp_path / "out", decimals=2, score_decimals=3)
    writer.add("a/1", found([1.0, 2.0, 3.0, 4.0, 0.25], [10.0, 20.0, 30.125, 40.0, 0.9]))
    writer.add("a/2", EMPTY)
    writer.close()
    # Best first; w = x2 - x1 + 1.
    assert (tmp_path / "out" / "detections.txt").read_text() == (
        "a/1\n2\n10.00 20.00 21.12 21.00 0.900\n1.00 2.00 3.00 3.00 0.250\na/2\n0\n"
    )
    assert sorted(read_fddb_detections(tmp_path / "out")) == ["a/1", "a/2"]


def test_scored_lines_move_the_upper_edge(tmp_path):
    rows = found([1.0, 2.0, 3.0, 4.0, 0.25], [10.0, 20.0, 30.0, 69.0, 0.9])
    for y_shift in (0.2, 0.0):
        writer = ScoredLines(tmp_path / str(y_shift), decimals=1, score_decimals=2, y_shift=y_shift)
        writer.add("a", rows)
        writer.add("b", EMPTY)
        writer.close()
    # 20 + 0.2 * (69 - 20 + 1) = 30; 2 + 0.2 * 3 = 2.6.
    moved, still = ((tmp_path / y / "detections.txt").read_text() for y in ("0.2", "0.0"))
    assert moved == "a 0.90 10.0 30.0 30.0 69.0\na 0.25 1.0 2.6 3.0 4.0\n"
    assert still == "a 0.90 10.0 20.0 30.0 69.0\na 0.25 1.0 2.0 3.0 4.0\n"
    assert rows.boxes[0].tolist() == [1, 2, 3, 4]
