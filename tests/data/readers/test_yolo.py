"""YOLO's folders: where they are looked for, what they say, and what is wrong with them."""

import numpy as np
import pytest
from own_roots import (
    YOLO,
    YOLO_SETTINGS,
    check_listed,
    check_problem,
    check_refused,
    put,
    put_pictures,
    yolo_root,
)
from test_picture_checks import TURNED

from facedet.data.readers.yolo import Yolo, read_yolo
from facedet.errors import FacedetError
from reference.one_face import save_picture

yolo = Yolo()


@pytest.mark.parametrize(
    ("labels", "pictures", "settings"),
    [
        ("labels/{}", "images/{}", "path: /content/faces\ntrain: images/t\n"),
        ("{}1/labels", "{}1/images", "path: .\ntrain: train1/images\n"),
        # Exports by Roboflow climb once too often; others keep a list of one.
        ("{}1/labels", "{}1/images", "train: [../train1/images]\n"),
        ("{}1/labels", "{}1/images", "path: val1/..\ntrain: train1/images\n"),
        ("{}/labels", "{}/images", "train: ..\\train\\images\n"),
        ("labels/{}", "images/{}", "path: /home/me\ntrain: /home/me/faces/images/train\n"),
    ],
)
def test_folders_of_the_settings(tmp_path, labels, pictures, settings):
    root = yolo_root(tmp_path / "images" / "set", labels, pictures)
    put(root / "data.yaml", f"{settings}names: {{'0': face, 1: ignore}}\n")
    check_listed(yolo.list_pictures(root, "train"), "train")


def test_data_without_splits(tmp_path):
    put(tmp_path / "labels" / "a.txt", YOLO["train/a.txt"])
    # Labelling tools leave the names beside the labels.
    put(tmp_path / "labels" / "classes.txt", "\ufeffface\r\nignore\r\n")
    put_pictures(tmp_path, "images", "elsewhere")
    assert yolo.splits(tmp_path) == ["all"]
    check_listed(yolo.list_pictures(tmp_path, "all"), "train")


def test_classes_without_names(tmp_path):
    yolo_root(tmp_path)
    for settings in (None, "nc: 2\n"):
        (tmp_path / "data.yaml").unlink()
        if settings:
            put(tmp_path / "data.yaml", settings)
        assert yolo.list_pictures(tmp_path, "train").classes == ("0", "1")
        put(tmp_path / "data.yaml", "nc: 2\n")
    with pytest.raises(FacedetError, match=r"none of its classes \('0, 1'\) is named face"):
        read_yolo(tmp_path, "train")
    assert read_yolo(tmp_path, "train", classes=1).records[0].boxes.tolist() == [[0, 0, 4, 8]]
    # Validation has one class only, which needs no name.
    assert read_yolo(tmp_path, "val").counts["faces"] == 1


def test_pictures_and_labels_that_are_alone(tmp_path):
    yolo_root(tmp_path)
    put(tmp_path / "labels" / "train" / "sub" / "z.txt", "0 .5 .5 .1 .1\n")
    put(tmp_path / "images" / "train" / "notes.txt", "no picture")
    # As macOS leaves them on other people's disks.
    put(tmp_path / "images" / "train" / "._a.jpg", "no picture")
    put(tmp_path / "images" / "train" / ".trash" / "d.jpg", "no picture")
    listing = yolo.list_pictures(tmp_path, "train")
    assert [one.file for one in listing.pictures] == ["a.jpg", "sub/b.png", "sub/z.jpg"]
    counts = read_yolo(tmp_path, "train", images="present", faceless="keep").counts
    assert (counts["images"], counts["missing_images"]) == (2, 1)


