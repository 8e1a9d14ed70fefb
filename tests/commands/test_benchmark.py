"""`facedet benchmark`: its output, and its complaints; `profiling` has the measurements."""

import csv
import json

import pytest
import torch
from PIL import Image

from facedet.profiling import training_speed
from facedet.profiling.training_speed import PLAIN, Loop


def test_json_is_one_object(cli):
    words = ("--preset", "extd_ssd_32_relu", "--size", 64, "--runs", 1, "--json")
    result = cli("benchmark", "network", *words)
    assert (result.code, result.err) == (0, "")
    assert result.json["what"] == "network"
    assert result.json["machine"]["threads"] >= 1


def test_mining_adds_a_small_share_made_of_its_parts(cli):
    words = ("--preset", "extd_ssd_32_relu", "--size", 64, "--batch", 2, "--runs", 1, "--json")
    found = cli("benchmark", "mining", *words).json
    share = found["added_per_step_seconds"] / found["step_seconds"]
    assert found["share"] == pytest.approx(share)
    assert found["added_per_step_seconds"] > found["of_it_per_epoch_seconds"] * 2 / 25_760


def test_training_says_what_each_thing_adds(cli, wider, monkeypatch):
    ladder = {"plain": PLAIN, "+ channels-last": Loop(channels_last=True)}
    monkeypatch.setattr(training_speed, "LADDER", ladder)
    words = ("--preset", "extd_ssd_32_relu", "--size", 64, "--batch", 2, "--runs", 1)
    result = cli("benchmark", "training", *words, "--data", wider, "--threads", 1)
    assert (result.code, result.err) == (0, "")
    about, *table = result.out.splitlines()
    assert about.endswith(
        f"threads: 1, torch {torch.__version__}; extd_ssd_32_relu, 2 crops of 64 px a step; "
        f"pictures of {wider}, read in the loop's own process"
    )
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table]
    assert [row[0] for row in rows[2:]] == list(ladder)
    assert rows[2][2:] == ["1.00", "1.00 to 1.00", "1.00"]
    assert rows[3][2] == rows[3][4]


def test_sizes_of_weights_and_presets(cli, weights, tmp_path):
    out = tmp_path / "new" / "out"
    words = ("--weights", weights, "--preset", "extd_ssd_32_prelu", "--sizes", "96,64", "--runs", 1)
    result = cli("benchmark", "sizes", *words, "--output", out)
    assert (result.code, result.err) == (0, "")
    lines = result.out.splitlines()
    assert f"torch {torch.__version__}" in lines[0]
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines[3:7]]
    names = ["one face", "extd_ssd_32_prelu (random)"]
    assert [row[:2] for row in cells] == [
        [name, f"{side} x {side}"] for side in (64, 96) for name in names
    ]
    assert cells[0][6] == "1"
    assert "(" in cells[1][6]
    assert "random: without weights" in result.out
    report = json.loads((out / "sizes.json").read_text())
    assert report["random"] == ["extd_ssd_32_prelu (random)"]
    # 0.0535 G at 64 x 64: a hundredth of 640 x 640.
    assert report["rows"][0]["madds"] == pytest.approx(5.353e7, rel=1e-3)
    with (out / "sizes.csv").open() as stream:
        table = list(csv.DictReader(stream))
    assert [row["width"] for row in table] == ["64", "64", "96", "96"]
    assert table[0]["threads"] == str(report["machine"]["threads"])
    assert Image.open(out / "sizes.png").size == (780, 600)


@pytest.mark.slow
def test_memory_of_weights(cli, weights):
    result = cli("benchmark", "memory", "--weights", weights, "--megapixels", 0.01, "--json")
    assert result.code == 0
    assert 0 < result.json["loaded_gib"] <= result.json["peak_gib"]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["network", "--runs", 0], 2, "--runs: 0 is not a whole number above 0"),
        (["network", "--size", -3], 2, "--size"),
        (["network", "--threads", 0], 2, "--threads"),
        (["training", "--batch", 0], 2, "--batch"),
        (["memory", "--megapixels", 0], 2, "--megapixels"),
        (["memory"], 2, "--weights FILE"),
        (["memory", "--weights", "/nowhere.pth"], 1, "/nowhere.pth: no such weights file"),
        (["network", "--weights", "/nowhere.pth"], 1, "/nowhere.pth: no such weights file"),
        (["network", "--image", "/nowhere.jpg"], 1, "/nowhere.jpg: no such file"),
        (["network", "--preset", "extd_fpn_65_relu"], 2, "the nearest is extd_fpn_64_relu"),
        (["pipeline", "--data", "/nowhere"], 1, "/nowhere"),
        (["banana"], 2, "banana"),
        (["sizes"], 2, "benchmark sizes wants --weights FILE … or --preset NAME …"),
        (["sizes", "--weights", "/nowhere.pth"], 1, "/nowhere.pth: no such weights file"),
        (["sizes", "--preset", "extd_ssd_32_relu", "extd_ssd_32_relu"], 2, "is named twice"),
        (["sizes", "--sizes", "64,0"], 2, "0 is not a whole number above 0"),
        (["network", "--preset", "a", "b"], 2, "--preset: network takes one, 2 were given"),
        (["network", "--output", "out"], 2, "--output belongs to sizes, not to network"),
    ],
)
def test_complaints(cli, words, code, said):
    cli("benchmark", *words).check_error(code, said)
