"""COCO's files: where they are looked for, what they say, and what is wrong with them."""

import copy
import json
import math

import pytest
from own_roots import COCO, check_listed, check_problem, check_refused, coco_root, put, put_pictures

from facedet.data.readers.coco import Coco, read_coco
from facedet.errors import FacedetError

coco = Coco()


def test_where_pictures_are_expected(tmp_path):
    for split in COCO:
        put(tmp_path / "annotations" / f"instances_{split}2017.json", json.dumps(COCO[split]))
    with pytest.raises(FacedetError, match=f"{tmp_path}/images/train: 2 of 2 pictures are missing"):
        read_coco(tmp_path, "train")


def test_data_without_splits(tmp_path):
    put(tmp_path / "annotations.json", json.dumps(COCO["train"]))
    put_pictures(tmp_path, "images", "elsewhere")
    assert coco.splits(tmp_path) == ["all"]
    check_listed(coco.list_pictures(tmp_path, "all"), "train")
    assert read_coco(tmp_path, "all").records[0].name == "all/a"
    # A file of another name is anybody's.
    (tmp_path / "annotations.json").rename(tmp_path / "crowds.json")
    assert coco.splits(tmp_path) == []


def test_several_files_of_a_split(tmp_path):
    coco_root(tmp_path)
    # COCO's own folder has captions and key points beside the instances.
    put(tmp_path / "annotations" / "captions_train.json", "{}")
    check_listed(coco.list_pictures(tmp_path, "train"), "train")
    put(tmp_path / "annotations" / "instances_train_small.json", "{}")
    text = "2 files may hold the annotations of train (instances_train.json, instances_train_small"
    check_refused("coco", tmp_path, f"{tmp_path}/annotations: {text}")
    # One that names both splits is of neither.
    put(tmp_path / "annotations" / "instances_train-val.json", "{}")
    check_listed(coco.list_pictures(tmp_path, "val"), "val")


def changed(root, key, row, **values):
    """A set in whose training annotations an entry has other values; None: it lacks them."""
    content = copy.deepcopy(COCO["train"])
    content[key][row] |= values
    content[key][row] = {name: one for name, one in content[key][row].items() if one is not None}
    coco_root(root)
    put(root / "annotations" / "instances_train.json", json.dumps(content))
    return root


@pytest.mark.parametrize(
    ("key", "row", "values", "message"),
    [
        ("annotations", 0, {"image_id": 8}, "annotations[0]: there is no image 8"),
        ("annotations", 0, {"image_id": [7]}, "annotations[0]: there is no image [7]"),
        ("annotations", 0, {"category_id": 1}, "annotations[0]: there is no category 1"),
        ("annotations", 0, {"category_id": None}, "annotations[0]: there is no category None"),
        *(
            ("annotations", 0, {"bbox": bbox},
             f"annotations[0]: the bbox {bbox!r} is not four finite numbers x, y, w, h")
            for bbox in ([1, 2, 3], "x", [1, 2, "three", 4], [[1, 2], [3, 4]], [math.nan, 0, 1, 1],
                         [1, 2, 1e7, 4])
        ),
        ("images", 1, {"id": 7}, "images[1] has the id 7, expected a number of its own"),
        ("images", 1, {"id": None}, "images[1] has the id None, expected a number of its own"),
        ("images", 1, {"file_name": 3}, "images[1] has the file_name 3, expected a path"),
        ("images", 1, {"file_name": ".."}, "images[1] has the file_name '..', expected a path"),
    ],
)  # fmt: skip
def test_malformed_entries_are_named(tmp_path, key, row, values, message):
    root = changed(tmp_path, key, row, **values)
    listing = check_problem("coco", root, "annotations/instances_train.json", f": {message}")
    # The other box of the first picture is there, where only one entry is at fault.
    if key == "annotations":
        assert listing.pictures[0].boxes.tolist() == [[0, 0, 4, 8]]
        assert listing.pictures[0].rows[0].place == "annotations[1]"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", " cannot be read as JSON: Expecting value: line 1 column 1 (char 0)"),
        ("[" * 100_000, " cannot be read as JSON: maximum recursion depth exceeded"),
        ("[]", " holds no object with images, annotations and categories"),
        ("{}", ": images is None, expected a list of objects"),
        ('{"images": [], "annotations": 3}', ": annotations is 3, expected a list of objects"),
        ('{"images": [4], "annotations": []}', ": images is [4], expected a list of objects"),
    ],
)
def test_files_of_another_kind(tmp_path, text, message):
    path = put(coco_root(tmp_path) / "annotations" / "instances_train.json", text)
    check_refused("coco", tmp_path, f"{path}{message}")


def test_a_file_without_categories(tmp_path):
    content = copy.deepcopy(COCO["train"])
    del content["categories"]
    for entry in content["annotations"]:
        del entry["category_id"]
    put(coco_root(tmp_path) / "annotations" / "instances_train.json", json.dumps(content))
    assert read_coco(tmp_path, "train").counts["faces"] == 1


@pytest.mark.parametrize(
    ("file", "place"),
    [
        ("images/1/ab-p.jpg", "images/ab-p.jpg"),
        ("../../label-studio/data/media/upload/1/ab-p.jpg", "images/ab-p.jpg"),
        ("C:\\me\\data\\p.jpg", "images/p.jpg"),
        ("https://x.org/p.jpg", "images/p.jpg"),
        ("my%20p.jpg", "images/my p.jpg"),
        ("P1.JPG", "images/p1.jpg"),
        ("\u00e9t\u00e9.jpg", "images/e\u0301te\u0301.jpg"),
    ],
    ids=["Label Studio", "its uploads", "Windows", "address", "percent", "capitals", "accents"],
)
def test_pictures_are_found_under_another_name(tmp_path, file, place):
    """In Label Studio's export, which is not divided: result.json beside images."""
    content = {**COCO["val"], "images": [{"id": 1, "file_name": file}]}
    put(tmp_path / "result.json", json.dumps(content))
    put(tmp_path / place, "")
    assert coco.splits(tmp_path) == ["all"]
    (one,) = coco.list_pictures(tmp_path, "all").pictures
    assert (one.file, one.path) == (place.split("/")[1], tmp_path / place)
    assert one.boxes.tolist() == [[1.5, 2.5, 11.5, 22.5]]
