"""`facedet score`, called as the command line calls it."""

import json
from pathlib import Path

import numpy as np
import pytest

from facedet import __version__
from facedet.data.crowds.wider_writer import write_wider
from facedet.structures import Record


@pytest.fixture
def truth(tmp_path):
    """Two images with one 10 x 10 face each, in every subset."""
    records = [
        Record(
            name,
            Path(),
            np.array([[40, 20, 50, 30]], np.float32),
            np.zeros(1, bool),
            {"subsets": np.ones((1, 3), bool)},
        )
        for name in ("a/1", "a/2")
    ]
    write_wider(tmp_path / "wider", "val", records)
    return tmp_path / "wider"


@pytest.fixture
def found(tmp_path):
    """Detections of the first image (the face, then a false positive) and of an unknown one."""
    folder = tmp_path / "found"
    for name, text in {
        "a/1": "1\n2\n40 20 10 10 0.9\n0 0 40 20 0.5\n",
        "b/9": "9\n1\n0 0 10 10 0.9\n",
    }.items():
        path = folder / f"{name}.txt"
        path.parent.mkdir(parents=True)
        path.write_text(text)
    return folder


def test_json_and_files(cli, truth, found, tmp_path):
    output = tmp_path / "new" / "result"
    words = ("--detections", found, "--ground-truth", truth, "--json", "--output", output)
    scored = cli("score", *words)
    assert scored.code == 0
    result = scored.json
    assert json.loads((output / "metrics.json").read_text()) == result
    assert result.pop("versions")["facedet"] == __version__
    assert len(result.pop("pictures_sha256")) == 64
    # One of two faces, at precision 1: AP 1/2.
    assert result == {
        "wider/easy": 0.5,
        "wider/medium": 0.5,
        "wider/hard": 0.5,
        "images": 2,
        "detections": 2,
        "missing_images": 1,
        "unknown_images": 1,
        "protocol": "wider",
        "iou": 0.5,
        "thresholds": 1000,
        "integer_quirk": True,
        "only_present": False,
    }
    assert scored.err.splitlines() == [
        "facedet score: 1 of 2 images have no detection file: their faces count as missed",
        "facedet score: 1 of 2 images with detections are unknown, such as b/9",
    ]
    stored = np.load(output / "curves.npz")
    # The false positive has the lowest score and passes at the last threshold only.
    assert stored["easy_precision"][[0, 998, 999]].tolist() == [1.0, 1.0, 0.5]
    assert stored["easy_recall"][[0, 999]].tolist() == [0.5, 0.5]


def test_only_present_leaves_out_the_rest_and_says_so(cli, truth, found):
    words = ("--detections", found, "--ground-truth", truth / "ground_truth", "--only-present")
    result = cli("score", *words)
    lines = result.out.splitlines()
    assert "rounded as by the official" in lines[0]
    assert lines[1].split() == ["easy", "100.00", "%", "1", "faces"]
    assert lines[4].startswith("only the 1 images with a detection file, 2 boxes, ")
    assert "1 of 2 images have no detection file: they are left out" in result.err
    assert "(not rounded)" in cli("score", *words, "--no-integer-quirk").out


@pytest.mark.parametrize(
    ("detections", "place", "more", "said"),
    [
        ("other", "wider", (), "none of its 1 images is in wider, the first is b/9"),
        ("nowhere", "wider", (), "nowhere"),
        ("found", "nowhere", (), "nowhere"),
        ("found", "wider", ("--output", "taken"), "cannot be written"),
    ],
)
def test_complaints(cli, truth, found, monkeypatch, detections, place, more, said):
    monkeypatch.chdir(truth.parent)
    Path("other", "b").mkdir(parents=True)
    Path("other", "b", "9.txt").write_text("9\n0\n")

    Path("taken").write_text("a file")
    words = ("--detections", detections, "--ground-truth", place, *more)
    result = cli("score", *words)
    assert (result.code, said in result.err.splitlines()[-1]) == (1, True), result.err


def test_swapped_columns_are_noticed(cli, truth, tmp_path):
    path = tmp_path / "corners" / "a" / "1.txt"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"\xef\xbb\xbf1\r\n1\r\n40 20 50 30 0.9 \r\n")  # a BOM, Windows' line ends
    result = cli("score", "--detections", tmp_path / "corners", "--ground-truth", truth)
    assert "easy      0.00 %" in result.out
    hint = "its columns look like x1 y1 x2 y2 score, expected x y w h score"
    assert result.err.splitlines()[-1] == f"facedet score: {tmp_path / 'corners'}: {hint}"


@pytest.mark.data
@pytest.mark.slow
def test_published_detections_have_their_published_values(cli, shared):
    found = shared / "reference" / "wider_val_detections"
    truth = shared / "data" / "wider" / "ground_truth"
    result = cli("score", "--detections", found, "--ground-truth", truth, "--json").json

    assert (result["images"], result["detections"]) == (3226, 297333)
    assert (result["missing_images"], result["unknown_images"]) == (0, 0)
    # Published with these detections: 90.70 / 88.16 / 73.82.
    assert 100 * result["wider/easy"] == pytest.approx(90.70, abs=0.01)
    assert 100 * result["wider/medium"] == pytest.approx(88.16, abs=0.01)
    assert 100 * result["wider/hard"] == pytest.approx(73.83, abs=0.01)
