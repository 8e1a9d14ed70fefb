"""Published curves as text."""

import pytest

from facedet.errors import FacedetError
from facedet.evaluation.text_curves import read_roc_curves


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
def test_stored_curves(shared):
    curves = read_roc_curves(shared / "reference/fddb/published", (1000, 2000))
    values = {name: [round(one.value, 5) for one in both.values()] for name, both in curves.items()}
    assert values["SmallHardFace"] == [0.98743, 0.99265]
    assert values["PyramidBox"] == [0.98685, 0.99362]
    assert values["SFD"] == [0.98262, 0.98428]
