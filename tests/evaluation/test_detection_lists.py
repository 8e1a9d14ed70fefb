"""Detections in one text file: FDDB's layout, lines for AFW and Pascal Faces, and complaints."""

import os
import zipfile
from pathlib import Path

import pytest
import torch

from facedet.errors import FacedetError
from facedet.evaluation.detection_lists import (
    FoldFile,
    ScoredLines,
    read_fddb_detections,
    read_scored_lines,
)
from facedet.structures import Detections

SHARED = os.environ.get("FACEDET_SHARED", "")


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


RECTANGLES = "a/1\n2\n1 2 3 4 0.9\n5 6 7 8 0.25\na/2\n0\n"
ELLIPSES = "a/0\n0\na/1\n1\n5 4 0.5 9 8 0.9\n"


def test_rectangles_in_a_file_a_folder_and_a_zip(tmp_path):
    file = write(tmp_path / "one" / "out.txt", RECTANGLES)
    first, second = RECTANGLES.split("a/2")
    write(tmp_path / "two" / "fold-01-out.txt", first)
    write(tmp_path / "two" / "fold-02-out.txt", f"a/2{second}")
    packed = tmp_path / "out.zip"
    with zipfile.ZipFile(packed, "w") as archive:
        archive.write(file, "folds/out.txt")
    for path in (file, tmp_path / "one", tmp_path / "two", packed):
        found = read_fddb_detections(path)
        assert found["a/1"].tolist() == [[1, 2, 3, 4, 0.9], [5, 6, 7, 8, 0.25]]
        assert found["a/2"].shape == (0, 5)


def test_ellipses_have_a_column_more(tmp_path):
    found = read_fddb_detections(write(tmp_path / "out.txt", ELLIPSES))
    assert found["a/1"].tolist() == [[5, 4, 0.5, 9, 8, 0.9]]
    assert found["a/0"].shape == (0, 6)


def test_rectangles_may_begin_outside_the_picture(tmp_path):
    path = write(tmp_path / "out.txt", "a/1\n1\n-1 -2 3 4 0.9\n")
    assert read_fddb_detections(path)["a/1"].tolist() == [[-1, -2, 3, 4, 0.9]]


def test_names_may_have_a_suffix(tmp_path):
    assert list(read_fddb_detections(write(tmp_path / "a.txt", "a/b.1.jpg\n0\n"))) == ["a/b.1"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a/1\n1\n1 2 3 4\n", "line 3: '1 2 3 4' is not 5 finite numbers"),
        (RECTANGLES + "a/3\n1\n5 4 0.5 9 8 0.9\n", "line 9: '5 4 0.5 9 8 0.9' is not 5"),
        ("a/1\n1\n5 -4 0.5 9 8 0.9\n", "out.txt, line 1: ellipse 1 has a half axis below 0"),
    ],
)
def test_malformed_detections(tmp_path, text, message):
    with pytest.raises(FacedetError) as caught:
        read_fddb_detections(write(tmp_path / "out.txt", text))
    assert message in str(caught.value)


def test_no_detection_files(tmp_path):
    with pytest.raises(FacedetError, match="holds no .txt of FDDB detections"):
        read_fddb_detections(tmp_path)
    with pytest.raises(FacedetError, match="nowhere does not exist"):
        read_fddb_detections(tmp_path / "nowhere")


def test_written_detections_are_read_back(tmp_path):
    sink = FoldFile(tmp_path / "out", decimals=2, score_decimals=3)
    boxes = torch.tensor([[1.0, 2.0, 3.0, 4.0], [10.0, 20.0, 30.125, 40.0]])
    sink.add("a/1", Detections(boxes, torch.tensor([0.25, 0.9])))
    sink.add("a/2", Detections(torch.zeros(0, 4), torch.zeros(0)))
    sink.close()
    # Best first; w = x2 - x1 + 1.
    assert (tmp_path / "out" / "detections.txt").read_text() == (
        "a/1\n2\n10.00 20.00 21.12 21.00 0.900\n1.00 2.00 3.00 3.00 0.250\na/2\n0\n"
    )
    assert sorted(read_fddb_detections(tmp_path / "out")) == ["a/1", "a/2"]


