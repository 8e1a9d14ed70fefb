"""Broken annotation files of WIDER FACE: every error names its file and place."""

import numpy as np
import pytest
from scipy.io import loadmat, savemat
from wider_roots import TEXT, mat_root, text_root

from facedet.data.readers.wider import read_ground_truth, read_wider_annotations
from facedet.errors import FacedetError


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "0--Parade/first.jpg\n3",
            "0--Parade/first.jpg\n4",
            "line 6: '0--Parade/none.jpg' is not 10",
        ),
        (
            "0--Parade/first.jpg\n3",
            "0--Parade/first.jpg\n2",
            "line 5: '-1 2 3 4 1 0 0 0 0 0' is no",
        ),
        ("0--Parade/first.jpg\n3", "0--Parade/first.jpg\nx", "line 2: 'x' is no number of boxes"),
        ("second.jpg\n1", "second.jpg\n2", "line 10 promises 2 boxes, but 1 lines follow"),
        ("10 20 30 40", "10 20 nan 40", "line 3: '10 20 nan 40 2 1 0 1 2 1' is not 10 finite"),
        ("10 20 30 40", "10 20 1e39 40", "1 0 1 2 1' is not 10 finite numbers up to 1,000,000"),
        ("10 20 30 40", "10 20 30", "line 3: '10 20 30 2 1 0 1 2 1' is not 10"),
        ("10 20 30 40", "10 twenty 30 40", "line 3: '10 twenty 30"),
        ("1--Handshaking/second", "0--Parade/first", "lists 0--Parade/first twice"),
        ("0--Parade/first.jpg", "first.jpg", "line 1: 'first.jpg' is no EVENT/IMAGE.jpg"),
        ("0--Parade/first.jpg", "../first.jpg", "line 1: '../first.jpg' is no EVENT/IMAGE.jpg"),
        ("0--Parade/first.jpg", "0--Parade/first", "is no EVENT/IMAGE.jpg"),
    ],
)
def test_malformed_text_names_its_line(tmp_path, old, new, message):
    assert old in TEXT
    with pytest.raises(FacedetError, match=r"wider_face_val_bbx_gt\.txt") as caught:
        read_wider_annotations(text_root(tmp_path, TEXT.replace(old, new)), "val")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_annotations_that_are_not_there(tmp_path):
    with pytest.raises(FacedetError, match="neither wider_face_val.mat nor wider_face_val_bbx_gt"):
        read_wider_annotations(tmp_path, "val")
    with pytest.raises(FacedetError, match="wider_face_val.mat is missing"):
        read_wider_annotations(tmp_path, "val", annotations="mat")
    with pytest.raises(FacedetError, match="cannot be read"):
        read_wider_annotations(tmp_path, "val", annotations="txt")
    with pytest.raises(FacedetError, match="wider_face_val.mat is missing"):
        read_ground_truth(tmp_path)
    with pytest.raises(FacedetError, match="lists no picture"):
        read_wider_annotations(text_root(tmp_path, "\n"), "val")


@pytest.mark.parametrize("size", [0, 10, 130, 300])
def test_truncated_mat(tmp_path, size):
    path = mat_root(tmp_path) / "wider_face_split" / "wider_face_val.mat"
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(FacedetError, match=r"wider_face_val\.mat"):
        read_wider_annotations(tmp_path, "val")


def test_garbage_mat(tmp_path):
    path = mat_root(tmp_path) / "wider_face_split" / "wider_face_val.mat"
    path.write_bytes(np.random.default_rng(0).bytes(4000))
    with pytest.raises(FacedetError, match=r"cannot be read as a MATLAB file"):
        read_wider_annotations(tmp_path, "val")


def change_mat(path, change):
    content = {key: value for key, value in loadmat(path).items() if not key.startswith("__")}
    change(content)
    savemat(path, content)


def drop_boxes(content):
    del content["face_bbx_list"]


def drop_label(content):
    content["blur_label_list"][0, 0][0, 0] = np.zeros((2, 1), np.uint8)


def drop_file(content):
    content["file_list"][0, 0] = content["file_list"][0, 0][:1]


