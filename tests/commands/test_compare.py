"""`facedet compare`: own and published results in one table."""

import csv
import json

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from facedet.config import compose, plain
from facedet.evaluation import comparison
from facedet.profiling.timing import Timing

SUBSETS = ("easy", "medium", "hard")


def table(result):
    """The cells of a printed table, the rule left out."""
    assert result.code == 0, result.err
    lines = result.out.splitlines()
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines[:1] + lines[2:]]


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


def test_own_and_published_results_by_their_ap(cli, published, own, tmp_path):
    output = tmp_path / "out"
    words = ("--curves", published, "--run", f"EXTD={own}", "--output", output, "--best", 1)
    rows = table(cli("compare", *words, "--unlike"))
    # Half of the precision each; on hard faces 0.4, 0.3, 0.2, 0.1.
    assert rows[0] == ["method", *SUBSETS, "origin"]
    assert [row[0] for row in rows[1:]] == ["B", "EXTD", "C", "A"]
    assert rows[2] == ["EXTD", "0.5000", "0.4000", "0.3000", "own: wider_single, 8 images"]
    assert rows[3] == ["C", "0.2000", "0.2000", "0.2000", ""]
    stored = list(csv.DictReader((output / "comparison.csv").open()))
    assert [row["origin"] for row in stored] == ["", "own: wider_single, 8 images", "", ""]
    assert float(stored[1]["hard"]) == pytest.approx(0.3)
    for subset in SUBSETS:
        assert Image.open(output / f"precision_recall_{subset}.png").size == (720, 600)


def test_what_is_drawn(cli, published, own, tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(
        comparison, "plot_precision_recall", lambda path, curves, *_: drawn.append(list(curves))
    )
    words = ("--curves", published, "--run", own, "--output", tmp_path / "out", "--best", 2)
    cli("compare", *words, "--unlike")
    # All own ones, by the folder's name, and the two best published ones.
    assert drawn == [["mine", "B", "C"]] * 3


def test_published_results_alone(cli, published):
    assert len(table(cli("compare", "--curves", published))) == 4


def test_fddb(cli, own, tmp_path):
    folder = tmp_path / "roc"
    folder.mkdir()
    (folder / "ADiscROC.txt").write_text("0.9 1500 0.1\n0.8 900 0.2\n0 0 1\n")
    (folder / "B_DiscROC.txt").write_text("0.85 1999 0.1\n0.7 1000 0.2\n0.6 999 0.3\n")
    np.savez(own / "curves.npz", threshold=[0.1, 0.2, 0.3], false_positives=[2500, 999, 3],
             discrete=[0.95, 0.7, 0.1], precision=[0.1, 0.2, 0.9])  # fmt: skip
    words = {"images": 2845, "similarity": 0.5, "ellipses": "masks", "protocol": "fddb"}
    (own / "metrics.json").write_text(json.dumps(words))
    call = ("compare", "--curves", folder, "--run", own)
    assert table(cli(*call, "--output", tmp_path / "out")) == [
        ["method", "2,000 FP", "1,000 FP", "origin"],
        ["A", "0.9000", "0.8000", ""],
        ["mine", "0.7000", "0.7000", "own: fddb, 2,845 images"],
        ["B", "0.8500", "0.6000", ""],
    ]
    for limit in (1000, 2000):
        assert Image.open(tmp_path / "out" / f"roc_{limit}.png").size == (720, 600)
    (own / "metrics.json").write_text(json.dumps(words | {"ellipses": "boxes"}))
    cli(*call).check_error(2, "ellipses boxes (mine) / masks (the published ones")


def test_precision_recall_files(cli, own, tmp_path):
    folder = tmp_path / "afw"
    folder.mkdir()
    # Precision 0.5 up to recall 0.8, in either order.
    (folder / "Other.txt").write_text("0.5 0.8\n0.5 0.2\n")
    np.savez(own / "curves.npz", threshold=[0.9], precision=[1.0], recall=[0.75])
    (own / "metrics.json").write_text(json.dumps({"protocol": "afw", "images": 205}))
    call = ("compare", "--curves", folder, "--run", own)
    assert table(cli(*call, "--output", tmp_path / "out")) == [
        ["method", "AP", "origin"],
        ["mine", "0.7500", "own: afw, 205 images"],
        ["Other", "0.4000", ""],
    ]
    assert (tmp_path / "out" / "precision_recall_AP.png").is_file()
    np.savez(own / "curves.npz", threshold=[0.9])
    cli(*call).check_error(1, "mine holds no curves on AFW or Pascal Faces")


WHOLE = {
    "protocol": "wider", "images": 3226, "pictures_sha256": "a" * 64, "iou": 0.5,
    "thresholds": 1000, "integer_quirk": True, "versions": {"torch": "1"},
    "settings": {"scales": {"_target_": "facedet.inference.scales.ExtdScales", "area": 2040000.0}},
}  # fmt: skip


@pytest.fixture
def run_of(own, tmp_path):
    """Makes an output folder whose metrics.json is WHOLE but for these keys."""

    def make(name, **changed):
        folder = tmp_path / "runs" / name
        folder.mkdir()
        (folder / "curves.npz").write_bytes((own / "curves.npz").read_bytes())
        (folder / "metrics.json").write_text(json.dumps(WHOLE | changed))
        return folder

    return make


def test_results_measured_alike(cli, published, run_of):
    """Versions, weights and where pictures lie may differ."""
    a = run_of("a1")
    b = run_of("b1", versions={"torch": "2"}, weights={"sha256": "b" * 64}, device="cuda")
    result = cli("compare", "--curves", published, "--run", a, "--run", b)
    assert (result.code, result.err) == (0, "")
    assert "own: wider, 3,226 images" in result.out


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"protocol": "wider_shf"}, "protocol wider (a1) / wider_shf (b1)"),
        ({"images": 243}, "images 3,226 (a1, the published ones) / 243 (b1)"),
        ({"integer_quirk": False}, "integer_quirk true (a1, the published ones) / false (b1)"),
        ({"thresholds": 100}, "thresholds 1,000 (a1, the published ones) / 100 (b1)"),
        ({"pictures_sha256": "b" * 64}, f"pictures_sha256 {'a' * 12} (a1) / {'b' * 12} (b1)"),
        (
            {"settings": {"scales": {"_target_": "facedet.inference.scales.FixedScales"}}},
            "scales ExtdScales (a1) / FixedScales (b1)",
        ),
        (
            {"settings": WHOLE["settings"] | {"merge": {"iou": 0.4}}, "images": 1, "iou": 0.4,
             "thresholds": 2, "integer_quirk": False, "protocol": "x"},
            "thresholds 1,000 (a1, the published ones) / 2 (b1); and 1 more",
        ),
    ],
)  # fmt: skip
def test_results_not_measured_alike_are_refused(cli, published, run_of, changed, said):
    a, b = run_of("a1"), run_of("b1", **changed)
    result = cli("compare", "--curves", published, "--run", a, "--run", b)
    result.check_error(2, "not measured alike: ", said, "; --unlike")


