"""What is alike for all forms of people's own data: records, classes, counts and errors."""

import json

import numpy as np
import pytest
from own_roots import (
    COCO,
    OBJECT,
    ROOTS,
    TRAIN_BOXES,
    VAL_BOXES,
    check_listed,
    csv_root,
    put,
)

from facedet.data.formats import FORMATS
from facedet.data.readers.layout import clean_path, name_of
from facedet.data.readers.listing import Listing, Row, decimal
from facedet.data.readers.listing import listed as listed_rows
from facedet.data.readers.own import select_faces, to_reading
from facedet.errors import FacedetError, UsageError


def listed(file="a.jpg", boxes=((0, 0, 9, 9),), ignored=(), kinds=None, path=None):
    kinds = kinds or [""] * len(boxes)
    rows = [
        Row(box, row + 1, kind, row in ignored)
        for row, (box, kind) in enumerate(zip(boxes, kinds, strict=True))
    ]
    return listed_rows(file, path, rows)


@pytest.fixture
def listing(tmp_path):
    """Makes a listing of pictures, each of which is an empty file."""

    def make(*pictures, classes=()):
        there = [one._replace(path=put(tmp_path / one.file, "")) for one in pictures]
        return Listing(there, tmp_path / "boxes.txt", tmp_path, "line {}", classes)

    return make


@pytest.mark.parametrize("form", ROOTS)
def test_every_form_reads_the_same(tmp_path, form):
    root = ROOTS[form](tmp_path)
    assert FORMATS[form].splits(root) == ["train", "val"]
    for split in ("train", "val"):
        check_listed(FORMATS[form].list_pictures(root, split), split)
    records, counts = FORMATS[form].read(root, "train")
    (record,) = records
    assert record.name == "train/a"
    assert record.path.is_file()
    assert record.boxes.tolist() == TRAIN_BOXES
    assert record.boxes.dtype == np.float32
    assert record.ignore.tolist() == [False, True]
    # Every face counts as easy, medium and hard; what is to be ignored counts as none.
    assert record.tags["subsets"].tolist() == [[True] * 3, [False] * 3]
    assert record.tags["event"] == "train"
    assert counts == {
        "images": 1,
        "faces": 1,
        "ignored_boxes": 1,
        "zero_size_boxes": 0,
        "other_class_boxes": 0,
        "faceless_images": 1,
        "missing_images": 0,
    }
    ((record,), _) = FORMATS[form].read(root, "val", zero_size="keep", faceless="keep")
    np.testing.assert_allclose(record.boxes, VAL_BOXES, rtol=1e-6)


@pytest.mark.parametrize("form", ROOTS)
def test_missing_pictures(tmp_path, form):
    root = ROOTS[form](tmp_path)
    (folder,) = {path.parent for path in root.rglob("a.jpg")}
    (folder / "a.jpg").unlink()
    with pytest.raises(FacedetError) as caught:
        FORMATS[form].read(root, "train")
    assert str(caught.value) == (
        f"{folder}: 1 of 2 pictures are missing, the first is a.jpg; "
        "data.images=present uses the rest"
    )
    records, counts = FORMATS[form].read(root, "train", images="present", faceless="keep")
    assert [record.name for record in records] == ["sub/b"]
    # The missing picture's boxes are not counted at all.
    assert (counts["faces"], counts["ignored_boxes"], counts["missing_images"]) == (0, 0, 1)
    (folder / "sub" / "b.png").unlink()
    with pytest.raises(FacedetError, match="pictures are missing") as caught:
        FORMATS[form].read(root, "train", images="present")
    assert "data.images" not in str(caught.value)


@pytest.mark.parametrize("form", ROOTS)
def test_a_split_that_is_not_there(tmp_path, form):
    root = ROOTS[form](tmp_path)
    with pytest.raises(FacedetError, match=f"{root}: no (annotations|labels) of test"):
        FORMATS[form].read(root, "test")