def drop_event(content):
    content["pose_label_list"] = content["pose_label_list"][:1]


def wrong_columns(content):
    content["face_bbx_list"][1, 0][0, 0] = np.zeros((1, 5), np.int32)


def infinite_box(content):
    content["face_bbx_list"][1, 0][0, 0] = np.array([[1, 2, np.inf, 4]])


def far_box(content):
    content["face_bbx_list"][1, 0][0, 0] = np.array([[1, 2, 3, 1e300]])


def bare_structs(content):
    # savemat writes an empty mapping as a struct without fields.
    content["event_list"] = {}


def text_box(content):
    content["face_bbx_list"][1, 0][0, 0] = np.array(["box"])


def number_name(content):
    content["file_list"][1, 0][0, 0] = np.array([[3.0]])


def name_of_two_lines(content):
    content["file_list"][1, 0][0, 0] = np.array(["sec\nond"])


def no_cells(content):
    content["file_list"] = np.zeros((2, 1))


def same_name(content):
    content["file_list"][0, 0][1, 0] = np.array(["first"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (drop_boxes, "holds no face_bbx_list"),
        (drop_label, "0--Parade/first has 3 boxes, 2 blur_label_list"),
        (drop_file, "the lists of 0--Parade differ in length"),
        (drop_event, "2 events, but pose_label_list has 1"),
        (wrong_columns, "the boxes of 1--Handshaking/second are [1, 5], not [G, 4]"),
        (infinite_box, "a box of 1--Handshaking/second is not finite numbers up to 1,000,000"),
        (far_box, "a box of 1--Handshaking/second is not finite numbers up to 1,000,000"),
        (bare_structs, "event_list is a struct without fields, not a cell array"),
        (text_box, "1--Handshaking/second.jpg holds something else than numbers"),
        (number_name, "1--Handshaking has a name that is no text of one line"),
        (name_of_two_lines, "1--Handshaking has a name that is no text of one line"),
        (no_cells, "file_list is float64, not a cell array"),
        (same_name, "lists 0--Parade/first twice"),
    ],
)
def test_malformed_mat_names_its_entry(tmp_path, change, message):
    path = mat_root(tmp_path) / "wider_face_split" / "wider_face_val.mat"
    change_mat(path, change)
    with pytest.raises(FacedetError, match=r"wider_face_val\.mat") as caught:
        read_wider_annotations(tmp_path, "val")
    assert message in str(caught.value)


def far_index(content):
    content["gt_list"][0, 0][0, 0] = np.array([[1], [4]], np.uint16)


def zero_index(content):
    content["gt_list"][0, 0][0, 0] = np.array([[0]], np.uint16)


def other_name(content):
    content["file_list"][0, 0][1, 0] = np.array(["other"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (far_index, "0--Parade/first keeps faces 1 to 4, but has 3 boxes"),
        (zero_index, "0--Parade/first keeps faces 0 to 0, but has 3 boxes"),
        (other_name, "lists 3 pictures, the annotations 3, 0--Parade/none is in one only"),
    ],
)
def test_mismatched_lists(tmp_path, change, message):
    change_mat(mat_root(tmp_path) / "ground_truth" / "wider_medium_val.mat", change)
    for read in (lambda root: read_wider_annotations(root, "val"), read_ground_truth):
        with pytest.raises(FacedetError, match=r"wider_medium_val\.mat") as caught:
            read(tmp_path)
        assert message in str(caught.value)


def test_incomplete_lists(tmp_path):
    folder = mat_root(tmp_path) / "ground_truth"
    (folder / "wider_hard_val.mat").unlink()
    with pytest.raises(FacedetError, match="wider_hard_val.mat is missing"):
        read_ground_truth(folder)
    for name in ("easy", "medium"):
        (folder / f"wider_{name}_val.mat").unlink()
    with pytest.raises(FacedetError, match="holds no wider_easy_val.mat"):
        read_ground_truth(folder)
    assert "subsets" not in read_wider_annotations(tmp_path, "val").records[0].tags