def test_what_cannot_be_written_is_known_at_once(tmp_path):
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(FacedetError, match="taken"):
        FoldFile(tmp_path / "taken")


@pytest.mark.data
@pytest.mark.skipif(not SHARED, reason="FACEDET_SHARED is not set")
def test_a_whole_set_of_detections():
    folder = Path(SHARED) / "reference" / "fddb"
    found = read_fddb_detections(folder / "fddb_mtcnn_lqy_result.txt")
    assert (len(found), sum(map(len, found.values()))) == (2845, 7375)


LINES = "b.jpg 0.5 1 2 4 8\na 0.9 10 20 30.5 40\n\nx/b.jpg 0.25 5 6 7 8\n"


def test_scored_lines(tmp_path):
    file = tmp_path / "out" / "det.txt"
    file.parent.mkdir()
    file.write_text(LINES)
    packed = tmp_path / "out.zip"
    with zipfile.ZipFile(packed, "w") as archive:
        archive.write(file, "det.txt")
    for path in (file, file.parent, packed, str(packed)):
        found = read_scored_lines(path)
        # x, y, w, h, score with w = x2 - x1.
        assert found["a"].tolist() == [[10, 20, 20.5, 20, 0.9]]
        assert found["b"].tolist() == [[1, 2, 3, 6, 0.5], [5, 6, 2, 2, 0.25]]


def test_nothing_found_is_no_line(tmp_path):
    (tmp_path / "det.txt").write_text("\n")
    assert read_scored_lines(tmp_path) == {}


@pytest.mark.parametrize(
    "line", ["a 0.5 1 2 3", "a 0.5 1 2 3 4 5", "a 0.5 1 2 3 x", "a", "a nan 1 2 3 4"]
)
def test_malformed_lines(tmp_path, line):
    path = tmp_path / "det.txt"
    path.write_text(f"b 0.5 1 2 4 8\n{line}\n")
    with pytest.raises(FacedetError, match=r"det\.txt, line 2: .* is not 5 finite numbers"):
        read_scored_lines(path)


def test_written_lines_move_the_upper_edge(tmp_path):
    sink = ScoredLines(tmp_path / "out", decimals=1, score_decimals=2)
    boxes = torch.tensor([[1.0, 2.0, 3.0, 4.0], [10.0, 20.0, 30.0, 69.0]])
    sink.add("a", Detections(boxes, torch.tensor([0.25, 0.9])))
    sink.add("b", Detections(torch.zeros(0, 4), torch.zeros(0)))
    sink.close()
    # 20 + 0.2 * (69 - 20 + 1) = 30; 2 + 0.2 * 3 = 2.6.
    written = (tmp_path / "out" / "detections.txt").read_text()
    assert written == "a 0.90 10.0 30.0 30.0 69.0\na 0.25 1.0 2.6 3.0 4.0\n"
    still = ScoredLines(tmp_path / "still", y_shift=0.0, decimals=0, score_decimals=1)
    still.add("a", Detections(boxes[:1], torch.tensor([0.5])))
    still.close()
    assert (tmp_path / "still" / "detections.txt").read_text() == "a 0.5 1 2 3 4\n"
    assert boxes[0].tolist() == [1, 2, 3, 4]


@pytest.mark.parametrize(
    "data",
    [
        b"\xef\xbb\xbf" + RECTANGLES.encode(),
        RECTANGLES.encode("utf-16"),
        RECTANGLES.replace("\n", " \t\r\n").encode(),
    ],
    ids=["utf-8 mark", "utf-16", "trailing blanks and CRLF"],
)
def test_text_as_windows_writes_it(tmp_path, data):
    (tmp_path / "out.txt").write_bytes(data)
    with zipfile.ZipFile(tmp_path / "out.zip", "w") as archive:
        archive.write(tmp_path / "out.txt", "out.txt")
    for name in ("out.txt", "out.zip"):
        found = read_fddb_detections(tmp_path / name)
        assert list(found) == ["a/1", "a/2"]
        assert found["a/1"].tolist() == [[1, 2, 3, 4, 0.9], [5, 6, 7, 8, 0.25]]
