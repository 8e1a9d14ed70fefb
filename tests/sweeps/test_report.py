"""`facedet sweep report`, on sweep folders made by hand."""

import argparse
import csv
import json
from pathlib import Path

import pytest
from PIL import Image

from facedet.commands import sweep_report
from facedet.config import compose, plain
from facedet.errors import FacedetError
from facedet.files import locked
from facedet.profiling.cost import measure_cost
from facedet.profiling.timing import Timing

OBJECTIVE = "wider/medium"
MEASURED = (
    "AP of one pass at a picture's own size; "
    'metric={"_target_": "facedet.metrics.wider.WiderAP", "integer_quirk": true} '
    "data.root=/data/crowds data.prepare.val_images=100 trainer.limit_val_batches=20 "
    "postprocess.score=0.02 trainer.max_steps=300 trainer.max_time=00:00:04:00 data.batch_size=16 "
    "augmentation.size=640; SHORT TRAINING (the papers: 60,000 and 480,000 steps)"
)


def call(*words):
    parser = argparse.ArgumentParser()
    sweep_report.add_arguments(parser)
    return sweep_report.run(parser.parse_args([str(word) for word in words]))


@pytest.fixture(scope="module")
def configs():
    """By width, the resolved config of a short training."""
    words = (
        "trainer.max_steps=300", "trainer.limit_val_batches=20", "data.root=/data/crowds",
        "data.batch_size=16", "augmentation.size=640", "trainer.max_time=00:00:04:00",
    )  # fmt: skip
    return {
        width: plain(compose("train", [f"backbone.width={width}", *words])) for width in (32, 64)
    }


