"""`facedet data convert`: what it says, and that the result can be trained on."""

import json

from own_roots import csv_root, put, voc_root


def test_what_is_said(cli, tmp_path):
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


def test_words_that_are_missing(cli, tmp_path):
    root = voc_root(tmp_path / "mine")
    cli("data", "convert", root, tmp_path / "new").check_error(2, "--to", "coco, yolo")
    cli("data", "convert", root, tmp_path / "new", "--to", "coco", "--from", "coco").check_error(
        1, root, "is no data set of COCO"
    )


def test_classes(cli, tmp_path):
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