def test_counts_and_choices(listing):
    # A face, a box without width, one with its corners swapped; only ignored; nothing.
    a = listed("a.jpg", [[0, 0, 9, 9], [5, 5, 5, 9], [9, 9, 3, 3]])
    given = listing(a, listed("b.jpg", ignored=[0]), listed("c.jpg", ()))
    records, counts = to_reading(given, "val")
    assert [record.name for record in records] == ["val/a"]
    assert (counts["faces"], counts["zero_size_boxes"], counts["faceless_images"]) == (1, 2, 2)
    records, counts = to_reading(given, "val", zero_size="keep", faceless="keep")
    assert [len(record.boxes) for record in records] == [3, 1, 0]
    assert (counts["faces"], counts["ignored_boxes"], counts["zero_size_boxes"]) == (3, 1, 0)
    # No detection can find a box without a size: it counts in no subset.
    assert records[0].tags["subsets"].tolist() == [[True] * 3, [False] * 3, [False] * 3]
    assert records[2].tags["subsets"].shape == (0, 3)
    for key in ("images", "zero_size", "faceless"):
        with pytest.raises(UsageError, match=f"{key}=dorp is none of"):
            to_reading(given, "val", **{key: "dorp"})


def test_classes(listing):
    boxes = [[0, 0, 9, 9], [1, 1, 9, 9], [2, 2, 9, 9], [3, 3, 9, 9]]
    given = listing(
        listed("a.jpg", boxes, kinds=["car", "FACE", "Ignore", "FACE"]),
        classes=("car", "FACE", "Ignore"),
    )
    chosen, others = select_faces(given, "face")
    # The class "ignore" is taken along, and marks.
    assert chosen.pictures[0].boxes[:, 0].tolist() == [1, 2, 3]
    assert chosen.pictures[0].ignore.tolist() == [False, True, False]
    assert chosen.pictures[0].places.tolist() == [2, 3, 4]
    assert others == 1
    assert select_faces(given, ["car", "face"])[1] == 0
    assert select_faces(given, "all")[0].pictures[0].ignore.tolist() == [False, False, True, False]
    assert to_reading(given, "val", "car").counts["other_class_boxes"] == 2
    with pytest.raises(FacedetError) as caught:
        select_faces(given, ["head", "Nose"])
    assert str(caught.value) == (
        f"{given.source}: none of its classes ('car, FACE, Ignore') is named head or nose; "
        "data.reader.classes=all (--classes all) takes the boxes of every class"
    )


def test_a_single_number_needs_no_name(listing):
    given = listing(listed(kinds=["0"]), classes=("0",))
    assert select_faces(given, "face")[1] == 0
    two = listing(listed(kinds=["1"]), classes=("0", "1"))
    with pytest.raises(FacedetError, match=r"none of its classes \('0, 1'\)"):
        select_faces(two, "face")
    assert select_faces(two, 1)[1] == 0
    # Boxes without any class are faces.
    assert select_faces(listing(listed()), "face")[1] == 0


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e7, -2e6])
def test_numbers_that_no_picture_has(listing, value):
    given = listing(listed("a.jpg"), listed("b.jpg", [[0, 0, 9, 9], [1, 2, value, 4]]))
    with pytest.raises(FacedetError) as caught:
        to_reading(given, "val")
    assert str(caught.value) == (
        f"{given.source}: 'b.jpg', line 2: the box [1.0, 2.0, {value}, 4.0] is not four finite "
        "numbers of pixels"
    )


def test_names_are_unique(listing):
    with pytest.raises(FacedetError) as caught:
        to_reading(listing(listed("x/a.jpg"), listed("x/a.png")), "val")
    assert str(caught.value).endswith(
        "boxes.txt lists 'x/a.jpg' and 'x/a.png', which would both be named 'x/a'"
    )
    with pytest.raises(FacedetError, match="lists no picture"):
        to_reading(listing(), "val")


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("a.jpg", "val/a"),
        ("x/a.jpg", "x/a"),
        ("x/y/a.b.png", "x--y/a.b"),
        # Detection files leave out a picture's suffix, so a name must not end with one.
        ("x/a.jpg.PNG", "x/a"),
        ("noise", "val/noise"),
    ],
)
def test_names(file, name):
    assert name_of(file, "val") == name


