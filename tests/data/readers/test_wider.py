"""WIDER FACE as records: a small set written by hand, and the official files."""

import os
import time
from pathlib import Path

import numpy as np
import pytest
from wider_roots import KEEP, TEXT, assert_equal, mat_root, text_root

from facedet.data.readers.wider import read_ground_truth, read_wider, read_wider_annotations
from facedet.data.readers.wider_annotations import ATTRIBUTES
from facedet.errors import FacedetError

SHARED = os.environ.get("FACEDET_SHARED", "")
needs_shared = pytest.mark.skipif(not SHARED, reason="FACEDET_SHARED is not set")


def test_text_becomes_records(tmp_path):
    root = text_root(tmp_path)
    records, counts = read_wider_annotations(root, "val")
    assert [record.name for record in records] == ["0--Parade/first", "1--Handshaking/second"]
    first = records[0]
    assert first.path == tmp_path / "WIDER_val" / "images" / "0--Parade" / "first.jpg"
    # x2 = 10 + 30, y2 = 20 + 40; the second box has no width.
    assert first.boxes.tolist() == [[10, 20, 40, 60], [-1, 2, 2, 6]]
    assert first.boxes.dtype == np.float32
    assert first.ignore.tolist() == [False, False]
    assert first.tags["event"] == "0--Parade"
    assert {key: first.tags[key].tolist() for key in ATTRIBUTES} == {
        "blur": [2, 1], "expression": [1, 0], "illumination": [0, 0], "invalid": [1, 0],
        "occlusion": [2, 0], "pose": [1, 0],
    }  # fmt: skip
    assert "subsets" not in first.tags
    assert counts == {
        "images": 2, "faces": 3, "ignored_boxes": 0,
        "zero_size_boxes": 2,  # one, and the dummy
        "faceless_images": 1, "missing_images": 0,
    }  # fmt: skip
    records, counts = read_wider_annotations(root, "val", faceless="keep")
    assert [len(record.boxes) for record in records] == [2, 0, 1]
    assert (counts["images"], counts["faceless_images"]) == (3, 0)
    records, counts = read_wider_annotations(root, "val", zero_size="keep")
    assert [len(record.boxes) for record in records] == [3, 1, 1]
    assert (counts["faces"], counts["zero_size_boxes"]) == (5, 0)


@pytest.mark.parametrize(
    ("old", "new", "zero_size_boxes"),
    [("0 0 0 0 0 0 0 0 0 0\n1--", "1--", 1), ("5 6 0 8", "5 6 7 -8", 2)],
    ids=["no dummy line", "a negative size"],
)
def test_other_texts(tmp_path, old, new, zero_size_boxes):
    root = text_root(tmp_path, TEXT.replace(old, new))
    records, counts = read_wider_annotations(root, "val", faceless="keep")
    assert [len(record.boxes) for record in records] == [2, 0, 1]
    assert counts["zero_size_boxes"] == zero_size_boxes


def test_text_of_four_columns_of_other_pictures_from_windows(tmp_path):
    text = TEXT.replace(" 0 0 0 0 0 0", "").replace(" 2 1 0 1 2 1", "").replace(" 1 0 0 0 0 0", "")
    for old, new in (("first.jpg", "first.PNG"), ("Parade/", "Parade\\"), ("\n", " \r\n")):
        text = text.replace(old, new)
    path = text_root(tmp_path) / "wider_face_split" / "wider_face_val_bbx_gt.txt"
    path.write_bytes(text.replace("1--", "\r\n1--").encode("utf-8-sig"))
    first, second = read_wider_annotations(tmp_path, "val").records
    assert first.path.name == "first.PNG"
    assert first.boxes.tolist() == [[10, 20, 40, 60], [-1, 2, 2, 6]]
    assert not first.tags["blur"].any()
    assert second.boxes.tolist() == [[7, 8, 16, 18]]


def test_mat_and_text_give_the_same_and_the_mat_is_preferred(tmp_path):
    root = mat_root(tmp_path)
    mat = read_wider_annotations(root, "val", **KEEP)
    text_root(root, "not an annotation file")
    assert_equal(read_wider_annotations(root, "val", **KEEP).records, mat.records)
    (root / "wider_face_split" / "wider_face_val.mat").unlink()
    with pytest.raises(FacedetError, match="line 1"):
        read_wider_annotations(root, "val")
    txt = read_wider_annotations(text_root(root), "val", **KEEP)
    assert mat.counts == txt.counts
    assert_equal(mat.records, txt.records)