def test_sizes_are_those_of_the_upright_picture(tmp_path):
    # Orientation 6 turns by 90 degrees: a viewer shows 40 px of width and 80 of height.
    save_picture(tmp_path / "images" / "train" / "a.jpg", (80, 40), exif=TURNED)
    put(tmp_path / "labels" / "train" / "a.txt", "0 0.5 0.5 0.5 0.5\n")
    (one,) = yolo.list_pictures(tmp_path, "train").pictures
    assert one.boxes.tolist() == [[10, 20, 30, 60]]
    (record,) = read_yolo(tmp_path, "train", upright=False).records
    assert record.boxes.tolist() == [[20, 10, 60, 30]]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("0 0.5 0.5 0.1", "has 4 numbers, expected five: class cx cy w h"),
        ("0 .1 .1 .2 .2 .3 .3 .4", "has 8 numbers, expected five: class cx cy w h"),
        ("face .5 .5 .1 .1", "is not five numbers: class cx cy w h"),
        ("0.5 .5 .5 .1 .1", "does not begin with the number of a class"),
        ("-1 .5 .5 .1 .1", "does not begin with the number of a class"),
        ("7 .5 .5 .1 .1", "is of class 7, but there are only 2 names"),
        ("0 15 10 10 10", "is not in parts of the picture's sides, 0 … 1"),
        ("0 nan .5 .1 .1", "is not in parts of the picture's sides, 0 … 1"),
        ("0 .5 .5 .1 .1 .5 -3", "is not in parts of the picture's sides, 0 … 1"),
    ],
)
def test_malformed_lines_are_named(tmp_path, line, message):
    yolo_root(tmp_path)
    put(tmp_path / "labels" / "train" / "a.txt", f"\n{line}\n{YOLO['train/a.txt']}")
    message = f", line 2: {line!r} {message}"
    listing = check_problem("yolo", tmp_path, "labels/train/a.txt", message)
    assert [row.place for row in listing.pictures[0].rows] == ["line 3", "line 4"]
    np.testing.assert_allclose(listing.pictures[0].boxes[0], [10, 5, 20, 15])


def test_other_files_that_are_wrong(tmp_path):
    yolo_root(tmp_path)
    (tmp_path / "labels" / "train" / "a.txt").write_bytes(b"\xff\xfe0 1")
    (problem,) = yolo.list_pictures(tmp_path, "train").problems
    assert problem.startswith(f"{tmp_path}/labels/train/a.txt cannot be read")
    put(tmp_path / "labels" / "train" / "a.txt", YOLO["train/a.txt"])
    put(tmp_path / "images" / "train" / "a.jpg", "no picture")
    message = ": not a picture of a format that Pillow reads"
    check_problem("yolo", tmp_path, "images/train/a.jpg", message)
    for folder in ("images/a", "images/b", "labels/a", "labels/b"):
        (tmp_path / folder).mkdir(parents=True)
    put(tmp_path / "data.yaml", "train: [images/a, images/b]\nnames: [face]\n")
    with pytest.raises(FacedetError, match="lists no picture"):
        read_yolo(tmp_path, "train")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ("names: [face", " cannot be read as YAML: while parsing"),
        ("names: !!python/object:os.system x", " cannot be read as YAML: could not determine"),
        ("- face", " is ['face'], expected names of the classes"),
        ("names: 5", ": names is 5, expected a list of names"),
        ("names: {a: face}", ": names is {'a': 'face'}, expected a list of names"),
        ("train: [a, 5]", ": train is ['a', 5], expected folders or text files of pictures"),
    ],
)
def test_malformed_settings(tmp_path, settings, message):
    put(yolo_root(tmp_path) / "data.yaml", settings)
    check_refused("yolo", tmp_path, f"{tmp_path}/data.yaml{message}")


@pytest.mark.parametrize(
    ("settings", "files"),
    [
        ("path: ./\ntrain: train.txt\n", ["a.jpg", "sub/b.png"]),
        ("train: [images/train, images/val]\ntest:\n",
         ["train/a.jpg", "train/sub/b.png", "val/c.jpg"]),
    ],
    ids=["CVAT's list", "two folders"],
)  # fmt: skip
def test_settings_as_exporters_write_them(tmp_path, settings, files):
    yolo_root(tmp_path)
    put(tmp_path / "data.yaml", f"{settings}names: [face, ignore]\n")
    # Paths of lists are of another machine, too.
    put(tmp_path / "train.txt", "data/images/train/a.jpg\n./images/train/sub/b.png\n")
    listing = yolo.list_pictures(tmp_path, "train")
    assert [one.file for one in listing.pictures] == files
    np.testing.assert_allclose(listing.pictures[0].boxes, [[10, 5, 20, 15], [0, 0, 4, 8]])


