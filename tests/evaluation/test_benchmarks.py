"""`facedet score` and `facedet evaluate` on FDDB, AFW and Pascal Faces, end to end."""

import csv
import json

import numpy as np
import pytest
from PIL import Image
from test_afw_pascal import write_mat

from reference.one_face import SCORE, save_picture

MATS = {
    "afw": "new_annotations_AFW.mat",
    "pascal": "Annotations_Face_PASCALLayout_large_fixed.mat",
}
# Pictures of 128 x 128 px at their own size, in one pass: the detector finds all of the picture.
PLAIN = ["protocol.scales.sides=[128]", "protocol.scales.flip=false", "data.num_workers=0"]
FILES = {"curves.csv", "curves.npz", "detections", "metrics.json", "sheet.png"}


@pytest.fixture(scope="module")
def fddb(tmp_path_factory):
    """Two folds of one picture each, whose one face is the disc in it."""
    root = tmp_path_factory.mktemp("fddb ü")
    (root / "FDDB-folds").mkdir()
    for fold in (1, 2):
        text = f"2002/big/img_{fold}\n1\n64 64 0.0 64 64  1\n"
        (root / "FDDB-folds" / f"FDDB-fold-0{fold}-ellipseList.txt").write_text(text)
        save_picture(root / "originalPics" / "2002" / "big" / f"img_{fold}.jpg", (128, 128), fold)
    return root


@pytest.fixture(scope="module")
def faces(tmp_path_factory):
    """AFW and Pascal Faces in one folder: two pictures, a face in each, and one to ignore."""
    root = tmp_path_factory.mktemp("faces")
    objects = np.array([[0, 25, 127, 127, 0, 0], [0, 0, 5, 5, 0, 0]], float)
    for place in range(2):
        save_picture(root / "images" / f"{place}.jpg", (128, 128), place)
    for name in MATS.values():
        write_mat(root / name, [("0.jpg", objects), ("1.jpg", objects)])
    return root


def evaluated(cli, weights, name, root, out, *more):
    result = cli("evaluate", f"weights={weights}", f"data={name}", f"data.root={root}",
                 f"protocol={name}", f"paths.output={out}", *PLAIN, *more)  # fmt: skip
    assert result.code == 0, result.err
    return result, json.loads((out / "metrics.json").read_text())


def scored(cli, name, detections, truth, *words):
    return cli("score", "--protocol", name, "--detections", detections, "--ground-truth", truth,
               *words)  # fmt: skip


def test_fddb(cli, weights, fddb, tmp_path):
    out = tmp_path / "out"
    result, report = evaluated(cli, weights, "fddb", fddb, out)
    # w = 127 - 0 + 1, moved into the picture.
    text = (out / "detections" / "detections.txt").read_text().splitlines()
    assert text[:3] == [
        "2002/big/img_1", "1", f"0.000 0.000 128.000 128.000 {float(text[2].split()[-1]):.10f}",
    ]  # fmt: skip
    assert float(text[2].split()[-1]) == pytest.approx(SCORE, abs=1e-4)
    assert report["fddb/discrete_1000"] == 1.0
    # A disc of 129 px, cut at the picture's border, of a square of 128 px: about π / 4.
    assert report["fddb/continuous_1000"] == pytest.approx(np.pi / 4, abs=0.02)
    assert (report["images"], report["detections"], report["protocol"]) == (2, 2, "fddb")
    assert report["border"] == "2 pictures' own, 0 at 450 px"
    assert report["settings"]["scales"]["sides"] == [128]
    assert len(report["weights"]["sha256"]) == 64
    assert FILES | {"roc.png"} <= {path.name for path in out.iterdir()}
    assert "discrete, 1,000 FP    TPR 1.0000         2 faces" in result.out
    assert f"  {out / 'roc.png'}" in result.out
    again = scored(cli, "fddb", out / "detections", fddb, "--json").json
    for name in ("fddb/discrete_1000", "fddb/continuous_2000", "border", "images"):
        assert again[name] == report[name]


def test_faces(cli, weights, faces, tmp_path):
    out = tmp_path / "out"
    result, report = evaluated(cli, weights, "afw", faces, out)
    first = (out / "detections" / "detections.txt").read_text().splitlines()[0].split()
    # 0 + 0.2 * (127 - 0 + 1)
    assert [first[0], *first[2:]] == ["0", "0.000", "25.600", "127.000", "127.000"]
    # The face of 5 px is too small to be missed.
    assert report["afw/ap"] == report["afw/ap_11"] == report["afw/ap_unrefined"] == 1.0
    assert (report["rounds"], report["min_face"], report["min_detection"]) == (5, 30, 21)
    assert FILES | {"precision_recall.png"} <= {path.name for path in out.iterdir()}
    assert "all points  AP 1.0000         2 faces" in result.out
    assert scored(cli, "afw", out / "detections", faces, "--json").json["afw/ap"] == 1.0


