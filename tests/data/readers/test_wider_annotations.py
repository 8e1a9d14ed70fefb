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


def changes(key, event, image, value):
    """Puts a value into a cell of a variable; into the variable's own place without an image."""

    def change(content):
        if event is None:
            content[key] = value(content[key])
        elif image is None:
            content[key][event, 0] = value(content[key][event, 0])
        else:
            content[key][event, 0][image, 0] = np.array(value)

    return change


FIRST = "0--Parade/first"
SECOND = "1--Handshaking/second"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda content: content.pop("face_bbx_list"), "holds no face_bbx_list"),
        (changes("blur_label_list", 0, 0, [[0], [0]]), f"{FIRST} has 3 boxes, 2 blur_label_list"),
        (changes("file_list", 0, None, lambda cell: cell[:1]),
         "the lists of 0--Parade differ in length"),
        (changes("pose_label_list", None, None, lambda cells: cells[:1]),
         "2 events, but pose_label_list has 1"),
        (changes("face_bbx_list", 1, 0, np.zeros((1, 5))),
         f"the boxes of {SECOND} are [1, 5], not [G, 4]"),
        (changes("face_bbx_list", 1, 0, [[1, 2, np.inf, 4]]),
         f"a box of {SECOND} is not finite numbers up to 1,000,000"),
        (changes("face_bbx_list", 1, 0, [[1, 2, 3, 1e300]]),
         f"a box of {SECOND} is not finite numbers up to 1,000,000"),
        # savemat writes an empty mapping as a struct without fields.
        (changes("event_list", None, None, lambda _: {}),
         "event_list is a struct without fields, not a cell array"),
        (changes("face_bbx_list", 1, 0, ["box"]),
         f"{SECOND}.jpg holds something else than numbers"),
        (changes("file_list", 1, 0, [[3.0]]),
         "1--Handshaking has a name that is no text of one line"),
        (changes("file_list", 1, 0, ["sec\nond"]),
         "1--Handshaking has a name that is no text of one line"),
        (changes("file_list", None, None, lambda _: np.zeros((2, 1))),
         "file_list is float64, not a cell array"),
        (changes("file_list", 0, 1, ["first"]), f"lists {FIRST} twice"),
    ],
)  # fmt: skip
def test_malformed_mat_names_its_entry(tmp_path, change, message):
    path = mat_root(tmp_path) / "wider_face_split" / "wider_face_val.mat"
    change_mat(path, change)
    with pytest.raises(FacedetError, match=r"wider_face_val\.mat") as caught:
        read_wider_annotations(tmp_path, "val")
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (changes("gt_list", 0, 0, np.array([[1], [4]], np.uint16)),
         f"{FIRST} keeps faces 1 to 4, but has 3 boxes"),
        (changes("gt_list", 0, 0, np.array([[0]], np.uint16)),
         f"{FIRST} keeps faces 0 to 0, but has 3 boxes"),
        (changes("file_list", 0, 1, ["other"]),
         "lists 3 pictures, the annotations 3, 0--Parade/none is in one only"),
    ],
)  # fmt: skip
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