@pytest.mark.parametrize(
    ("run", "code", "said"),
    [
        ("A=runs/mine", 2, "A stands for two results"),
        ("A=", 2, "--run A=: expected NAME=FOLDER"),
        ("nowhere", 1, "nowhere/metrics.json cannot be read: No such file or directory"),
        ("runs/mine", 2, "images 8 (mine) / 3,226 (the published ones)"),
        ("runs/bare", 1, "bare holds no curves on WIDER FACE val: 'easy_recall"),
        ("runs/evil", 1, "building 'os.system' is refused"),
    ],
)
def test_complaints(cli, published, run_of, tmp_path, monkeypatch, run, code, said):
    run_of("evil", network={"_target_": "os.system"})
    np.savez(run_of("bare") / "curves.npz", threshold=[1.0])
    monkeypatch.chdir(tmp_path)
    cli("compare", "--curves", published, "--run", run).check_error(code, said)


def test_what_is_unlike_is_reported(cli, published, run_of, tmp_path):
    a, b = run_of("a1"), run_of("b1", integer_quirk=False, images=243, pictures_sha256="c" * 64)
    words = ("--curves", published, "--run", a, "--run", b, "--unlike")
    result = cli("compare", *words, "--output", tmp_path / "out")
    origins = {row[0]: row[-1] for row in table(result)}
    assert origins["a1"] == "own: wider, 3,226 images, integer_quirk true"
    assert origins["b1"] == "own: wider, 243 images, integer_quirk false"
    assert "not measured alike: images 3,226 (a1, the published ones) / 243 (b1)" in result.err
    with (tmp_path / "out" / "comparison.csv").open() as stream:
        assert {row["method"]: row["origin"] for row in csv.DictReader(stream)}["A"] == ""


def test_cost_and_latency_of_a_recorded_network(cli, published, run_of, monkeypatch):
    network = plain(compose("train", ["preset=extd_ssd_32_relu"]))["model"]["net"]
    monkeypatch.setattr(
        "facedet.evaluation.comparison.network_latency",
        lambda net, size: Timing(0.0123 * (size == (640, 640)), 0.0, 0.0, 1),
    )
    words = ("--curves", published, "--run", run_of("a1", network=network), "--latency")
    rows = {row[0]: row for row in table(cli("compare", *words))}
    assert rows["method"] == ["method", *SUBSETS, "params M", "madds G", "latency ms", "origin"]
    assert rows["B"][4:7] == ["–", "–", "–"]
    # One slope less per activation than its PReLU twin.
    assert float(rows["a1"][4]) == pytest.approx(0.056, abs=1e-4)
    assert rows["a1"][5:7] == ["5.353", "12.3"]