def test_part_of_the_pictures(cli, weights, faces, tmp_path):
    out = tmp_path / "out"
    _, report = evaluated(cli, weights, "pascal", faces, out, "limit=1")
    assert (report["images"], report["limit"], report["pascal/ap"]) == (1, 1, 1.0)
    result = scored(cli, "pascal", out / "detections", faces / MATS["pascal"])
    # One of two faces is found.
    assert "1 of 2 images have no detection: their faces count as missed" in result.err
    assert result.out.splitlines()[1].split() == ["all", "points", "50.00", "%", "2", "faces"]
    (out / "detections" / "detections.txt").write_text("")
    none = scored(cli, "pascal", out / "detections", faces, "--json").json
    assert (none["pascal/ap"], none["detections"], none["images"]) == (0.0, 0, 2)


FOUND = "2002/big/img_1\n2\n0 0 128 128 0.9\n0 0 5 5 0.5\n2002/big/img_2\n0\n"


def test_score_without_the_pictures(cli, fddb, tmp_path):
    (tmp_path / "found.txt").write_text(FOUND)
    output = tmp_path / "result"
    result = scored(cli, "fddb", tmp_path / "found.txt", fddb / "FDDB-folds", "--output", output)
    lines = result.out.splitlines()
    assert lines[0] == (
        "FDDB, similarity above 0.5 (ellipses drawn as by the official tool), "
        "cut at the borders: 0 pictures' own, 2 at 450 px"
    )
    assert lines[1].split() == ["discrete,", "1,000", "FP", "50.00", "%", "2", "faces"]
    rows = list(csv.DictReader((output / "curves.csv").open()))
    assert [(row["threshold"], row["false_positives"], row["discrete"]) for row in rows] == [
        ("0.5", "1", "0.5"),
        ("0.9", "0", "0.5"),
    ]
    assert Image.open(output / "roc.png").size == (720, 600)
    boxes = scored(cli, "fddb", tmp_path / "found.txt", fddb, "--ellipses", "boxes", "--json").json
    # The square of the disc's box is 129 px wide, and 128 px in the picture, as is the detection.
    assert boxes["fddb/continuous_1000"] == 0.5
    assert boxes["ellipses"] == "boxes"


def test_elliptical_detections(cli, fddb, tmp_path):
    text = "2002/big/img_1\n1\n64 64 0 64 64 0.9\n2002/big/img_2\n0\nx/y\n0\n"
    (tmp_path / "found.txt").write_text(text)
    output = tmp_path / "result"
    result = scored(cli, "fddb", tmp_path / "found.txt", fddb, "--output", output, "--json")
    # The very disc, of the first of two pictures.
    assert np.load(output / "curves.npz")["threshold"].tolist() == [0.9]
    assert result.json["fddb/continuous_1000"] == 0.5
    assert "1 of 3 images with detections are unknown, such as x/y" in result.err


def test_rounds_of_the_refinement(cli, faces, tmp_path):
    # Lower by 25 px than the faces of 102: 77 of 127 px in height is a hit, which moves all.
    (tmp_path / "found.txt").write_text("0.jpg 0.9 0 50 127 127\n1.jpg 0.8 0 85 127 127\n")
    once = scored(cli, "afw", tmp_path, faces, "--rounds", 1, "--json").json
    assert (once["rounds"], once["afw/ap"]) == (1, 0.5)
    assert scored(cli, "afw", tmp_path, faces, "--json").json["afw/ap"] == 1.0


def test_complaints(cli, weights, fddb, faces, tmp_path):
    for name, *words in (
        ("fddb", "--no-integer-quirk"), ("afw", "--ellipses", "boxes"), ("wider", "--rounds", "2"),
    ):  # fmt: skip
        message = f"{words[0]} has no meaning for --protocol {name}"
        scored(cli, name, tmp_path, tmp_path, *words).check_error(2, message)
    scored(cli, "afw", tmp_path, faces).check_error(1, "holds no .txt of detections")
    (tmp_path / "found.txt").write_text("2002/big/img_9\n0\n")
    result = scored(cli, "fddb", tmp_path / "found.txt", fddb)
    result.check_error(1, "none of its 1 images is in", "the first is 2002/big/img_9")
    settings = ["evaluate", f"weights={weights}", f"paths.output={tmp_path / 'out'}"]
    mixed = cli(*settings, "data=afw", f"data.root={faces}", "protocol=fddb")
    mixed.check_error(1, faces, "its faces are no ellipses, expected FDDB (data=fddb)")
