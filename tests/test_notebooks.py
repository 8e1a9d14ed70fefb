"""Every notebook runs, anywhere and without a network, is stored with its output, and is thin."""

import json
import socket
import tempfile
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import pytest

FOLDER = Path(__file__).parents[1] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
every_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def code_cells(path):
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return [cell for cell in cells if cell["cell_type"] == "code"]


connect = socket.socket.connect


def connect_to_this_machine(self, address):
    """W&B talks to its own service over a socket."""
    if isinstance(address, tuple) and address[0] not in ("127.0.0.1", "::1"):
        raise AssertionError(f"a notebook asked for the network: {address}")
    return connect(self, address)


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Runs a notebook's cells in an empty folder; gives their names."""
    folders = {name: tmp_path / name for name in ("here", "temporary", "cache")}
    for folder in folders.values():
        folder.mkdir()
    monkeypatch.chdir(folders["here"])
    monkeypatch.setenv("FACEDET_CACHE", str(folders["cache"]))
    monkeypatch.setattr(tempfile, "tempdir", str(folders["temporary"]))
    monkeypatch.setattr(socket.socket, "connect", connect_to_this_machine)
    for word in ("MODE", "SILENT", "DATA_DIR", "CACHE_DIR", "CONFIG_DIR"):
        monkeypatch.setenv(f"WANDB_{word}", "")  # what a notebook sets is gone afterwards

    def run_cells(path):
        names = {}
        with mpl.rc_context(), plt.ioff():
            for number, cell in enumerate(code_cells(path)):
                exec(compile("".join(cell["source"]), f"{path.name}:{number}", "exec"), names)
        assert not list(folders["here"].iterdir())
        assert not list(folders["cache"].iterdir())
        return names

    plt.switch_backend("Agg")
    yield run_cells
    plt.close("all")


def figures():
    return [plt.figure(number) for number in plt.get_fignums()]


@every_notebook
def test_is_stored_with_its_output_and_thin(path):
    assert len(NOTEBOOKS) == 5, "another one has to run below too"
    cells = code_cells(path)
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    kinds = {output["output_type"] for cell in cells for output in cell["outputs"]}
    assert kinds <= {"stream", "display_data", "execute_result"}
    assert kinds
    assert path.stat().st_size < 1_000_000
    lines = [line for cell in cells for line in "".join(cell["source"]).splitlines()]
    assert sum(bool(line.strip()) for line in lines) <= 60


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "pictures"),
    [
        ("02_add_a_backbone", 1),
        ("03_one_night_with_wandb", 2),
        ("04_data_anchors_crops", 6),
        ("05_matching_and_mining", 3),
    ],
)
def test_runs(name, pictures, run):
    run(FOLDER / f"{name}.ipynb")
    assert len(figures()) == pictures


@pytest.mark.slow
def test_own_faces_are_found_better_after_fine_tuning(run):
    folder = Path(run(FOLDER / "01_my_own_faces.ipynb")["folder"].name)
    assert len(figures()) == 3
    before, after = (
        json.loads((folder / name / "metrics.json").read_text())["wider/hard"]
        for name in ("before", "after")
    )
    assert before < 0.2
    assert after > before + 0.2
