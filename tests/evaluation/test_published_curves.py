"""Published curves: their files, and the values of the published tables."""

import shutil

import numpy as np
import pytest
from scipy.io import savemat

from facedet.errors import FacedetError
from facedet.evaluation.published_curves import read_roc_curves, read_wider_curves
from facedet.reproduce.experiments import read_published

SUBSETS = ("easy", "medium", "hard")


def write(folder, method="M", subsets=SUBSETS, **content):
    """Curves of one method, by default of two points."""
    values = {"pr_cruve": np.array([[np.nan, 0.0], [0.75, 0.5]]), "legend_name": "A method"}
    content = {key: value for key, value in (values | content).items() if value is not None}
    (folder / method).mkdir(exist_ok=True)
    for subset in subsets:
        savemat(folder / method / f"wider_pr_info_x_y_{subset}_val.mat", content)


def test_one_method(tmp_path):
    write(tmp_path)
    (tmp_path / "readme.txt").write_text("no method")
    methods = read_wider_curves(tmp_path)
    assert list(methods) == ["A method"]
    assert list(methods["A method"]) == list(SUBSETS)
    curve = methods["A method"]["hard"]
    # Before the first detection the files have no precision.
    assert (curve.y.tolist(), curve.x.tolist(), curve.value) == ([0, 0.75], [0, 0.5], 0.375)


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
    hard = tmp_path / "M" / "wider_pr_info_x_y_hard_val.mat"
    shutil.copy(hard, hard.with_name("wider_pr_info_z_hard_val.mat"))
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


def test_two_methods_of_one_name(tmp_path):
    write(tmp_path, "A")
    write(tmp_path, "B")
    with pytest.raises(FacedetError, match="B and .*A have the same legend_name A method"):
        read_wider_curves(tmp_path)
    problems = []
    assert list(read_wider_curves(tmp_path, problems)) == ["A method"]
    assert len(problems) == 1
    for name in ("C_DiscROC.txt", "CDiscROC.txt"):
        (tmp_path / name).write_text("0.5 3 0.1\n")
    with pytest.raises(FacedetError, match=r"C_DiscROC\.txt and CDiscROC\.txt are of one method"):
        read_roc_curves(tmp_path, (1000,))


@pytest.mark.data
def test_published_values_to_every_digit(shared):
    pytest.importorskip("h5py")
    methods = read_wider_curves(shared / "reference" / "wider_curves" / "val")
    values = {
        method: tuple(round(curves[name].value, 4) for name in SUBSETS)
        for method, curves in methods.items()
    }
    assert values == read_published()


def test_roc_by_hand(tmp_path):
    rows = "0.9 1200 0.1\n\n0.8 1000 0.2\n0.75 999 0.3\n0 0 1\n"
    (tmp_path / "Some_DiscROC.txt").write_text(rows)
    (tmp_path / "OtherDiscROC.txt").write_text("0.5 3 0.1\n")
    (tmp_path / "OtherContROC.txt").write_text("nothing to read")
    curves = read_roc_curves(tmp_path, (1000, 2000, 1))
    # Below 1,000, not at it; below 1 the last point, or none.
    assert [curve.value for curve in curves["Some"].values()] == [0.75, 0.9, 0]
    assert [curve.value for curve in curves["Other"].values()] == [0.5, 0.5, 0]
    assert list(curves["Some"]) == ["1,000 FP", "2,000 FP", "1 FP"]


def test_lines_of_a_roc_in_any_order(tmp_path):
    """Each column is sorted by itself, as the official script does."""
    for name, rows in (
        ("Official", ["0.9 1200 0.1", "0.75 999 0.3", "0.7 500 0.4"]),
        ("Reversed", ["0.7 500 0.4", "0.75 999 0.3", "0.9 1200 0.1"]),
        ("Mixed", ["0.7 1200 0.4", "0.9 500 0.1", "0.75 999 0.3"]),
    ):
        (tmp_path / f"{name}DiscROC.txt").write_text("\n".join(rows))
    for curves in read_roc_curves(tmp_path, (1000,)).values():
        curve = curves["1,000 FP"]
        assert (curve.value, curve.x.tolist()) == (0.75, [1200, 999, 500])


@pytest.mark.parametrize(
    "text", ["", "0.5\n", "0.5 three 0.1\n", "0.5 3 0.1\n0.4 2\n", "nan 3 0.1"]
)
def test_malformed_roc(tmp_path, text):
    with pytest.raises(FacedetError, match="no published curves"):
        read_roc_curves(tmp_path, (1000,))
    (tmp_path / "aDiscROC.txt").write_text(text)
    with pytest.raises(FacedetError, match=r"aDiscROC\.txt.* numbers"):
        read_roc_curves(tmp_path, (1000,))


@pytest.mark.data
def test_stored_roc_curves(shared):
    curves = read_roc_curves(shared / "reference/fddb/published", (1000, 2000))
    values = {name: [round(one.value, 5) for one in both.values()] for name, both in curves.items()}
    assert values["SmallHardFace"] == [0.98743, 0.99265]
    assert values["PyramidBox"] == [0.98685, 0.99362]
    assert values["SFD"] == [0.98262, 0.98428]