def test_lists_of_pictures_that_are_elsewhere_or_missing(tmp_path, monkeypatch):
    yolo_root(tmp_path / "set")
    put_pictures(tmp_path / "other")
    put(tmp_path / "other" / "labels" / "train" / "a.txt", YOLO["train/a.txt"])
    (tmp_path / "set" / "images" / "val" / "c.jpg").unlink()
    other = tmp_path / "other" / "images" / "train" / "a.jpg"
    put(tmp_path / "set" / "val.txt", f"images/val/c.jpg\n{other}\n")
    put(tmp_path / "set" / "data.yaml", "val: val.txt\nnames: [face, ignore]\n")
    monkeypatch.chdir(tmp_path)
    for root in (tmp_path / "set", "set"):
        reading = read_yolo(root, "val", images="present")
        assert [record.path for record in reading.records] == [other]
        assert (reading.counts["missing_images"], reading.counts["faces"]) == (1, 1)


def test_linked_folders(tmp_path):
    yolo_root(tmp_path / "set")
    pictures = tmp_path / "set" / "images"
    put_pictures(tmp_path, "camera", "elsewhere")
    (pictures / "val" / "cam2").symlink_to(tmp_path / "camera")
    (pictures / "val" / "loop").symlink_to(pictures)
    put(tmp_path / "set" / "labels" / "val" / "cam2" / "a.txt", YOLO["train/a.txt"])
    listing = yolo.list_pictures(tmp_path / "set", "val")
    files = {one.file: len(one.boxes) for one in listing.pictures}
    assert files == {
        "c.jpg": 1, "cam2/a.jpg": 2, "cam2/sub/b.png": 0,
        "loop/train/a.jpg": 0, "loop/train/sub/b.png": 0,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("settings", "lines", "boxes", "note"),
    [
        ("", "0 .5 .5 .5 .5 0.93", [[10, 5, 30, 15]], "after the box are ignored in 1 lines"),
        ("", "0 .5 .5 .5 .5" + " .4" * 10, [[10, 5, 30, 15]], "numbers after the box"),
        ("", "0 .5 .5 .5 .5" + " -1 -9 2" * 5, [[10, 5, 30, 15]], "numbers after the box"),
        ("kpt_shape: [2, 2]", "0 .5 .5 .5 .5 .6 .6 .6 .6", [[10, 5, 30, 15]], "after the box"),
        ("", "0 .25 .3 .75 .2 .5 .9", [[10, 4, 30, 18]], "of 1 lines that are polygons"),
        # Fifteen numbers among polygons are a polygon of seven corners.
        ("", "0 .5 .5 .5 .5" + " .6" * 10 + "\n0 .25 .3 .75 .2 .5 .9",
         [[20, 10, 24, 12], [10, 4, 30, 18]], "of 2 lines that are polygons"),
    ],
    ids=["confidence", "five landmarks", "and visibility", "two landmarks", "polygon", "polygons"],
)  # fmt: skip
def test_lines_that_say_more_than_a_box(tmp_path, settings, lines, boxes, note):
    yolo_root(tmp_path)
    put(tmp_path / "data.yaml", f"{YOLO_SETTINGS}{settings}\n")
    put(tmp_path / "labels" / "train" / "a.txt", f"{lines}\n")
    listing = yolo.list_pictures(tmp_path, "train")
    np.testing.assert_allclose(listing.pictures[0].boxes, boxes)
    assert note in listing.notes[0]


def test_a_folder_without_labels_is_reported(tmp_path):
    yolo_root(tmp_path)
    put_pictures(tmp_path, "images/val/new", "images/val/new")
    (note,) = yolo.list_pictures(tmp_path, "val").notes
    assert note == (
        f"{tmp_path}/images/val/new: none of its 2 pictures has a label, so they have no faces; "
        f"looked for {tmp_path}/labels/val/new/*.txt"
    )
