"""A benchmark from outside the package: a reader, a class and a protocol, in three files."""

import json

import pytest

from reference.one_face import save_picture

READER = """
from pathlib import Path

import numpy as np

from facedet.structures import Reading, Record


def read_dots(root, split, *, images="all", zero_size="keep", faceless="keep"):
    records = []
    for line in (Path(root) / "dots.csv").read_text().splitlines():
        name, *box = line.split(",")
        boxes = np.array([box], dtype=np.float32)
        records.append(Record(name, Path(root) / f"{name}.jpg", boxes, np.zeros(1, bool), {}))
    return Reading(records, {"images": len(records)})
"""
CLASS = """
from facedet.evaluation.benchmarks import RefinedVoc
from dots_reader import read_dots


class Dots(RefinedVoc):
    title = "Dots"

    def read_truth(self, path):
        return read_dots(path, "val").records
"""
PROTOCOL = """
defaults: [pascal, _self_]
name: dots
benchmark: {_target_: dots_benchmark.Dots}
reader: {_target_: dots_reader.read_dots, _partial_: true}
scales: {sides: [128], flip: false}
metric: {name: dots, rounds: 1}
files: {y_shift: 0.0}
"""


@pytest.fixture
def config_dir(tmp_path, monkeypatch):
    """Where the three files lie."""
    folder = tmp_path / "mine ü"
    (folder / "protocol").mkdir(parents=True)
    (folder / "dots_reader.py").write_text(READER)
    (folder / "dots_benchmark.py").write_text(CLASS)
    (folder / "protocol" / "dots.yaml").write_text(PROTOCOL)
    monkeypatch.syspath_prepend(folder)
    return folder


@pytest.fixture
def dots(tmp_path):
    """Two pictures with a face in each; only the first is where the detector finds it."""
    root = tmp_path / "dots"
    for name in ("a", "b"):
        save_picture(root / f"{name}.jpg", (128, 128))
    (root / "dots.csv").write_text("a,0,0,127,127\nb,500,500,600,600\n")
    return root


def test_evaluate_and_score_find_it(cli, weights, config_dir, dots, tmp_path):
    out = tmp_path / "out"
    result = cli("evaluate", "--config-dir", config_dir, "protocol=dots", "data=benchmark",
                 f"data.root={dots}", f"weights={weights}", f"paths.output={out}")  # fmt: skip
    assert result.code == 0, result.err
    report = json.loads((out / "metrics.json").read_text())
    # Two detections of one score in two pictures: one of two faces is found.
    assert (report["dots/ap"], report["images"], report["protocol"]) == (0.5, 2, "dots")
    assert "all points  AP 0.5000         2 faces" in result.out
    words = ("--protocol", "dots", "--config-dir", config_dir, "--ground-truth", dots)
    scored = cli("score", *words, "--detections", out / "detections", "--json")
    assert scored.json["dots/ap"] == 0.5
    assert cli("score", *words, "--detections", out / "detections").out.startswith("Dots, IoU")


def test_a_protocol_that_is_not_there(cli, config_dir, dots):
    words = ("--config-dir", config_dir, "--ground-truth", dots, "--detections", dots)
    cli("score", "--protocol", "dost", *words).check_error(2, "protocol=dost", "dots")
    cli("score", "--protocol", "lfw", *words[2:]).check_error(2, "protocol=lfw", "pascal")


def test_a_protocol_without_a_class(cli, weights, dots, tmp_path):
    result = cli("evaluate", f"weights={weights}", "data=wider", f"data.root={dots}",
                 "protocol.benchmark=wider", f"paths.output={tmp_path / 'out'}")  # fmt: skip
    result.check_error(2, "benchmark is wider, expected {_target_: CLASS}")
