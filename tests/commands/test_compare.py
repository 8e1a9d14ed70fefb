"""`facedet compare`: own and published results in one table."""

import argparse
import csv
import json

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from facedet.commands import compare
from facedet.errors import FacedetError, UsageError

SUBSETS = ("easy", "medium", "hard")


def call(*words):
    parser = argparse.ArgumentParser()
    compare.add_arguments(parser)
    return compare.run(parser.parse_args([str(word) for word in words]))


def publish(folder, method, precision):
    """A method that finds half of the faces at this precision: AP precision / 2."""
    (folder / method).mkdir(parents=True)
    for subset in SUBSETS:
        content = {"pr_cruve": np.array([[precision, 0.5]]), "legend_name": method.upper()}
        savemat(folder / method / f"wider_pr_info_{method}_{subset}_val.mat", content)


@pytest.fixture
def published(tmp_path):
    for method, precision in (("a", 0.2), ("b", 0.8), ("c", 0.4)):
        publish(tmp_path / "val", method, precision)
    return tmp_path / "val"


@pytest.fixture
def own(tmp_path):
    """A run of AP 0.3 on hard faces."""
    folder = tmp_path / "runs" / "mine"
    folder.mkdir(parents=True)
    columns = {}
    for subset, precision in zip(SUBSETS, (1.0, 0.8, 0.6), strict=True):
        columns |= {f"{subset}_precision": [precision], f"{subset}_recall": [0.5]}
    np.savez(folder / "curves.npz", **columns)
    (folder / "metrics.json").write_text(json.dumps({"protocol": "wider_single", "images": 8}))
    return folder


def test_own_and_published_results_by_their_ap(published, own, tmp_path, capsys):
    output = tmp_path / "out"
    words = ("--curves", published, "--run", f"EXTD={own}", "--output", output, "--best", 1)
    assert call(*words) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    # Half of the precision each; on hard faces 0.4, 0.3, 0.2, 0.1.
    assert rows[0] == list(SUBSETS)
    assert [row[0] for row in rows[1:]] == ["B", "EXTD", "C", "A"]
    assert " ".join(rows[2]) == "EXTD 0.5000 0.4000 0.3000 own: wider_single, 8 images"
    assert rows[3] == ["C", "0.2000", "0.2000", "0.2000"]
    table = list(csv.DictReader((output / "comparison.csv").open()))
    assert [row["own"] for row in table] == ["", "own: wider_single, 8 images", "", ""]
    assert float(table[1]["hard"]) == pytest.approx(0.3)
    for subset in SUBSETS:
        assert Image.open(output / f"precision_recall_{subset}.png").size == (720, 600)


def test_what_is_drawn(published, own, tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(
        compare, "plot_precision_recall", lambda path, curves, *_: drawn.append(list(curves))
    )
    call("--curves", published, "--run", own, "--output", tmp_path / "out", "--best", 2)
    # All own ones, by the folder's name, and the two best published ones.
    assert drawn == [["mine", "B", "C"]] * 3


def test_published_results_alone(published, capsys):
    call("--curves", published)
    captured = capsys.readouterr()
    assert len(captured.out.splitlines()) == 4
    assert "no --run was given" in captured.err


def test_complaints(published, own, tmp_path):
    with pytest.raises(UsageError, match="A stands for two results"):
        call("--curves", published, "--run", f"A={own}")
    with pytest.raises(UsageError, match="--run A=: wanted NAME=FOLDER"):
        call("--curves", published, "--run", "A=")
    with pytest.raises(FacedetError, match="nowhere.curves.npz cannot be read"):
        call("--curves", published, "--run", tmp_path / "nowhere")
    (own / "metrics.json").write_text("{}")
    with pytest.raises(FacedetError, match="metrics.json does not tell of protocol and images"):
        call("--curves", published, "--run", own)
    np.savez(own / "curves.npz", threshold=[1.0])
    with pytest.raises(FacedetError, match="curves.npz holds no WIDER FACE curves"):
        call("--curves", published, "--run", own)