@pytest.mark.parametrize(
    ("given", "clean"),
    [
        ("a.jpg", "a.jpg"),
        ("./x//a.jpg", "x/a.jpg"),
        ("x\\y\\a.jpg", "x/y/a.jpg"),
        ("/data/x/a.jpg", "x/a.jpg"),
        ("C:\\data\\x\\a.jpg", "x/a.jpg"),
        ("../../etc/x/a.jpg", "x/a.jpg"),
        ("..", ""),
        ("/", ""),
        ("", ""),
    ],
)
def test_paths_stay_below_a_folder(given, clean):
    assert clean_path(given) == clean


@pytest.mark.parametrize(
    ("value", "text"),
    [(3.0, "3"), (100.0, "100"), (0.12345, "0.1235"), (-0.0, "0"), (-1e-9, "0"), (-2.5, "-2.5")],
)
def test_decimals(value, text):
    assert decimal(value) == text


def test_paths_outside_the_folder_are_used(tmp_path):
    """A table may name pictures by absolute paths; they keep the last folder in their names."""
    picture = put(tmp_path / "elsewhere" / "p.jpg", "")
    put(tmp_path / "set" / "train.csv", f"image,x,y,w,h\n{picture},1,2,3,4\n../q.jpg,1,2,3,4\n")
    put(tmp_path / "set" / "images" / "train" / "r.jpg", "")
    put(tmp_path / "set" / "images" / "q.jpg", "")
    records = FORMATS["csv"].read(tmp_path / "set", "train").records
    assert [record.name for record in records] == ["elsewhere/p", "train/q"]
    assert records[0].path == picture


@pytest.mark.parametrize("form", ["coco", "csv", "voc"])
def test_boxes_in_parts_of_the_sides_are_refused(tmp_path, form):
    texts = {
        "coco": json.dumps({**COCO["val"], "annotations": [
            {"id": 1, "image_id": 1, "category_id": 3, "bbox": [0.2, 0.1, 0.5, 0.5]}]}),
        "csv": "image,x1,y1,x2,y2\nc.jpg,0.2,0.1,0.7,0.6\n",
        "voc": f"<annotation>{OBJECT.format(0.2, 0.1, 0.7, 0.6, name='face', difficult=0)}"
        "</annotation>",
    }  # fmt: skip
    files = {
        "coco": "annotations/instances_val.json", "csv": "val.csv", "voc": "Annotations/val/c.xml"
    }  # fmt: skip
    put(ROOTS[form](tmp_path) / files[form], texts[form])
    with pytest.raises(FacedetError, match="all boxes lie within 1 px: they look like parts"):
        FORMATS[form].read(tmp_path, "val")


def test_a_share_for_validation(tmp_path):
    root = csv_root(tmp_path)
    rows = "".join(f"{number}.jpg,1,1,9,9,0\n" for number in range(20))
    put(root / "train.csv", f"image,x1,y1,x2,y2,ignore\n{rows}")
    for number in range(20):
        put(root / "images" / "train" / f"{number}.jpg", "")

    def names(split, **choices):
        found = FORMATS["csv"].read(root, split, **choices).records
        return {record.name.split("/")[1] for record in found}

    # A data set with a part for validation is not divided.
    assert len(names("train", val_share=0.1)) == 20
    (root / "val.csv").unlink()
    with pytest.raises(FacedetError, match="no annotations of val; .*; data.val_share=0.1 takes"):
        names("val")
    parts = {split: names(split, val_share=0.1) for split in ("train", "val")}
    assert (len(parts["train"]), len(parts["val"])) == (18, 2)
    assert not parts["train"] & parts["val"]
    # The order of the rows is of no matter, and data without splits is divided alike.
    (root / "train.csv").unlink()
    lines = "".join(reversed(rows.splitlines(keepends=True)))
    put(root / "annotations.csv", f"image,x1,y1,x2,y2,ignore\n{lines}")
    (root / "images" / "train").rename(root / "images" / "all")
    assert {split: names(split, val_share=0.1) for split in parts} == parts
    with pytest.raises(UsageError, match="data.val_share=1.5 is not a part"):
        names("val", val_share=1.5)
    put(root / "annotations.csv", "image,x1,y1,x2,y2\n1.jpg,1,1,9,9\n")
    with pytest.raises(FacedetError, match="its 1 pictures are too few"):
        names("val", val_share=0.5)
