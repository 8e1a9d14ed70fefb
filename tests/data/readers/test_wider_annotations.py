"""Broken annotation files of WIDER FACE: every error names its file and place."""

import numpy as np
import pytest
from scipy.io import loadmat, savemat
from wider_roots import TEXT, mat_root, text_root

from facedet.data.readers.wider import read_ground_truth, read_wider_annotations
from reference.refused_weights import complaint


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("0--Parade/first.jpg\n3", "0--Parade/first.jpg\n4",
         "line 6: '0--Parade/none.jpg' is not 10"),
        ("0--Parade/first.jpg\n3", "0--Parade/first.jpg\n2",
         "line 5: '-1 2 3 4 1 0 0 0 0 0' is no"),
        ("0--Parade/first.jpg\n3", "0--Parade/first.jpg\nx", "line 2: 'x' is no number of boxes"),
        ("second.jpg\n1", "second.jpg\n2", "line 10 promises 2 boxes, but 1 lines follow"),
        ("10 20 30 40", "10 20 nan 40", "line 3: '10 20 nan 40 2 1 0 1 2 1' is not 10 finite"),
        ("10 20 30 40", "10 20 1e39 40", "1 0 1 2 1' is not 10 finite numbers up to 1,000,000"),
        ("10 20 30 40", "10 twenty 30 40", "line 3: '10 twenty 30"),
        ("1--Handshaking/second", "0--Parade/first", "lists 0--Parade/first twice"),
        ("0--Parade/first.jpg", "first.jpg", "line 1: 'first.jpg' is no EVENT/IMAGE.jpg"),
        ("0--Parade/first.jpg", "../first.jpg", "line 1: '../first.jpg' is no EVENT/IMAGE.jpg"),
        ("0--Parade/first.jpg", "0--Parade/first", "is no EVENT/IMAGE.jpg"),
        (TEXT, "\n", "lists no picture"),
    ],
)  # fmt: skip
def test_malformed_text_names_its_line(tmp_path, old, new, message):
    assert old in TEXT
    root = text_root(tmp_path, TEXT.replace(old, new))
    words = ("wider_face_val_bbx_gt.txt", message)
    complaint(read_wider_annotations, root, "val", words=words)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1 2 3 4\n", "line 1: '1 2 3 4' comes before any '# IMAGE.jpg'"),
        ("# notes\n", "line 1: 'notes' is no picture's name"),
        ("# a.jpg\n1 2 3\n", "line 2: '1 2 3' is not 4 finite numbers"),
        ("# a.jpg\n1 2 3 4 x\n", "line 2: '1 2 3 4 x' is not 5 finite numbers"),
        ("# a.jpg\n# a.jpg\n", "lists train/a twice"),
    ],
)
def test_malformed_label_lists(tmp_path, text, message):
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / "label.txt").write_text(text)
    complaint(read_wider_annotations, tmp_path, "train", words=("label.txt", message))


def test_annotations_that_are_not_there(tmp_path):
    words = ["neither wider_face_val.mat nor wider_face_val_bbx_gt.txt"]
    complaint(read_wider_annotations, tmp_path, "val", words=words)
    complaint(read_ground_truth, tmp_path, words=["wider_face_val.mat is missing"])


def changes(key, event, image, value):
    """Puts a value into a cell of a variable; into the variable's own place without an image."""

    def change(content):
        if event is None:
            content[key] = value
        elif image is None:
            content[key][event, 0] = content[key][event, 0][:value]
        else:
            content[key][event, 0][image, 0] = np.array(value)

    return change


def change_mat(path, change):
    content = {key: value for key, value in loadmat(path).items() if not key.startswith("__")}
    change(content)
    savemat(path, content)


FIRST, SECOND = "0--Parade/first", "1--Handshaking/second"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda content: content.pop("face_bbx_list"), "holds no face_bbx_list"),
        (changes("blur_label_list", 0, 0, [[0], [0]]), f"the boxes of {FIRST}.jpg"),
        (changes("file_list", 0, None, 1), "0--Parade"),
        (changes("face_bbx_list", 1, 0, np.zeros((1, 5))), f"the boxes of {SECOND}.jpg"),
        (changes("face_bbx_list", 1, 0, [[1, 2, np.inf, 4]]),
         f"a box of {SECOND}.jpg is not finite numbers up to 1,000,000"),
        # savemat writes an empty mapping as a struct without fields.
        (changes("event_list", None, None, {}), "not as WIDER FACE has it"),
        (changes("face_bbx_list", 1, 0, ["box"]), f"the boxes of {SECOND}.jpg"),
        (changes("file_list", 1, 0, ["sec/ond"]), "no EVENT/IMAGE.jpg"),
        (changes("file_list", None, None, np.zeros((2, 1))), "not as WIDER FACE has it"),
        (changes("file_list", 0, 1, ["first"]), f"lists {FIRST} twice"),
    ],
)  # fmt: skip
def test_malformed_mat_names_its_entry(tmp_path, change, message):
    path = mat_root(tmp_path) / "wider_face_split" / "wider_face_val.mat"
    change_mat(path, change)
    complaint(read_wider_annotations, tmp_path, "val", words=("wider_face_val.mat", message))


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
    for read in (read_wider_annotations, read_ground_truth):
        complaint(read, tmp_path, "val", words=("wider_medium_val.mat", message))


def test_incomplete_lists(tmp_path):
    folder = mat_root(tmp_path) / "ground_truth"
    (folder / "wider_hard_val.mat").unlink()
    complaint(read_ground_truth, folder, words=["wider_hard_val.mat is missing"])
    for name in ("easy", "medium"):
        (folder / f"wider_{name}_val.mat").unlink()
    complaint(read_ground_truth, folder, words=["holds no wider_easy_val.mat"])
    assert "subsets" not in read_wider_annotations(tmp_path, "val").records[0].tags
