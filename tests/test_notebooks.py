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
SWEEP = FOLDER / "04_results_of_a_sweep.ipynb"
every_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def code_cells(path):
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return [cell for cell in cells if cell["cell_type"] == "code"]


def refuse(*_):
    raise AssertionError("a notebook asked for the network")


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Runs a notebook's cells in an empty folder; gives their names."""
    folders = {name: tmp_path / name for name in ("here", "temporary", "cache")}
    for folder in folders.values():
        folder.mkdir()
    monkeypatch.chdir(folders["here"])
    monkeypatch.setenv("FACEDET_CACHE", str(folders["cache"]))
    monkeypatch.setattr(tempfile, "tempdir", str(folders["temporary"]))
    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)

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


def test_there_are_four():
    assert [path.stem[:3] for path in NOTEBOOKS] == ["01_", "02_", "03_", "04_"]


@every_notebook
def test_is_stored_with_its_output_and_thin(path):
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
    [("01_data_anchors_crops", 6), ("02_matching_and_mining", 3), ("03_cost_and_speed", 1)],
)
def test_runs(name, pictures, run):
    run(FOLDER / f"{name}.ipynb")
    assert len(figures()) == pictures


@pytest.mark.slow
def test_made_up_results_say_so(run, monkeypatch, capsys):
    monkeypatch.delenv("FACEDET_SWEEP", raising=False)
    run(SWEEP)
    assert capsys.readouterr().out.startswith("# Sweep MADE UP, NO JOB WAS RUN\n")
    assert len(figures()) == 2
    assert figures()[-1].get_suptitle() == "MADE UP, NO JOB WAS RUN"


@pytest.mark.parametrize(
    ("objectives", "points"),
    [((0.25, 0.5), [0.25, 0.5]), ((0.25, None), [0.25]), ((None, None), [])],
)
def test_reads_the_sweep_that_the_environment_names(
    objectives, points, run, tmp_path, monkeypatch, capsys
):
    folder = tmp_path / "a sweep"
    for width, objective in zip((32, 64), objectives, strict=True):
        job = folder / "jobs" / str(width)
        job.mkdir(parents=True)
        record = {
            "overrides": {"backbone.width": width}, "objective": objective,
            "objective_name": "wider/medium",
        }  # fmt: skip
        (job / "job.json").write_text(json.dumps(record))
        (job / ("weights.safetensors" if objective else "error.txt")).touch()
    monkeypatch.setenv("FACEDET_SWEEP", str(folder))
    before = sorted(folder.rglob("*"))
    run(SWEEP)
    assert sorted(folder.rglob("*")) == before
    said = capsys.readouterr().out
    assert said.startswith("# Sweep a sweep\n")
    assert "MADE UP" not in said
    (panel,) = figures()[-1].axes
    assert list(panel.lines[-1].get_ydata()) == points


@pytest.mark.parametrize("name", ["absent", "."])
def test_a_folder_without_a_sweep_stops_the_notebook(name, run, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("FACEDET_SWEEP", str(tmp_path / name))
    with pytest.raises(AssertionError):
        run(SWEEP)
    assert str(tmp_path) in capsys.readouterr().err
