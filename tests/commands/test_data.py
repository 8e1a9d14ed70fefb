"""`facedet data`: what a data set holds, whether it is sound, and its other formats."""

import csv
import json

import numpy as np
import pytest
from own_roots import ROOTS, coco_root, csv_root, put, voc_root
from PIL import Image

from facedet.commands.data import _FORMATS
from facedet.data.formats import FORMATS
from reference.one_face import save_picture


def counts_of(result):
    return {line.split(maxsplit=1)[1]: line.split()[0] for line in result.out.splitlines()}


def test_counts(cli, wider):
    result = cli("data", "count", "--root", wider, "--format", "wider")
    assert (result.code, result.err) == (0, "")
    counts = counts_of(result)
    assert (counts["images"], counts["faces"], counts["missing images"]) == ("8", "8", "0")
    assert cli("data", "count", "--root", wider, "--split", "val").out.split()[0] == "4"


@pytest.mark.parametrize("form", ROOTS)
def test_counts_of_own_data(cli, tmp_path, form):
    root = ROOTS[form](tmp_path / "mine")
    result = cli("data", "count", root)
    assert result.code == 0
    assert result.err == (
        f"facedet data: {root}: read as {FORMATS[form].title}, for it holds {FORMATS[form].mark}; "
        "--format says otherwise\n"
    )
    counts = counts_of(result)
    assert (counts["images"], counts["faces"], counts["faceless images"]) == ("1", "1", "1")
    # Of a split to validate with nothing is left out.
    assert counts_of(cli("data", "count", root, "--split", "val"))["images"] == "1"
    cli("data", "count", root, "--format", form, "--split", "test").check_error(1, root, "test")


def test_counts_of_data_that_is_not_divided(cli, tmp_path):
    root = csv_root(tmp_path)
    (root / "val.csv").unlink()
    (root / "train.csv").rename(root / "labels.csv")
    (root / "images" / "train").rename(root / "images" / "all")
    assert counts_of(cli("data", "count", root))["images"] == "2"
    cli("data", "count", root, "--split", "val", "--format", "csv").check_error(1, "labels.csv")


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ("count", 2, "--root"),
        ("count --root TMP/nowhere", 1, "TMP/nowhere"),
        ("count a b", 2, "count takes ROOT (or --root ROOT), not a b"),
        ("count a --to coco", 2, "--to belongs to convert"),
        ("crowds --root WIDER", 1, "WIDER: holds something else than crowds"),
        ("crowds --root TMP/taken", 1, "TMP/taken"),
        ("banana --root WIDER", 2, "banana"),
        ("check a --copy", 2, "--copy belongs to convert"),
        ("check a --format tar", 2, "tar"),
        ("check TMP/two", 2, "may be coco or csv"),
        ("check TMP/voc --output TMP/voc/report", 2, "lies in the data set"),
        ("convert a --to coco", 2, "takes SOURCE and TARGET, not a"),
        ("convert a b --json", 2, "--json belongs to check"),
        ("convert TMP/voc TMP/new", 2, "convert needs --to, one of coco, yolo"),
        ("convert TMP/voc TMP/new --to coco --from coco", 1, "TMP/voc: is no data set of COCO"),
    ],
)
def test_complaints(cli, wider, tmp_path, words, code, said):
    (tmp_path / "taken").write_text("a file")
    voc_root(tmp_path / "voc")
    csv_root(coco_root(tmp_path / "two"))
    before = sorted(tmp_path.rglob("*"))

    def placed(text):
        return text.replace("TMP", str(tmp_path)).replace("WIDER", str(wider))

    cli("data", *map(placed, words.split())).check_error(code, placed(said))
    assert sorted(tmp_path.rglob("*")) == before


def test_the_forms_of_the_command_line_are_those_of_the_library():
    assert tuple(FORMATS) == _FORMATS


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


def test_a_check_in_words(cli, bad):
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


def test_a_check_as_files(cli, bad, tmp_path):
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
    # Both sheets have one row: two samples; the pair that is alike, of which the second picture
    # has the wrong boxes, in red.
    assert Image.open(output / "samples.jpg").size == (4 * 420, 420)
    sheet = np.asarray(Image.open(output / "offenders.jpg")).astype(int)
    assert sheet.shape == (420, 4 * 420, 3)
    red = (sheet[..., 0] > 200) & (sheet[..., 1] < 120) & (sheet[..., 2] < 120)
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


def test_a_conversion(cli, tmp_path):
    root = csv_root(tmp_path / "mine")
    put(root / "train.csv", "image,x,y,w,h,ignore\na.jpg,1,1,5,5,0\na.jpg,2,2,5,5,1\nz.jpg,,,,,\n")
    target = tmp_path / "new"
    words = ("data", "convert", root, target, "--to", "yolo")
    cli(*words, "--from", "csv").check_error(1, "z.jpg", "--images present")
    assert not target.exists()
    result = cli(*words, "--images", "present", "--copy")
    assert result.code == 0
    assert result.err.startswith(f"facedet data: {root}: read as CSV")
    assert result.out.splitlines() == [
        "train         1 pictures          2 boxes",
        "val           1 pictures          1 boxes",
        "left out: 1 missing pictures",
        "note: 1 boxes to be ignored are written as class 1, ignore",
        f"{target}: YOLO",
    ]
    cli(*words, "--images", "present", "--from", "csv").check_error(1, f"{target}: is not empty")


def test_a_conversion_of_classes(cli, tmp_path):
    root = csv_root(tmp_path / "mine")
    for split, file in (("train", "a.jpg"), ("val", "c.jpg")):
        rows = "".join(f"{file},1,1,5,5,{name}\n" for name in ("car", "head", "nose"))
        put(root / f"{split}.csv", f"image,x,y,w,h,class\n{rows}")
    words = ("data", "convert", root, "--from", "csv", "--to", "coco")
    cli(*words, tmp_path / "a").check_error(1, "none of its classes", "--classes all")
    result = cli(*words, tmp_path / "b", "--classes", "head, Nose")
    assert result.code == 0
    assert "left out: 2 boxes of other classes" in result.out
    content = json.loads((tmp_path / "b" / "annotations" / "instances_val.json").read_text())
    assert len(content["annotations"]) == 2
