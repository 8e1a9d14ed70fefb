"""What is alike for all forms of people's own data: records, classes, counts and errors."""

import json

import numpy as np
import pytest
from own_roots import COCO, OBJECT, ROOTS, TRAIN_BOXES, VAL_BOXES, check_listed, csv_root, put

from facedet.data.formats import FORMATS
from facedet.data.readers.layout import clean_path, name_of
from facedet.data.readers.own import decimal, select_faces
from facedet.errors import FacedetError, UsageError
from reference.refused_weights import complaint


@pytest.fixture
def table(tmp_path):
    """Reads a table of these rows as the split "all"; each picture in it is an empty file."""

    def read(rows, header="image,x1,y1,x2,y2,ignore", **choices):
        put(tmp_path / "boxes.csv", "\n".join([header, *rows]))
        for row in rows:
            put(tmp_path / row.split(",")[0], "")
        return FORMATS["csv"].read(tmp_path, "all", **choices)

    return read


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
        "images": 1, "faces": 1, "ignored_boxes": 1, "zero_size_boxes": 0,
        "other_class_boxes": 0, "faceless_images": 1, "missing_images": 0,
    }  # fmt: skip
    ((record,), _) = FORMATS[form].read(root, "val", zero_size="keep", faceless="keep")
    np.testing.assert_allclose(record.boxes, VAL_BOXES, rtol=1e-6)
    with pytest.raises(FacedetError, match=f"{root}: no annotations of test; looked for"):
        FORMATS[form].read(root, "test")


@pytest.mark.parametrize(
    ("form", "place", "pictures"),
    [
        ("coco", "annotations/instances_{}2017.json", "{}2017"),
        ("coco", "annotations/{}.json", "images/{}"),
        ("coco", "{}.json", "{}"),
        ("coco", "Faces-{}.JSON", "{}/images"),
        ("coco", "{}/_annotations.coco.json", "{}"),
        ("csv", "annotations/faces_{}.csv", "{}"),
        ("csv", "{}/_annotations.csv", "{}"),
        ("csv", "boxes-{}.CSV", "images"),
        ("voc", "annotations/{}", "images/{}"),
        ("voc", "{}/Annotations", "{}/JPEGImages"),
        ("voc", "{}", "{}"),
        ("yolo", "{}/labels", "{}/images"),
        ("yolo", "{}", "{}"),
    ],
)
def test_other_places(tmp_path, form, place, pictures):
    root = ROOTS[form](tmp_path, place, pictures)
    (root / "data.yaml").unlink(missing_ok=True)
    put(root / "classes.txt", "face\nignore\n")
    assert FORMATS[form].splits(root) == ["train", "val"]
    for split in ("train", "val"):
        listing = FORMATS[form].list_pictures(root, split)
        check_listed(listing, split)
        assert listing.folder == root / pictures.format(split)


@pytest.mark.parametrize("form", ROOTS)
def test_other_spellings(tmp_path, form):
    root = ROOTS[form](tmp_path)
    for split, word in (("train", "training"), ("val", "valid")):
        for path in sorted(root.rglob(f"*{split}*"), reverse=True):
            path.rename(path.with_name(path.name.replace(split, word)))
    assert FORMATS[form].splits(root) == ["train", "val"]
    check_listed(FORMATS[form].list_pictures(root, "train"), "train")


@pytest.mark.parametrize("form", ROOTS)
def test_missing_pictures(tmp_path, form):
    root = ROOTS[form](tmp_path)
    (folder,) = {path.parent for path in root.rglob("a.jpg")}
    (folder / "a.jpg").unlink()
    assert complaint(FORMATS[form].read, root, "train") == (
        f"{folder}: 1 of 2 pictures are missing, the first is a.jpg; data.images=present "
        "(--images present) uses the rest"
    )
    records, counts = FORMATS[form].read(root, "train", images="present", faceless="keep")
    assert [record.name for record in records] == ["sub/b"]
    # The missing picture's boxes are not counted at all.
    assert (counts["faces"], counts["ignored_boxes"], counts["missing_images"]) == (0, 0, 1)
    (folder / "sub" / "b.png").unlink()
    with pytest.raises(FacedetError, match="pictures are missing") as caught:
        FORMATS[form].read(root, "train", images="present")
    assert "data.images" not in str(caught.value)


