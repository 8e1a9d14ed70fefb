"""Which form a folder holds, and WIDER FACE as one of them."""

import numpy as np
import pytest
from own_roots import ROOTS, coco_root, csv_root, put
from scipy.io import loadmat, savemat
from wider_roots import mat_root, text_root

from facedet.data.crowds.dataset import make_crowds
from facedet.data.readers.formats import FORMATS, find_format
from facedet.data.readers.listing import refuse
from facedet.errors import FacedetError, UsageError


@pytest.mark.parametrize("form", ROOTS)
def test_a_form_is_known_by_its_folder(tmp_path, form):
    root = ROOTS[form](tmp_path)
    assert find_format(root, None) == (form, ["train", "val"])
    assert find_format(root, form) == (form, ["train", "val"])
    with pytest.raises(FacedetError, match=f"{root}: holds no WIDER FACE data set; looked for"):
        find_format(root, "wider")


def test_wider_is_known_by_its_folder(tmp_path):
    (tmp_path / "wider").mkdir()
    assert find_format(text_root(tmp_path / "wider"), None) == ("wider", ["val"])
    crowds = make_crowds(
        tmp_path / "crowds", train_images=1, val_images=1, size=128, progress=False
    )
    # The crowds' own JSON file is no annotation.
    assert find_format(crowds, None) == ("wider", ["train", "val"])


def test_folders_of_no_form_or_of_two(tmp_path):
    with pytest.raises(FacedetError, match="nowhere: no such folder"):
        find_format(tmp_path / "nowhere", None)
    with pytest.raises(FacedetError, match="is no data set of a known form") as caught:
        find_format(tmp_path, None)
    for form, one in FORMATS.items():
        assert f"{one.mark} ({form})" in str(caught.value)
    csv_root(coco_root(tmp_path))
    with pytest.raises(UsageError, match="may be coco or csv; say which"):
        find_format(tmp_path, None)
    assert find_format(tmp_path, "csv")[0] == "csv"


def test_a_broken_file_of_another_form_is_no_hindrance(tmp_path):
    put(tmp_path / "data.yaml", "names: face")
    with pytest.raises(FacedetError, match="names is 'face'"):
        find_format(tmp_path, None)
    assert find_format(coco_root(tmp_path), None)[0] == "coco"


def test_wider_as_a_listing(tmp_path):
    """The set of `wider_roots`: three boxes, a dummy for no face, one box."""
    listing = FORMATS["wider"].list_pictures(mat_root(tmp_path), "val", refuse)
    first, none, second = listing.pictures
    assert first.file == "0--Parade/first.jpg"
    assert first.path == listing.folder / first.file
    assert first.boxes.tolist() == [[10, 20, 40, 60], [5, 6, 5, 14], [-1, 2, 2, 6]]
    assert none.boxes.shape == (0, 4)
    assert second.boxes.tolist() == [[7, 8, 16, 18]]
    # Every box is in one of the lists.
    assert not np.concatenate([one.ignore for one in listing.pictures]).any()
    assert first.places.tolist() == [1, 2, 3]


def test_faces_in_no_list_are_ignored(tmp_path):
    root = mat_root(tmp_path)
    lists = root / "ground_truth"
    assert not FORMATS["wider"].list_pictures(root, "val", refuse).pictures[0].ignore.any()
    path = lists / "wider_hard_val.mat"
    content = {key: value for key, value in loadmat(path).items() if not key.startswith("__")}
    # Hard loses the second box of the first picture, which no other list has.
    content["gt_list"][0, 0][0, 0] = np.array([[1], [3]], np.uint16)
    savemat(path, content)
    first = FORMATS["wider"].list_pictures(root, "val", refuse).pictures[0]
    assert first.ignore.tolist() == [False, True, False]
