"""Which form a folder holds, WIDER FACE as one of them, and data sets written as COCO or YOLO."""

import os

import numpy as np
import pytest
from own_roots import coco_root, csv_root, put
from PIL import Image
from scipy.io import loadmat, savemat
from wider_roots import mat_root, text_root

from facedet.data import formats
from facedet.data.crowds.dataset import ensure_crowds
from facedet.data.formats import FORMATS, WRITERS, convert, find_format
from facedet.data.images import read_rgb
from facedet.data.readers.own import select_faces
from facedet.errors import FacedetError, UsageError
from reference.one_face import save_picture
from reference.refused_weights import complaint

TABLE = """image,x1,y1,x2,y2,ignore
x/a.jpg,10.125,5.3333333,20.0001,15.77777,0
x/a.jpg,-3.5,-2,50,60,1
x/a.jpg,7,7,7,9,0
y/deep/b.jpeg,,,,,
c d ü.jpg,0.1,0.2,0.3,0.4,0
"""


@pytest.fixture
def table(tmp_path):
    """A table of awkward boxes: fractions, beyond the picture, without width, half a pixel."""
    root = tmp_path / "table"
    for split, seed in (("train", 0), ("val", 1)):
        put(root / f"{split}.csv", TABLE)
        for file, size in (("x/a.jpg", (641, 333)), ("y/deep/b.jpeg", (7, 9)),
                           ("c d ü.jpg", (1021, 77))):  # fmt: skip
            save_picture(root / "images" / split / file, size, seed)
    return root


def listed(root, split):
    form, _ = find_format(root, None)
    listing, _ = select_faces(FORMATS[form].list_pictures(root, split), "face")
    return {one.file: one for one in listing.pictures}


@pytest.mark.parametrize("form", WRITERS)
def test_boxes_ignored_ones_and_pictures_stay(tmp_path, table, form):
    done = convert(table, tmp_path / "new", "csv", form, ["train", "val"])
    assert done.pictures == {"train": 3, "val": 3}
    assert done.boxes == {"train": 4, "val": 4}
    assert done.left_out == {}
    for split in ("train", "val"):
        before, after = listed(table, split), listed(tmp_path / "new", split)
        assert before.keys() == after.keys()
        for file, one in before.items():
            np.testing.assert_allclose(after[file].boxes, one.boxes, rtol=0, atol=1e-3)
            assert after[file].ignore.tolist() == one.ignore.tolist()
            assert after[file].path.read_bytes() == one.path.read_bytes()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_boxes_of_wider_are_turned_with_the_pictures(tmp_path, orientation):
    """WIDER FACE's are of the raster as stored; on it a white box on black is the face."""
    raster = Image.new("RGB", (80, 40))
    raster.paste("white", (50, 8, 66, 32))
    exif = Image.Exif()
    exif[0x112] = orientation
    place = tmp_path / "set" / "WIDER_val" / "images" / "0--A" / "a.png"
    place.parent.mkdir(parents=True)
    raster.save(place, exif=exif)
    text = "0--A/a.png\n1\n50 8 16 24 0 0 0 0 0 0\n"
    put(tmp_path / "set" / "wider_face_split" / "wider_face_val_bbx_gt.txt", text)
    for form in WRITERS:
        done = convert(tmp_path / "set", tmp_path / form, "wider", form, ["val"])
        assert done.notes == ["without the attributes of faces and the easy, medium and hard lists"]
        one = listed(tmp_path / form, "val")["0--A/a.png"]
        rows, columns = read_rgb(one.path)[:, :, 0].nonzero()
        white = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        np.testing.assert_allclose(one.boxes, [white], rtol=0, atol=1e-4)


def test_yolo_names_a_class_for_what_is_ignored(tmp_path):
    done = convert(csv_root(tmp_path / "set"), tmp_path / "new", "csv", "yolo", ["train", "val"])
    assert done.notes == ["1 boxes to be ignored are written as class 1, ignore"]
    assert (tmp_path / "new" / "data.yaml").read_text() == (
        "train: images/train\nval: images/val\nnames:\n  0: face\n  1: ignore\n"
    )
    # Centre 15 / 40 and 10 / 20, size 10 / 40 and 10 / 20.
    lines = (tmp_path / "new" / "labels" / "train" / "a.txt").read_text().splitlines()
    assert lines[0] == "0 0.375000000 0.500000000 0.250000000 0.500000000"
    assert (tmp_path / "new" / "labels" / "train" / "sub" / "b.txt").read_text() == ""
    convert(csv_root(tmp_path / "set"), tmp_path / "val", "csv", "yolo", ["val"])
    assert "ignore" not in (tmp_path / "val" / "data.yaml").read_text()


