"""`facedet data check`: the report in words, as files, and its exit code."""

import csv

import numpy as np
import pytest
from own_roots import csv_root, put
from PIL import Image

from reference.one_face import save_picture


@pytest.fixture
def bad(tmp_path):
    """A data set with a tiny box, a box outside and a leak."""
    root = csv_root(tmp_path / "mine")
    put(root / "train.csv", "image,x1,y1,x2,y2\na.jpg,1,1,3,9\na.jpg,30,2,60,12\n")
    put(root / "val.csv", "image,x1,y1,x2,y2\nc.jpg,5,5,15,15\n")
    for split, name in (("train", "a.jpg"), ("val", "c.jpg")):
        save_picture(root / "images" / split / name, (40, 20), 5)
    (root / "images" / "train" / "sub" / "b.png").unlink()
    return root


def test_the_report_in_words(cli, bad):
    result = cli("data", "check", bad, "--format", "csv")
    assert result.code == 0
    assert result.out.splitlines() == [
        f"{bad} (csv)",
        # Faces of 2 x 8 and 30 x 10 px: square roots 4 and 17.3; the median between them.
        "  train        1 pictures        2 faces; half of the faces below 10.7 px, nine of ten in "
        "4.7 … 16.7 px",
        "  val          1 pictures        1 faces; half of the faces below 10 px, nine of ten in "
        "10 … 10 px",
        "       1  boxes that reach more than 1 px out of their picture (outside)",
        "          train/a.jpg, line 3: 30, 2, 60, 12: 20 px outside 40 x 20",
        "       1  boxes of less than 3 px (tiny)",
        "          train/a.jpg, line 2: 1, 1, 3, 9: 2 px",
        "       1  pictures with the same bytes as one of another split (leak)",
        "          val/c.jpg: the same bytes as train/a.jpg",
    ]


def test_the_report_as_files(cli, bad, tmp_path):
    output = tmp_path / "report"
    result = cli("data", "check", bad, "--output", output, "--json", "--workers", 1)
    assert result.code == 0
    assert result.json["splits"]["train"] == {
        "pictures": 1,
        "faces": 2,
        "ignored_boxes": 0,
        "faceless_pictures": 0,
        "face_sizes": [4.7, 10.7, 16.7],
    }
    found = {kind: count for kind, count in result.json["findings"].items() if count}
    assert found == {"outside": 1, "tiny": 1, "leak": 1}
    assert result.json["format"] == "csv"
    names = ["face_sizes.png", "findings.csv", "offenders.jpg", "samples.jpg", "summary.json"]
    assert sorted(path.name for path in output.iterdir()) == names
    with (output / "findings.csv").open(newline="") as stream:
        rows = list(csv.reader(stream))
    assert rows == [
        ["kind", "split", "picture", "place", "detail"],
        ["outside", "train", "a.jpg", "line 3", "30, 2, 60, 12: 20 px outside 40 x 20"],
        ["tiny", "train", "a.jpg", "line 2", "1, 1, 3, 9: 2 px"],
        ["leak", "val", "c.jpg", "", "the same bytes as train/a.jpg"],
    ]
    # Both sheets have one row: two samples; the pair, of which one has the wrong boxes.
    for name in ("samples", "offenders"):
        assert Image.open(output / f"{name}.jpg").size == (4 * 420, 420)


def test_wrong_boxes_are_red(cli, bad, tmp_path):
    cli("data", "check", bad, "--output", tmp_path / "report")
    sheet = np.asarray(Image.open(tmp_path / "report" / "offenders.jpg")).astype(int)
    red = (sheet[..., 0] > 200) & (sheet[..., 1] < 120) & (sheet[..., 2] < 120)
    # The first two cells show the pair that is alike; the second has the wrong boxes.
    assert red[:, 420:840].sum() > 200
    assert red[:, :420].sum() < 50


def test_strict_and_sound(cli, bad, tmp_path):
    words = ("data", "check", bad, "--output", tmp_path / "report")
    assert cli(*words, "--strict").code == 1
    for split, name, seed in (("train", "a.jpg", 1), ("val", "c.jpg", 2)):
        put(bad / f"{split}.csv", f"image,x1,y1,x2,y2\n{name},5,5,15,15\n")
        save_picture(bad / "images" / split / name, (40, 20), seed)
    result = cli(*words, "--strict")
    assert result.code == 0
    assert "nothing wrong was found" in result.out
    # An earlier report's sheet of offenders would be a lie.
    assert not (tmp_path / "report" / "offenders.jpg").exists()


def test_pictures_that_cannot_be_shown(cli, bad, tmp_path):
    for path in bad.rglob("*.jpg"):
        path.write_bytes(b"no picture")
    result = cli("data", "check", bad, "--output", tmp_path / "report", "--json")
    assert result.json["findings"]["corrupt"] == 2
    assert not (tmp_path / "report" / "samples.jpg").exists()


def test_nothing_is_written_into_the_data(cli, bad):
    cli("data", "check", bad, "--output", bad / "report").check_error(2, "lies in the data set")
    assert not (bad / "report").exists()
