"""Everything that is wrong with a data set, put into one by hand and found again."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from own_roots import COCO, coco_root, csv_root, put, yolo_root
from PIL import Image
from test_picture_checks import TURNED, recompressed, scene

from facedet.data.checks import KINDS, check, face_sizes
from facedet.data.formats import find_format
from facedet.errors import FacedetError
from reference.one_face import save_picture

SHARED = os.environ.get("FACEDET_SHARED", "")
BOXES = """image,x1,y1,x2,y2,ignore
good.png,10,10,50,40,0
good.png,60,20,90,60,1
small.png,0,0,2.9,30,0
small.png,5,5,5,9,0
small.png,-1,-1,30,30,0
small.png,-1.1,4,30,30,0
small.png,200,200,300,300,0
small.png,0,0,161.5,20,0
small.png,8,8,20,20,0
small.png,8.001,8,20,20,0
small.png,1,nan,3,4,0
short.png,1,2,three,4,0
short.png,1,2,8,9,0
gone.png,1,2,9,9,0
text.jpg,,,,,
cut.jpg,,,,,
turned.jpg,1,2,9,9,0
copy.png,,,,,
alike.jpg,,,,,
flat.png,,,,,
flat2.png,,,,,
"""


@pytest.fixture(scope="module")
def bad(tmp_path_factory):
    """A data set with one of everything; pictures are 160 x 120 px (width x height)."""
    root = tmp_path_factory.mktemp("bad")
    put(root / "train.csv", BOXES)
    put(root / "val.csv", "image,x1,y1,x2,y2\nleak.png,1,2,9,9\nnear.jpg,,,,\nown.png,,,,\n")
    train, val = root / "images" / "train", root / "images" / "val"
    for folder in (train, val):
        folder.mkdir(parents=True)
    for seed, name in enumerate(("good.png", "small.png", "short.png", "extra.png")):
        Image.fromarray(scene(seed)).save(train / name)
    put(train / "text.jpg", "no picture")
    put(train / "notes.txt", "no picture, and no matter")
    save_picture(train / "cut.jpg", (160, 120), 0)
    (train / "cut.jpg").write_bytes((train / "cut.jpg").read_bytes()[:9000])
    save_picture(train / "turned.jpg", (160, 120), 1, exif=TURNED)
    shutil.copy(train / "good.png", train / "copy.png")
    Image.fromarray(recompressed(scene(1), 50)).save(train / "alike.jpg")
    # Two pictures without contrast are not "alike".
    for grey, name in ((40, "flat.png"), (200, "flat2.png")):
        Image.fromarray(np.full((120, 160, 3), grey, np.uint8)).save(train / name)
    shutil.copy(train / "good.png", val / "leak.png")
    Image.fromarray(recompressed(scene(2), 50)).save(val / "near.jpg")
    Image.fromarray(scene(9)).save(val / "own.png")
    return root


@pytest.fixture(scope="module")
def report(bad):
    before = {path: path.stat() for path in bad.rglob("*")}
    report = check(bad, "csv", ["train", "val"], workers=1)
    after = {path: path.stat() for path in bad.rglob("*")}
    assert before.keys() == after.keys()
    assert all(before[path].st_mtime_ns == after[path].st_mtime_ns for path in before)
    return report


def found(report, kind):
    return [one[1:5] for one in report.findings if one.kind == kind]


def test_everything_is_found_once(report):
    assert report.counts() == dict.fromkeys(KINDS, 1) | {
        "outside": 3,
        "size_mismatch": 0,  # a table says no sizes
        "note": 0,
        "stored": 0,
        "malformed": 2,
    }
    assert [one.kind for one in report.findings] == sorted(
        (one.kind for one in report.findings), key=list(KINDS).index
    )


def test_where_it_is_found(bad, report):
    path = bad / "train.csv"
    assert found(report, "malformed") == [
        ("train", "", "", f"{path}, {text}, expected four finite numbers")
        for text in ("line 12: the box is '1, nan, 3, 4'", "line 13: the box is '1, 2, three, 4'")
    ]
    assert found(report, "missing") == [("train", "gone.png", "", "")]
    assert found(report, "extra") == [("train", "extra.png", "", "")]
    assert found(report, "corrupt") == [
        ("train", "text.jpg", "", "not a picture of a format that Pillow reads")
    ]
    assert found(report, "truncated")[0][1] == "cut.jpg"
    text = "EXIF orientation 6; the annotations fit the picture as stored and turned"
    assert found(report, "rotated") == [("train", "turned.jpg", "", text)]
    small = ("train", "small.png")
    assert found(report, "tiny") == [(*small, "line 4", "0, 0, 2.9, 30: 2.9 px")]
    assert found(report, "zero_size") == [(*small, "line 5", "5, 5, 5, 9")]
    # Up to 1 px beyond a side is rounding; 300 - 160 and 161.5 - 160 are not.
    assert found(report, "outside") == [
        (*small, "line 7", "-1.1, 4, 30, 30: 1.1 px outside 160 x 120"),
        (*small, "line 8", "200, 200, 300, 300: 180 px outside 160 x 120"),
        (*small, "line 9", "0, 0, 161.5, 20: 1.5 px outside 160 x 120"),
    ]
    assert found(report, "duplicate_box") == [(*small, "line 11", "8.001, 8, 20, 20")]
    same = "the same bytes as train/good.png"
    assert found(report, "duplicate") == [("train", "copy.png", "", same)]
    assert found(report, "leak") == [("val", "leak.png", "", same)]
    ((split, file, _, text),) = found(report, "near_duplicate")
    assert (split, file, text.split()[-1]) == ("train", "alike.jpg", "train/small.png")
    ((split, file, _, text),) = found(report, "near_leak")
    assert (split, file, text.split()[-1]) == ("val", "near.jpg", "train/short.png")
    assert text.startswith(tuple(f"{bits} of 128 bits unlike" for bits in range(11)))


def test_the_summary(report):
    train, val = report.summary().values()
    # Faces: 1 + 8 of small.png + 1 of short.png (two rows are malformed) + gone + turned.
    counts = {"pictures": 11, "faces": 12, "ignored_boxes": 1, "faceless_pictures": 6}
    assert counts.items() <= train.items()
    # sqrt((9 - 1) (9 - 2)) = sqrt 56 = 7.48
    assert val == {
        "pictures": 3, "faces": 1, "ignored_boxes": 0, "faceless_pictures": 2,
        "face_sizes": [7.5, 7.5, 7.5],
    }  # fmt: skip
    sizes = face_sizes(report.listings["train"])
    # Of 12 faces one has no width.
    assert len(sizes) == 11
    assert sizes[0] == pytest.approx(np.sqrt(40 * 30))


def test_sizes_that_annotations_say(tmp_path):
    content = json.loads(json.dumps(COCO["train"]))
    content["images"][0]["width"] = 41
    coco_root(tmp_path)
    put(tmp_path / "annotations" / "instances_train.json", json.dumps(content))
    report = check(tmp_path, "coco", ["train", "val"], workers=1)
    assert found(report, "size_mismatch") == [
        ("train", "a.jpg", "", "40 x 20 px, annotated as 41 x 20")
    ]
    assert len(report.findings) == 1


def test_pictures_that_exif_turns(tmp_path):
    """Annotated as stored, in one form that says sizes and in one of parts of the sides."""
    content = {**COCO["val"], "images": [
        {"id": 1, "file_name": "c.jpg", "width": 160, "height": 120}]}  # fmt: skip
    for root in (coco_root(tmp_path / "coco"), yolo_root(tmp_path / "yolo")):
        save_picture(root / "images" / "val" / "c.jpg", (160, 120), 2, exif=TURNED)
    put(tmp_path / "coco" / "annotations" / "instances_val.json", json.dumps(content))
    # Stored, 0.25 * 160 by 0.42 * 120, or 40 by 50 px; turned, 30 by 67.
    put(tmp_path / "yolo" / "labels" / "val" / "c.txt", "0 0.5 0.5 0.25 0.42\n")
    for form in ("coco", "yolo"):
        report = check(tmp_path / form, form, ["val"], workers=1)
        text = "EXIF orientation 6; the annotations fit the picture as stored"
        assert [one[:5] for one in report.findings] == [("stored", "val", "c.jpg", "", text)]


def test_annotations_that_are_ignored_are_reported(tmp_path):
    put(yolo_root(tmp_path) / "labels" / "val" / "c.txt", "0 0.325 0.3125 0.5 0.5 0.99\n")
    (finding,) = check(tmp_path, "yolo", ["train", "val"], workers=1).findings
    assert finding.kind == "note"
    assert "the numbers after the box are ignored in 1 lines" in finding.detail


@pytest.mark.parametrize(
    ("rows", "kinds", "detail"),
    [
        ("c.jpg,0.1,0.2,0.5,0.6", ["malformed", "tiny"], "look like parts of the pictures' sides"),
        ("c.jpg,1,1,9,9\n./c.jpg,2,2,9,9", ["malformed"], "lists 'c.jpg' and 'c.jpg', which"),
        (f"c.jpg,1,1,9,9\n{'9' * 300}.jpg,1,2,9,9", ["missing"], ""),
    ],
    ids=["parts of the sides", "a picture listed twice", "a name that no file can have"],
)
def test_tables(tmp_path, rows, kinds, detail):
    put(csv_root(tmp_path) / "val.csv", f"image,x1,y1,x2,y2\n{rows}\n")
    findings = check(tmp_path, "csv", ["val"], workers=1).findings
    assert [one.kind for one in findings] == kinds
    assert detail in findings[0].detail


def test_a_split_that_cannot_be_read_does_not_hide_the_other(tmp_path):
    coco_root(tmp_path)
    path = put(tmp_path / "annotations" / "instances_train.json", "{")
    report = check(tmp_path, "coco", ["train", "val"], workers=1)
    assert list(report.listings) == ["val"]
    (finding,) = report.findings
    assert (finding.kind, finding.split) == ("malformed", "train")
    assert finding.detail.startswith(f"{path} cannot be read as JSON")


def test_splits_that_share_a_folder(tmp_path):
    csv_root(tmp_path)
    for split in ("train", "val"):
        shutil.copytree(tmp_path / "images" / split, tmp_path / "images", dirs_exist_ok=True)
        shutil.rmtree(tmp_path / "images" / split)
    Image.fromarray(scene(0)).save(tmp_path / "images" / "extra.png")
    report = check(tmp_path, "csv", ["train", "val"], workers=1)
    assert found(report, "extra") == [("train", "extra.png", "", "")]
    assert len(report.findings) == 1


def test_classes(tmp_path):
    root = yolo_root(tmp_path)
    assert check(root, "yolo", ["train", "val"], workers=1).findings == []
    with pytest.raises(FacedetError, match="is named head"):
        check(root, "yolo", ["train"], "head", workers=1)


@pytest.mark.skipif(not SHARED, reason="FACEDET_SHARED is not set")
@pytest.mark.data
@pytest.mark.slow
def test_official_pictures():
    root = Path(SHARED) / "data" / "wider"
    report = check(root, *find_format(root, None))
    counts = {kind: count for kind, count in report.counts().items() if count}
    # 11,308 and 2,983 pictures are not in the folder; the rest is WIDER FACE's own, its dummy
    # boxes of pictures without a face apart.
    assert counts == {"missing": 14291, "zero_size": 34, "tiny": 320, "duplicate_box": 4}
    assert report.summary()["train"]["faceless_pictures"] == 4
