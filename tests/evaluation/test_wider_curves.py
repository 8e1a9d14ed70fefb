"""Published curves on WIDER FACE: their files, and the values of the published table."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from facedet.errors import FacedetError
from facedet.evaluation.wider_curves import read_wider_curves
from facedet.reproduce.experiments import read_published

SHARED = os.environ.get("FACEDET_SHARED", "")
SUBSETS = ("easy", "medium", "hard")


def write(folder, method="M", subsets=SUBSETS, **content):
    """Curves of one method, by default of two points."""
    values = {"pr_cruve": np.array([[np.nan, 0.0], [0.75, 0.5]]), "legend_name": "A method"}
    (folder / method).mkdir(exist_ok=True)
    for subset in subsets:
        path = folder / method / f"wider_pr_info_x_y_{subset}_val.mat"
        savemat(
            path, {key: value for key, value in (values | content).items() if value is not None}
        )


def test_one_method(tmp_path):
    write(tmp_path)
    (tmp_path / "readme.txt").write_text("no method")
    methods = read_wider_curves(tmp_path)
    assert list(methods) == ["A method"]
    assert list(methods["A method"]) == list(SUBSETS)
    curve = methods["A method"]["hard"]
    # Before the first detection the files have no precision.
    assert (curve.precision.tolist(), curve.recall.tolist()) == ([0, 0.75], [0, 0.5])
    assert curve.legend == "A method"
    assert curve.value == 0.375


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"pr_cruve": None}, "holds no pr_cruve"),
        ({"legend_name": None}, "holds no legend_name"),
        ({"pr_cruve": np.ones((4, 3))}, r"pr_cruve is float64\[4, 3\], not \[T, 2\]"),
        ({"pr_cruve": "text"}, r"not \[T, 2\]"),
        ({"pr_cruve": np.array([[1, 0.5], [1, 0.4]])}, "2 points are no curve of rising recall"),
        ({"pr_cruve": np.zeros((0, 2))}, "0 points|holds no|not"),
    ],
)
def test_malformed_curves(tmp_path, content, message):
    write(tmp_path, **content)
    with pytest.raises(FacedetError, match=message) as caught:
        read_wider_curves(tmp_path)
    assert "wider_pr_info_x_y_easy_val.mat" in str(caught.value)


def test_incomplete_folders(tmp_path):
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(FacedetError, match="holds no folder METHOD"):
            read_wider_curves(folder)
    write(tmp_path, subsets=SUBSETS[:1])
    with pytest.raises(FacedetError, match="M: 0 files wider_pr_info_NAME_medium_SPLIT.mat"):
        read_wider_curves(tmp_path)
    write(tmp_path)
    shutil.copy(tmp_path / "M" / "wider_pr_info_x_y_hard_val.mat",
                tmp_path / "M" / "wider_pr_info_z_hard_val.mat")  # fmt: skip
    with pytest.raises(FacedetError, match="M: 2 files wider_pr_info_NAME_hard_SPLIT.mat"):
        read_wider_curves(tmp_path)


def test_a_method_that_cannot_be_read_does_not_lose_the_others(tmp_path):
    write(tmp_path, "A", legend_name="first")
    write(tmp_path, "B", legend_name="second")
    (tmp_path / "A" / "wider_pr_info_x_y_hard_val.mat").write_bytes(b"cut off")
    problems = []
    assert list(read_wider_curves(tmp_path, problems)) == ["second"]
    assert len(problems) == 1
    assert "wider_pr_info_x_y_hard_val.mat cannot be read" in problems[0]
    shutil.rmtree(tmp_path / "B")
    with pytest.raises(FacedetError, match="cannot be read"):
        read_wider_curves(tmp_path, [])


@pytest.mark.data
@pytest.mark.skipif(not SHARED, reason="FACEDET_SHARED is not set")
def test_published_values_to_every_digit():
    pytest.importorskip("h5py")
    methods = read_wider_curves(Path(SHARED) / "reference" / "wider_curves" / "val")
    values = {
        method: tuple(round(curves[name].value, 4) for name in SUBSETS)
        for method, curves in methods.items()
    }
    assert values == read_published()
