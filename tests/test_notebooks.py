"""Every notebook runs, is stored without output, and stays thin."""

import json
from pathlib import Path

import matplotlib as mpl
import pytest

from facedet.data.crowds import make_crowds

NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))


def code_cells(path):
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return [cell for cell in cells if cell["cell_type"] == "code"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_stored_thin_and_without_output(path):
    cells = code_cells(path)
    assert not any(cell["outputs"] or cell["execution_count"] for cell in cells)
    assert sum(len(cell["source"]) for cell in cells) <= 60


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_runs(path, tmp_path, monkeypatch):
    mpl.use("Agg")
    monkeypatch.setenv("FACEDET_CACHE", str(tmp_path))
    # The config's own number of pictures would take most of a minute.
    monkeypatch.setattr(
        "facedet.data.crowds.ensure_crowds",
        lambda root, **_: make_crowds(root, train_images=9, val_images=2, size=224, progress=False),
    )
    names: dict = {}
    for cell in code_cells(path):
        exec(compile("".join(cell["source"]), path.name, "exec"), names)
    mpl.pyplot.close("all")