def test_counts_and_choices(table):
    # A face, a box without width, one with its corners swapped; only ignored; nothing.
    rows = [
        "a.jpg,0,0,9,9,0",
        "a.jpg,5,5,5,9,0",
        "a.jpg,9,9,3,3,0",
        "b.jpg,0,0,9,9,1",
        "c.jpg,,,,,",
    ]
    records, counts = table(rows)
    assert [record.name for record in records] == ["all/a"]
    assert (counts["faces"], counts["zero_size_boxes"], counts["faceless_images"]) == (1, 2, 2)
    records, counts = table(rows, zero_size="keep", faceless="keep")
    assert [len(record.boxes) for record in records] == [3, 1, 0]
    assert (counts["faces"], counts["ignored_boxes"], counts["zero_size_boxes"]) == (3, 1, 0)
    # No detection can find a box without a size: it counts in no subset.
    assert records[0].tags["subsets"].tolist() == [[True] * 3, [False] * 3, [False] * 3]
    assert records[2].tags["subsets"].shape == (0, 3)
    with pytest.raises(UsageError, match="images=dorp is none of all, present"):
        table(rows, images="dorp")


def test_classes(table, tmp_path):
    kinds = ("car", "FACE", "Ignore", "FACE")
    rows = [f"a.jpg,{x},0,9,9,{kind}" for x, kind in enumerate(kinds)]
    header = "image,x1,y1,x2,y2,class"
    # The class "ignore" is taken along, and marks.
    (record,), counts = table(rows, header)
    assert record.boxes[:, 0].tolist() == [1, 2, 3]
    assert record.ignore.tolist() == [False, True, False]
    assert counts["other_class_boxes"] == 1
    for classes in ("all", ["car", "face"]):
        assert len(table(rows, header, classes=classes).records[0].boxes) == 4
    listing = FORMATS["csv"].list_pictures(tmp_path, "all")
    chosen, _ = select_faces(listing, "car")
    assert [row.place for row in chosen.pictures[0].rows] == ["line 2", "line 4"]
    assert complaint(lambda: table(rows, header, classes=["head", "Nose"])) == (
        f"{tmp_path}/boxes.csv: none of its classes ('car, FACE, Ignore') is named head or nose; "
        "data.reader.classes=all (--classes all) takes the boxes of every class"
    )
    # A single number needs no name, several do.
    assert table(["a.jpg,0,0,9,9,0"], header).counts["faces"] == 1
    with pytest.raises(FacedetError, match=r"none of its classes \('0, 1'\) is named face"):
        table(["a.jpg,0,0,9,9,0", "a.jpg,0,0,9,9,1"], header)
    assert table(["a.jpg,0,0,9,9,0", "a.jpg,0,0,9,8,1"], header, classes=1).counts["faces"] == 1


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (["x/a.jpg,1,1,2,2,0", "x/a.png,1,1,2,2,0"],
         " lists 'x/a.jpg' and 'x/a.png', which would both be named 'x/a'"),
        ([], " lists no picture"),
        *((["a.jpg,0,0,9,9,0", f"b.jpg,1,2,{value},4,0"],
           f", line 3: the box is '1, 2, {value}, 4', expected four finite numbers")
          for value in ("nan", "inf", "-inf", "1e7", "-2e6")),
    ],
)  # fmt: skip
def test_what_no_data_set_has(table, tmp_path, rows, message):
    assert complaint(table, rows) == f"{tmp_path}/boxes.csv{message}"