@pytest.fixture(scope="module", autouse=True)
def counted_once():
    """Networks of one size are counted once for all tests: it takes longer than the rest."""
    counted = {}

    def count(net, size):
        key = sum(value.numel() for value in net.parameters())
        if key not in counted:
            counted[key] = measure_cost(net, size)
        return counted[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("facedet.profiling.cost.measure_cost", count)
        yield


@pytest.fixture
def sweep(tmp_path, configs):
    """Adds jobs to a sweep; gives its folder."""
    folder = tmp_path / "sweeps ü" / "a (1)"
    (folder / "jobs").mkdir(parents=True)
    about = {"name": "widths", "overrides": ["budget=smoke"]}
    (folder / "sweep.json").write_text(json.dumps(about))

    def add(name, objective, overrides, config=None, error=None, **changes):
        run = folder / "jobs" / name
        run.mkdir()
        record = {
            "overrides": overrides, "objective_name": OBJECTIVE,
            "config": config or configs[int(overrides.get("backbone.width", 32))],
        }  # fmt: skip
        if objective is not None:
            (run / "weights.safetensors").touch()
            metrics = {"wider/easy": objective + 0.1, OBJECTIVE: objective, "wider/hard": 0.1}
            record |= {"objective": objective, "seconds": 10.0, "metrics": metrics}
        elif error is not None:
            (run / "error.txt").write_text(error)
        (run / "job.json").write_text(json.dumps(record | changes))
        return folder

    return add


def grid(sweep):
    """Two widths x two seeds, the best one missing."""
    sweep("a", 0.2, {"backbone.width": "32", "seed": "0"})
    sweep("b", 0.4, {"backbone.width": "32", "seed": "1"})
    sweep("c", 0.5, {"backbone.width": "64", "seed": "0"}, seconds=30.0)
    error = "the loss is nan\n\nTraceback"
    return sweep("d", None, {"backbone.width": "64", "seed": "1"}, error=error)


def cells_of(line):
    return [cell.strip() for cell in line.strip("|").split(" | ")]


def read_table(folder):
    return list(csv.DictReader((folder / "report.csv").open(encoding="utf-8")))


def test_ranking_on_the_terminal_and_in_files(sweep, tmp_path, capsys):
    folder, output = grid(sweep), tmp_path / "out"
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert call(folder, "--output", output) == 0
    assert before == {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    out = capsys.readouterr().out
    assert out.startswith((output / "report.md").read_text(encoding="utf-8"))
    lines = out.splitlines()
    assert lines[:6] == [
        "# Sweep widths",
        "",
        "- settings of all jobs: budget=smoke",
        "- jobs: 1 failed, 3 finished",
        "- objective: wider/medium, higher is better; mean and sample standard deviation over the "
        "n seeds that have finished",
        f"- {MEASURED}",
    ]
    start = next(number for number, line in enumerate(lines) if line.startswith("| rank"))
    assert cells_of(lines[start])[:6] == ["rank", "backbone.width", "n", "mean", "std", "ap_easy"]
    # 0.5 of one seed; (0.2 + 0.4) / 2 = 0.3 and sqrt((0.01 + 0.01) / 1) = 0.1414 of two.
    cells = [cells_of(line) for line in lines[start + 2 : start + 4]]
    assert cells[0][:5] == ["1", "64", "1", "0.5000", "–"]
    assert cells[1][:7] == ["2", "32", "2", "0.3000", "0.1414", "0.4000", "0.1414"]
    # EXTD-FPN with PReLU has 162,352 and 62,939 parameters.
    assert cells[0][11:] == ["162,352", "13,410,902,400", "30", "1 failed, 1 finished", "c d"]
    assert cells[1][11] == "62,939"
    assert "- d (failed) backbone.width=64 seed=1 the loss is nan\n" in out
    # Of the effects only seed 0 is a pair: 0.2 against 0.5.
    assert [cells_of(line) for line in lines if line.startswith("| backbone.width |")] == [
        ["backbone.width", "32", "2", "0.3000", "1", "0.2000"],
        ["backbone.width", "64", "1", "0.5000", "1", "0.5000"],
    ]
    assert "- parameters: 1: 64, 2: 32\n" in out
    first, second = read_table(output)
    assert (first["rank"], first["backbone.width"], first["n"]) == ("1", "64", "1")
    assert (first["objective"], first["mode"]) == ("wider/medium", "max")
    assert (first["mean"], first["std"]) == ("0.500000", "")
    assert (second["mean"], second["std"]) == ("0.300000", "0.141421")
    assert (second["ap_easy"], second["ap_hard_std"]) == ("0.400000", "0.000000")
    assert (first["parameters"], first["madds"]) == ("162352", "13410902400")
    assert (first["latency_seconds"], first["jobs"], first["measured"]) == ("", "c d", MEASURED)
    assert Image.open(output / "pareto.png").size == (1200, 552)


def test_a_sweep_that_runs(sweep, capsys):
    folder = sweep("a", None, {"backbone.width": "32"})
    sweep("b", None, {"backbone.width": "64"})
    (folder / "jobs" / "b" / "checkpoints").mkdir()
    (folder / "jobs" / "b" / "checkpoints" / "last.ckpt").touch()
    (folder / "jobs" / "c").mkdir()
    with locked(folder / "jobs" / "a" / ".job.lock"):
        call(folder)
    out = capsys.readouterr().out
    assert "jobs: 1 interrupted, 1 running" in out
    assert "- a (running) backbone.width=32\n" in out
    assert "- b (interrupted) backbone.width=64\n" in out
    assert "c/job.json is missing or damaged" in out
    assert not (folder / "pareto.png").exists()
    assert [(row["rank"], row["mean"], row["seconds"]) for row in read_table(folder)] == [
        ("", "", ""), ("", "", ""),
    ]  # fmt: skip


def test_nothing_to_report(tmp_path):
    (tmp_path / "jobs").mkdir()
    (tmp_path / "sweep.json").write_text('{"name": "widths"}')
    with pytest.raises(FacedetError, match="the sweep widths has no jobs yet"):
        call(tmp_path)


@pytest.mark.parametrize(
    ("objective", "callbacks"),
    [
        ("train/loss", {}),
        ("mine/error", {"best": {"monitor": "mine/error", "mode": "min"}}),
    ],
)
def test_lower_is_better(sweep, configs, capsys, objective, callbacks):
    # A job of another objective, whose config says nothing of this one.
    sweep("0", None, {"optimizer.lr": "0.4"}, error="no")
    config = configs[32] | {"callbacks": callbacks}
    for name, value, lr in (("a", 0.5, "0.1"), ("b", 0.25, "0.2"), ("c", 0.75, "0.3")):
        folder = sweep(name, value, {"optimizer.lr": lr}, config, objective_name=objective)
    call(folder)
    out = capsys.readouterr().out
    assert f"objective: {objective}, lower is better" in out
    rows = read_table(folder)
    assert [row["optimizer.lr"] for row in rows] == ["0.2", "0.1", "0.3", "0.4"]
    assert {row["mode"] for row in rows} == {"min"}
    # All cost the same: only the lowest is on the front.
    assert "- parameters: 1: 0.2\n" in out


def test_numbers_that_do_not_compare(sweep, configs, capsys):
    sweep("a", 0.5, {"seed": "0"})
    sweep("b", 0.6, {"seed": "1"})
    sweep("c", 7.0, {"seed": "2"}, objective_name="train/loss")
    other = configs[32] | {"metric": {"_target_": "a.WiderAP", "integer_quirk": False}}
    folder = sweep("d", 0.7, {"seed": "3"}, other)
    call(folder)
    out = capsys.readouterr().out
    # Three of four seeds: (0.5 + 0.6 + 0.7) / 3, deviations 0.1, 0, 0.1.
    (row,) = read_table(folder)
    assert (row["n"], row["mean"], row["std"]) == ("3", "0.600000", "0.100000")
    assert "c (finished) seed=2 not ranked: its objective is train/loss" in out
    assert "the jobs were validated in several ways: their AP does not compare" in out
    assert "## Effect" not in out


def test_a_setting_that_older_jobs_do_not_name(sweep):
    sweep("a", 0.5, {})
    folder = sweep("b", 0.6, {"backbone.width": "64", "preset": "extd_fpn"})
    call(folder)
    # The width stands in the config, the choice of a preset does not.
    assert [(row["backbone.width"], row["preset"]) for row in read_table(folder)] == [
        ("64", "extd_fpn"), ("32", ""),
    ]  # fmt: skip


def test_jobs_of_several_starts_are_ranked_apart(sweep, configs, capsys):
    """The same seeds with another budget, then another network: no rows of four or six seeds."""
    long = configs[32] | {"trainer": configs[32]["trainer"] | {"max_steps": 500}}
    for number, config in enumerate((configs[32], long, configs[64])):
        for seed in (0, 1):
            changes = {"seed": seed, "paths": {"output": f"outputs/{number}-{seed}"}}
            folder = sweep(f"{number}{seed}", number + seed, {"seed": str(seed)}, config | changes)
    call(folder)
    found = [[row[key] for key in ("trainer.max_steps", "backbone.width", "n", "mean")]
             for row in read_table(folder)]  # fmt: skip
    assert found == [
        ["300", "64", "2", "2.500000"], ["500", "32", "2", "1.500000"],
        ["300", "32", "2", "0.500000"],
    ]  # fmt: skip
    # Paired by seed are 300 steps with either width, and width 32 after 300 and 500 steps.
    out = capsys.readouterr().out
    assert "| trainer.max_steps |   300 | 4 | 1.5000 |" in out


def test_latency(sweep, monkeypatch, capsys):
    folder = grid(sweep)
    nets = []

    def measure(net, size, runs):
        nets.append(net)
        return Timing(0.1 * len(nets), 0.1, 0.2, 10)

    monkeypatch.setattr("facedet.profiling.latency.network_latency", measure)
    call(folder, "--latency")
    out = capsys.readouterr().out
    # Each of the two networks once, in the order of the jobs: width 32, then 64.
    assert len(nets) == 2
    assert "latency at 640 x 640: median of 10 passes with " in out
    assert [row["latency_seconds"] for row in read_table(folder)] == ["0.200000", "0.100000"]
    # The second is quicker, the first better.
    assert "- latency_seconds: 1: 64, 2: 32\n" in out
    assert Image.open(folder / "pareto.png").size == (1752, 552)


def test_a_network_that_is_not_ours_is_not_built(sweep, configs, capsys):
    net = {"_target_": "os.mkdir", "path": str(Path.cwd() / "made")}
    folder = sweep("a", 0.5, {}, configs[32] | {"model": {"net": net}})
    call(folder)
    assert "building 'os.mkdir' is refused" in capsys.readouterr().out
    assert not Path("made").exists()
    (row,) = read_table(folder)
    assert (row["parameters"], row["mean"]) == ("", "0.500000")