def test_pictures_are_linked_or_copied(tmp_path, monkeypatch):
    root = csv_root(tmp_path / "set")
    original = root / "images" / "val" / "c.jpg"
    place = "images/val/c.jpg"
    convert(root, tmp_path / "linked", "csv", "coco", ["val"])
    assert os.path.samefile(tmp_path / "linked" / place, original)
    convert(root, tmp_path / "copied", "csv", "coco", ["val"], copy=True)
    assert not os.path.samefile(tmp_path / "copied" / place, original)

    def refuse_link(*_):
        raise OSError("another disk")

    monkeypatch.setattr(formats.os, "link", refuse_link)
    convert(root, tmp_path / "fallback", "csv", "coco", ["val"])
    assert (tmp_path / "fallback" / place).read_bytes() == original.read_bytes()


def test_a_picture_that_cannot_be_read_leaves_nothing(tmp_path):
    csv_root(tmp_path / "set")
    put(tmp_path / "set" / "images" / "val" / "c.jpg", "no picture")
    with pytest.raises(FacedetError, match=r"val/c.jpg: not a picture"):
        convert(tmp_path / "set", tmp_path / "new", "csv", "coco", ["val"])
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


def test_wider_is_known_by_its_folder(tmp_path):
    (tmp_path / "wider").mkdir()
    assert find_format(text_root(tmp_path / "wider"), None) == ("wider", ["val"])
    crowds = ensure_crowds(
        tmp_path / "crowds", train_images=1, val_images=1, size=128, progress=False
    )
    # The crowds' own JSON file is no annotation.
    assert find_format(crowds, None) == ("wider", ["train", "val"])


def test_folders_of_no_form_or_of_two(tmp_path):
    with pytest.raises(FacedetError, match="nowhere: no such folder"):
        find_format(tmp_path / "nowhere", None)
    marks = [f"{one.mark} ({form})" for form, one in FORMATS.items()]
    complaint(find_format, tmp_path, None, words=("is no data set of a known format", *marks))
    csv_root(coco_root(tmp_path))
    with pytest.raises(UsageError, match="may be coco or csv; --format says which"):
        find_format(tmp_path, None)
    assert find_format(tmp_path, "csv")[0] == "csv"


def test_a_broken_file_of_another_form_is_no_hindrance(tmp_path):
    put(tmp_path / "data.yaml", "names: [")
    with pytest.raises(FacedetError, match="cannot be read as YAML"):
        find_format(tmp_path, None)
    assert find_format(coco_root(tmp_path), None)[0] == "coco"


def test_wider_as_a_listing(tmp_path):
    """The set of `wider_roots`: three boxes, a dummy for no face, one box."""
    root = mat_root(tmp_path)
    listing = FORMATS["wider"].list_pictures(root, "val")
    first, none, second = listing.pictures
    assert first.file == "0--Parade/first.jpg"
    assert first.path == listing.folder / first.file
    assert first.boxes.tolist() == [[10, 20, 40, 60], [5, 6, 5, 14], [-1, 2, 2, 6]]
    assert none.boxes.shape == (0, 4)
    assert second.boxes.tolist() == [[7, 8, 16, 18]]
    # Every box is in one of the lists.
    assert not np.concatenate([one.ignore for one in listing.pictures]).any()
    assert [row.place for row in first.rows] == ["box 1", "box 2", "box 3"]
    path = root / "ground_truth" / "wider_hard_val.mat"
    content = {key: value for key, value in loadmat(path).items() if not key.startswith("__")}
    # Hard loses the second box of the first picture, which no other list has.
    content["gt_list"][0, 0][0, 0] = np.array([[1], [3]], np.uint16)
    savemat(path, content)
    first = FORMATS["wider"].list_pictures(root, "val").pictures[0]
    assert first.ignore.tolist() == [False, True, False]