def test_subsets_follow_their_boxes(tmp_path):
    root = mat_root(tmp_path)
    first = read_wider_annotations(root, "val").records[0]
    # The masks of boxes 1 and 3: the zero-size box between them is gone.
    assert first.tags["subsets"].tolist() == [[True, False, True], [False, True, True]]
    truth = read_ground_truth(root)
    assert [len(record.boxes) for record in truth] == [3, 1, 1]
    assert truth[0].tags["subsets"].sum(axis=0).tolist() == [1, 1, 3]
    assert_equal(truth, read_ground_truth(root / "ground_truth"))


def put_pictures(root, *names):
    for name in names:
        path = root / "WIDER_val" / "images" / f"{name}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def test_missing_pictures(tmp_path):
    # A name that no file can have is that of a missing picture.
    root = text_root(tmp_path, TEXT.replace("0--Parade/none", f"0--Parade/{'9' * 300}"))
    put_pictures(root, "1--Handshaking/second")
    with pytest.raises(FacedetError, match="2 of 3 pictures are missing, the first is 0--Parade/f"):
        read_wider(root, "val")
    records, counts = read_wider(root, "val", images="present")
    assert [record.name for record in records] == ["1--Handshaking/second"]
    # The other pictures' boxes are not counted at all.
    assert counts == {
        "images": 1, "faces": 1, "ignored_boxes": 0, "zero_size_boxes": 0, "faceless_images": 0,
        "missing_images": 2,
    }  # fmt: skip
    put_pictures(mat_root(root), "0--Parade/first", "0--Parade/none")
    assert read_wider(root, "val").counts == read_wider_annotations(root, "val").counts
    second = read_wider(root, "val", images="present").records[1]
    assert second.tags["subsets"].tolist() == [[True, True, True]]


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("train/label.txt", "# 0--Parade/p.jpg\n57 32 82 118" + " 70.0 60.0 0.0" * 5 + " 0.82\n"),
        ("train/labelv2.txt", "# 0--Parade/p.jpg 200 180\n57 32 139 150" + " 7 6 0" * 5 + "\n"),
        ("labelv2/train/labelv2.txt", "# 0--Parade/p.jpg 200 180\r\n57\t32\t139\t150 \r\n"),
    ],
    ids=["RetinaFace", "SCRFD", "SCRFD without landmarks"],
)
def test_label_lists(tmp_path, caplog, file, text):
    for name in ("0--Parade/p", "q"):
        path = tmp_path / "train" / "images" / f"{name}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / file).write_bytes(f"{text}# q.jpg\n".encode("utf-8-sig"))
    first, second = read_wider(tmp_path, "train", faceless="keep").records
    assert (first.name, first.boxes.tolist()) == ("0--Parade/p", [[57, 32, 139, 150]])
    assert (second.name, second.boxes.shape) == ("train/q", (0, 4))
    assert ("are ignored in 1 rows" in caplog.text) == ("7" in text.split("\n")[1][15:])


@needs_shared
@pytest.mark.data
@pytest.mark.parametrize(
    ("split", "listed", "used"),
    [("train", (12880, 159424), (12876, 159393)), ("val", (3226, 39708), (3222, 39697))],
)
def test_official_counts(split, listed, used):
    # EXTD's list of training images: arXiv 1906.06579, released code.
    root = Path(SHARED) / "data" / "wider"
    start = time.process_time()
    counts = read_wider_annotations(root, split).counts
    assert time.process_time() - start < 10
    assert (counts["images"], counts["faces"]) == used
    assert counts["images"] + counts["faceless_images"] == listed[0]
    assert counts["faces"] + counts["zero_size_boxes"] == listed[1]


@needs_shared
@pytest.mark.data
def test_official_subsets_and_pictures():
    root = Path(SHARED) / "data" / "wider"
    truth = read_ground_truth(root / "ground_truth")
    assert len(truth) == 3226
    kept = np.concatenate([record.tags["subsets"] for record in truth])
    assert kept.sum(axis=0).tolist() == [7211, 13319, 31958]
    images = np.array([record.tags["subsets"].any(axis=0) for record in truth])
    assert images.sum(axis=0).tolist() == [2604, 3019, 3219]
    records, counts = read_wider(root, "val", images="present")
    assert (counts["images"], counts["missing_images"], counts["faces"]) == (243, 2983, 2737)
    assert all(record.path.is_file() for record in records)
