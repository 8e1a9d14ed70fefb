"""`facedet benchmark`: its output, and its complaints; `profiling` has the measurements."""

import csv
import json
import sys
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest
import torch

from facedet.evaluation import engines
from facedet.export.writing import export
from reference.one_face import save_picture


def test_json_is_one_object(cli):
    words = ("--preset", "extd_ssd_32_relu", "--size", 64, "--runs", 1, "--json")
    result = cli("benchmark", "network", *words)
    assert (result.code, result.err) == (0, "")
    assert result.json["what"] == "network"
    assert result.json["net"] == "extd_ssd_32_relu (random)"
    assert result.json["same_detections"]
    assert result.json["machine"]["threads"] >= 1
    text = cli("benchmark", "network", *words[:-1]).out
    assert "times in seconds" in text
    low, high = next(line for line in text.splitlines() if "speedup_range" in line).split()[1:]
    assert len(low) < 8
    assert float(low) <= float(high)


def test_sizes_of_weights_and_presets(cli, weights, tmp_path):
    out = tmp_path / "new" / "out"
    words = ("--weights", weights, "--preset", "extd_ssd_32_prelu", "--sizes", "96,64", "--runs", 1)
    result = cli("benchmark", "sizes", *words, "--output", out)
    assert (result.code, result.err) == (0, "")
    lines = result.out.splitlines()
    assert f"torch {torch.__version__}" in lines[0]
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines[3:7]]
    names = ["one face", "extd_ssd_32_prelu (random)"]
    assert [row[:2] for row in cells] == [[name, side] for side in ("64", "96") for name in names]
    assert cells[0][6] == "1.00 (1.00–1.00)"
    report = json.loads((out / "sizes.json").read_text())
    # 0.0535 G at 64 x 64: a hundredth of 640 x 640.
    assert report["rows"][0]["madds"] == pytest.approx(5.353e7, rel=1e-3)
    with (out / "sizes.csv").open() as stream:
        table = list(csv.DictReader(stream))
    assert [row["width"] for row in table] == ["64", "64", "96", "96"]
    assert table[0]["threads"] == str(report["machine"]["threads"])


def test_one_file_says_when_and_how_it_was_measured(cli, tmp_path):
    words = ("--preset", "extd_ssd_32_relu", "--sizes", "64", "--runs", 1)
    result = cli("benchmark", "sizes", *words, "--output", tmp_path / "measured" / "a.json")
    assert (result.code, result.err) == (0, "")
    (file,) = (tmp_path / "measured").iterdir()
    report = json.loads(file.read_text())
    assert abs(datetime.now(UTC).date() - date.fromisoformat(report["date"])) <= timedelta(days=1)
    assert report["command"].startswith("facedet benchmark sizes --preset extd_ssd_32_relu ")
    assert report["rows"][0]["width"] == 64


