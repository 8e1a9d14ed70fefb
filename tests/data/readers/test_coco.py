"""COCO's files: where they are looked for, what they say, and what is wrong with them."""

import copy
import json

import numpy as np
import pytest
from own_roots import COCO, check_listed, check_malformed, coco_root, put, put_pictures

from facedet.data.readers.coco import Coco, read_coco
from facedet.data.readers.listing import refuse
from facedet.errors import FacedetError

coco = Coco()


@pytest.mark.parametrize(
    ("file", "pictures"),
    [
        ("annotations/instances_{}2017.json", "{}2017"),
        ("annotations/{}.json", "images/{}"),
        ("{}.json", "{}"),
        ("Faces-{}.JSON", "{}/images"),
        ("{}/_annotations.coco.json", "{}"),
    ],
)
def test_layouts(tmp_path, file, pictures):
    for split, content in COCO.items():
        put(tmp_path / file.format(split), json.dumps(content))
    put_pictures(tmp_path, pictures.format("train"), pictures.format("val"))
    assert coco.splits(tmp_path) == ["train", "val"]
    for split in ("train", "val"):
        check_listed(coco.list_pictures(tmp_path, split), split)
        assert coco.list_pictures(tmp_path, split).folder == tmp_path / pictures.format(split)


def test_one_folder_of_pictures_and_other_spellings(tmp_path):
    for split, word in (("train", "training"), ("val", "valid")):
        put(tmp_path / "annotations" / f"{word}.json", json.dumps(COCO[split]))
    put_pictures(tmp_path, "images", "images")
    for split in ("train", "val"):
        check_listed(coco.list_pictures(tmp_path, split), split)


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
    with pytest.raises(FacedetError) as caught:
        coco.list_pictures(tmp_path, "train")
    assert str(caught.value) == (
        f"{tmp_path}/annotations: 2 files may hold the annotations of train "
        "(instances_train.json, instances_train_small.json); leave one of them there"
    )
    # One that names both splits is of neither.
    put(tmp_path / "annotations" / "instances_train-val.json", "{}")
    check_listed(coco.list_pictures(tmp_path, "val"), "val")


def changed(root, change):
    """A set whose training annotations are changed."""
    content = copy.deepcopy(COCO["train"])
    change(content)
    coco_root(root)
    put(root / "annotations" / "instances_train.json", json.dumps(content))
    return root


def set_in(key, row, **values):
    def change(content):
        content[key][row] |= values

    return change


def drop(key, row, name):
    def change(content):
        del content[key][row][name]

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (set_in("annotations", 0, image_id=8), "annotations[0]: there is no image 8"),
        (set_in("annotations", 0, image_id=[7]), "annotations[0]: there is no image [7]"),
        (drop("annotations", 0, "image_id"), "annotations[0]: there is no image None"),
        (set_in("annotations", 0, category_id=1), "annotations[0]: there is no category 1"),
        (drop("annotations", 0, "category_id"), "annotations[0]: there is no category None"),
        *(
            (
                set_in("annotations", 0, bbox=bbox),
                f"annotations[0]: the bbox {bbox!r} is not four numbers x, y, w, h",
            )
            for bbox in ([1, 2, 3], [1, 2, 3, 4, 5], "x", [1, 2, "three", 4], {"x": 1}, None, 5,
                         [[1, 2], [3, 4]])
        ),
        (set_in("images", 1, id=7), "images[1] has the id 7, expected a number of its own"),
        (set_in("images", 1, id=None), "images[1] has the id None, expected a number of its own"),
        (set_in("images", 1, file_name=3), "images[1] has the file_name 3, expected a path"),
        (set_in("images", 1, file_name=".."), "images[1] has the file_name '..', expected a path"),
        (set_in("categories", 0, name=5),
         "categories[0] is {'id': 3, 'name': 5}, expected an id and a name"),
    ],
)  # fmt: skip
def test_malformed_entries_are_named(tmp_path, change, message):
    root = changed(tmp_path, change)
    listing = check_malformed(
        coco.list_pictures, root, "annotations/instances_train.json", f": {message}"
    )
    # The other box of the first picture is there, where only one entry is at fault.
    if message.startswith("annotations"):
        assert listing.pictures[0].boxes.tolist() == [[0, 0, 4, 8]]
        assert listing.pictures[0].places.tolist() == [1]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "cannot be read as JSON: Expecting value: line 1 column 1 (char 0)"),
        ('{"images": [', "cannot be read as JSON: Expecting value: line 1 column 13 (char 12)"),
        ("[" * 100_000, "cannot be read as JSON: maximum recursion depth exceeded"),
        ("[]", "holds no object with images, annotations and categories"),
        ("{}", ": images is None, expected a list"),
        ('{"images": [], "annotations": 3}', ": annotations is 3, expected a list"),
        ('{"images": [4], "annotations": []}', ": images[0] is 4, expected an object"),
    ],
)
def test_files_of_another_kind(tmp_path, text, message):
    path = put(coco_root(tmp_path) / "annotations" / "instances_train.json", text)
    with pytest.raises(FacedetError) as caught:
        coco.list_pictures(tmp_path, "train")
    assert str(caught.value).startswith(f"{path}{'' if message[0] == ':' else ' '}{message}")
    assert "\n" not in str(caught.value)


def test_numbers_are_not_judged_by_the_listing(tmp_path):
    change = set_in("annotations", 0, bbox=[None, float("nan"), float("inf"), -float("inf")])
    listing = coco.list_pictures(changed(tmp_path, change), "train", refuse)
    assert not np.isfinite(listing.pictures[0].boxes[0]).any()
    with pytest.raises(FacedetError, match=r"'a.jpg', annotations\[0\]: the box \[nan, nan"):
        read_coco(tmp_path, "train")


def test_categories(tmp_path):
    def add(content):
        content["categories"].append({"id": 4, "name": "car"})
        content["annotations"][0]["category_id"] = 4

    root = changed(tmp_path, add)
    assert read_coco(root, "train", faceless="keep").counts["other_class_boxes"] == 1
    assert read_coco(root, "train", classes=["car", "face"]).counts["faces"] == 1
    with pytest.raises(FacedetError, match=r"none of its classes \('Face, car'\) is named head"):
        read_coco(root, "train", classes="head")


def test_a_file_without_categories(tmp_path):
    def strip(content):
        del content["categories"]
        for entry in content["annotations"]:
            del entry["category_id"]

    assert read_coco(changed(tmp_path, strip), "train").counts["faces"] == 1


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
    assert one.path == tmp_path / place
    assert one.boxes.tolist() == [[1.5, 2.5, 11.5, 22.5]]
