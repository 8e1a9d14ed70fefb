"""What the experiments need, found by its looks."""

import pytest

from facedet.errors import FacedetError
from facedet.reproduce.resources import find_resources


def test_all_kinds(tmp_path):
    (tmp_path / "sets" / "faces" / "wider_face_split").mkdir(parents=True)
    curve = tmp_path / "tools" / "plot" / "val" / "DSFD" / "wider_pr_info_DSFD_easy_val.mat"
    curve.parent.mkdir(parents=True)
    curve.touch()
    (tmp_path / "EXTD_64.pth").touch()
    (tmp_path / "extd_32.safetensors").touch()
    (tmp_path / "extd_48.txt").touch()
    (tmp_path / "folds").mkdir()
    (tmp_path / "folds" / "ellipses.txt").touch()
    assert find_resources([tmp_path]) == {
        "wider": tmp_path / "sets" / "faces",
        "curves": tmp_path / "tools" / "plot" / "val",
        "extd_64": tmp_path / "EXTD_64.pth",
        "extd_32": tmp_path / "extd_32.safetensors",
    }
    (tmp_path / "folds" / "x_DiscROC.txt").touch()
    assert find_resources([tmp_path])["fddb"] == tmp_path / "folds"


def test_the_first_folder_counts(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "EXTD_32.pth").touch()
    found = find_resources([tmp_path / "b", tmp_path / "a"])
    assert found == {"extd_32": tmp_path / "b" / "EXTD_32.pth"}


def test_pictures_hidden_and_deep_folders_are_not_searched(tmp_path):
    for place in ("WIDER_val/images", ".cache", "1/2/3/4/5"):
        folder = tmp_path / place
        folder.mkdir(parents=True)
        (folder / "EXTD_32.pth").touch()
    assert find_resources([tmp_path]) == {}
    (tmp_path / "1/2/3/4/EXTD_32.pth").touch()
    assert "extd_32" in find_resources([tmp_path])


def test_no_folder(tmp_path):
    with pytest.raises(FacedetError, match="nowhere is no folder"):
        find_resources([tmp_path / "nowhere"])
    assert find_resources([]) == {}