def test_engines_next_to_each_other(cli, weights, wider, tmp_path):
    """Takes 5 s: three engines, each of which compiles the detector, is timed and has an AP."""
    words = ("--weights", weights, "--image", tmp_path / "a.png", "--runs", 1, "--threads", 1)
    words += ("--unfolded",)
    save_picture(tmp_path / "a.png")
    out = tmp_path / "out"
    result = cli("benchmark", "engines", *words, "--data", wider, "--limit", 2, "--output", out)
    assert result.code == 0, result.err
    assert "metrics.json" not in result.err  # of an evaluation whose folder is gone
    lines = result.out.splitlines()
    assert "picture: " in lines[0]
    assert "64 x 48 px" in lines[0]
    report = json.loads((out / "engines.json").read_text())
    rows = report["rows"]
    engines = [row["engine"].split()[0] for row in rows]
    assert engines == ["torch", "torch", "openvino", "onnxruntime"]
    assert [row["engine"].endswith(", unfolded") for row in rows] == [True, False, False, False]
    assert len(lines) == 7 + 1
    for row in rows:
        assert row["faces"] == 1
        # The one face is right in each picture.
        assert row["wider/hard"] == 1.0
        parts = row["prepare_ms"] + row["network_ms"] + row["postprocess_ms"]
        assert parts == pytest.approx(row["whole_ms"], rel=0.01)
    assert rows[0]["speedup"] == 1.0
    assert sorted(file.name for file in out.iterdir()) == [
        "engines.csv", "engines.json", "engines.png",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        ({"form": "end-to-end"}, 2, "leaves out faces below 0.5 itself"),
        ({"form": "decoded", "size": (480, 640)}, 2, "takes pictures of one size"),
        ({"form": "decoded"}, 1, "nowhere"),
    ],
)
def test_what_cannot_be_evaluated_is_said_before_the_timing(
    cli, weights, wider, tmp_path, monkeypatch, options, code, said
):
    monkeypatch.setattr(engines, "measure_calls", lambda *_: pytest.fail("was timed"))
    file, data = tmp_path / "a.onnx", "/nowhere" if said == "nowhere" else wider
    export(weights, file, "onnx", **options)
    cli("benchmark", "engines", "--weights", file, "--data", data).check_error(code, said)


def test_weights_are_not_opened_to_be_checked(weights, wider, monkeypatch):
    monkeypatch.setattr(engines, "open_detector", lambda *_, **__: pytest.fail("was opened"))
    engines._check_evaluation([engines.Entry(str(weights), "torch")], wider, None, 1)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a process begins at nothing")
def test_memory_is_that_of_the_engine_alone(weights):
    own = np.ones(250_000_000)  # 2 GB of this process
    assert engines._peak(engines.Entry(str(weights), "torch"), (48, 64), 1) < own.nbytes / 1e6


def test_what_cannot_be_saved_is_printed_all_the_same(cli, tmp_path):
    (tmp_path / "taken").write_text("a file")
    words = ("--preset", "extd_ssd_32_relu", "--sizes", 32, "--runs", 1)
    result = cli("benchmark", "sizes", *words, "--output", tmp_path / "taken")
    assert (result.code, "extd_ssd_32_relu" in result.out) == (1, True)
    assert "cannot be written" in result.err


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["network", "--runs", 0], 2, "--runs: 0 is not a whole number above 0"),
        (["network", "--size", -3], 2, "--size"),
        (["network", "--threads", 0], 2, "--threads"),
        (["network", "--weights", "/nowhere.pth"], 1, "/nowhere.pth: no such weights file"),
        (["network", "--image", "/nowhere.jpg"], 1, "/nowhere.jpg: no such file"),
        (["network", "--preset", "extd_fpn_65_relu"], 2, "the nearest is extd_fpn_64_relu"),
        (["network", "--preset", "a", "b"], 2, "network times one detector, 2 were given"),
        (
            ["network", "--output", "out"],
            2,
            "--output belongs to sizes and engines, not to network",
        ),
        (["sizes"], 2, "benchmark sizes expects --weights FILE … or --preset NAME …"),
        (["sizes", "--weights", "/nowhere.pth"], 1, "/nowhere.pth: no such weights file"),
        (["sizes", "--preset", "extd_ssd_32_relu", "extd_ssd_32_relu"], 2, "is named twice"),
        (["sizes", "--sizes", "64,0"], 2, "0 is not a whole number above 0"),
        (["banana"], 2, "banana: expected network, sizes or engines"),
        (["engines"], 2, "benchmark engines expects --weights FILE …, and no --preset"),
        (["engines", "--weights", "/nowhere.onnx"], 1, "/nowhere.onnx: no such weights file"),
        (["sizes", "--preset", "a", "--memory"], 2, "belong to engines, not to sizes"),
        (["training"], 2, "training is now a script: python tests/benchmarks/training.py"),
        (["memory"], 2, "memory is now a script: python tests/benchmarks/memory.py"),
    ],
)
def test_complaints(cli, words, code, said):
    cli("benchmark", *words).check_error(code, said)