def test_names_and_numbers_as_they_are_written():
    names = {
        "a.jpg": "val/a", "x/a.jpg": "x/a", "x/y/a.b.png": "x--y/a.b", "noise": "val/noise",
        # Detection files leave out a picture's suffix, so a name must not end with one.
        "x/a.jpg.PNG": "x/a",
    }  # fmt: skip
    assert {file: name_of(file, "val") for file in names} == names
    # Paths stay below a folder.
    paths = {
        "./x//a.jpg": "x/a.jpg", "x\\y\\a.jpg": "x/y/a.jpg", "/data/x/a.jpg": "x/a.jpg",
        "C:\\data\\x\\a.jpg": "x/a.jpg", "../../etc/x/a.jpg": "x/a.jpg", "..": "", "/": "", "": "",
    }  # fmt: skip
    assert {given: clean_path(given) for given in paths} == paths
    numbers = {3.0: "3", 100.0: "100", 0.12345: "0.1235", -0.0: "0", -1e-9: "0", -2.5: "-2.5"}
    assert {value: decimal(value) for value in numbers} == numbers


def test_paths_outside_the_folder_are_used(tmp_path):
    """A table may name pictures by absolute paths; they keep the last folder in their names."""
    picture = put(tmp_path / "elsewhere" / "p.jpg", "")
    put(tmp_path / "set" / "train.csv", f"image,x,y,w,h\n{picture},1,2,3,4\n../q.jpg,1,2,3,4\n")
    put(tmp_path / "set" / "images" / "q.jpg", "")
    records = FORMATS["csv"].read(tmp_path / "set", "train").records
    assert [record.name for record in records] == ["elsewhere/p", "train/q"]
    assert records[0].path == picture


def test_pictures_of_one_name_belong_to_their_split(tmp_path):
    root = csv_root(tmp_path)
    for split in ("train", "val"):
        put(root / f"{split}.csv", "image,x,y,w,h\n0.jpg,1,1,9,9\n")
        for folder in (f"images/{split}", f"masks/{split}"):
            put(root / folder / "0.jpg", "")
        (record,) = FORMATS["csv"].read(root, split).records
        assert record.path == root / "images" / split / "0.jpg"


def test_pictures_of_one_name_in_other_folders(tmp_path):
    root = csv_root(tmp_path)
    put(root / "val.csv", "image,x,y,w,h\n0.jpg,1,1,9,9\n")
    for folder in ("Train", "Val-crops", "Val", "Val/small"):
        put(root / folder / "0.jpg", "")
    (record,) = FORMATS["csv"].read(root, "val").records
    assert record.path == root / "Val" / "0.jpg"
    (root / "Val" / "0.jpg").rename(put(root / "old" / "val" / "0.jpg", ""))
    with pytest.raises(FacedetError, match="0.jpg of val may be Val/small/0.jpg or old/val/0.jpg;"):
        FORMATS["csv"].read(root, "val")


@pytest.mark.parametrize(
    ("form", "file", "text"),
    [
        ("coco", "annotations/instances_val.json", json.dumps({**COCO["val"], "annotations": [
            {"id": 1, "image_id": 1, "category_id": 3, "bbox": [0.2, 0.1, 0.5, 0.5]}]})),
        ("csv", "val.csv", "image,x1,y1,x2,y2\nc.jpg,0.2,0.1,0.7,0.6\n"),
        ("voc", "Annotations/val/c.xml",
         f"<annotation>{OBJECT.format(0.2, 0.1, 0.7, 0.6, name='face', difficult=0)}</annotation>"),
    ],
)  # fmt: skip
def test_boxes_in_parts_of_the_sides_are_refused(tmp_path, form, file, text):
    put(ROOTS[form](tmp_path) / file, text)
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
    # The two names whose SHA-256 are the smallest of the twenty.
    assert parts["val"] == {"0", "19"}
    assert parts["train"] == {str(number) for number in range(20)} - parts["val"]
    # The order of the rows is of no matter, and data without splits is divided alike.
    (root / "train.csv").unlink()
    lines = "".join(reversed(rows.splitlines(keepends=True)))
    put(root / "annotations.csv", f"image,x1,y1,x2,y2,ignore\n{lines}")
    (root / "images" / "train").rename(root / "images" / "all")
    assert {split: names(split, val_share=0.1) for split in parts} == parts
    with pytest.raises(UsageError, match="data.val_share=1.5, expected a part"):
        names("val", val_share=1.5)
    put(root / "annotations.csv", "image,x1,y1,x2,y2\n1.jpg,1,1,9,9\n")
    with pytest.raises(FacedetError, match="its 1 pictures are too few"):
        names("val", val_share=0.5)
