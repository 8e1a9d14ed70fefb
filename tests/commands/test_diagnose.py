"""`facedet diagnose`: the same numbers as `facedet score`, and the files of the report."""

import csv
import json
import shutil

import numpy as np
import pytest
from PIL import Image

from facedet.data.crowds.wider_writer import write_wider
from facedet.structures import Record
from reference.one_face import save_picture

FILES = {
    "ap_by_score.csv", "diagnosis.png", "errors.csv", "image_ap.csv", "image_ap.png", "report.md",
    "recall_attributes.csv", "recall_events.csv", "recall_height.csv", "subsets.csv", "worst.jpg",
}  # fmt: skip


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Four pictures of 128 x 96 px with faces of 10 x 20 px; the second face is no easy one."""
    root = tmp_path_factory.mktemp("diagnose") / "wider ü"
    records = []
    for index in range(4):
        name = f"{index % 2}--Event/{index}"
        path = save_picture(root / "WIDER_val" / "images" / f"{name}.jpg", (128, 96), index)
        boxes = np.array([[10, 10, 20, 30], [60, 10, 70, 30]], dtype=np.float32)
        tags = {"subsets": np.array([[1, 1, 1], [0, 1, 1]], bool), "blur": np.array([0, 2])}
        records.append(Record(name, path, boxes, np.zeros(2, bool), tags))
    write_wider(root, "val", records)
    return root


@pytest.fixture
def found(tmp_path):
    """Both faces of the first picture, one and a false box in the next two, nothing in the last."""
    texts = {
        "0--Event/0": "0\n2\n10 10 10 20 0.9\n60 10 10 20 0.8\n",
        "1--Event/1": "1\n2\n10 10 10 20 0.7\n90 50 10 20 0.75\n",
        "0--Event/2": "2\n2\n10 10 10 20 0.3\n90 50 10 20 0.05\n",
        "1--Event/3": "3\n0\n",
    }
    return write(tmp_path / "found", texts)


def write(folder, texts):
    for name, text in texts.items():
        path = folder / f"{name}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def rows(path):
    with path.open(encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


@pytest.mark.parametrize("extra", [(), ("--no-integer-quirk",)])
def test_the_numbers_are_those_of_score(cli, data, found, tmp_path, extra):
    args = ("--detections", found, *extra)
    scored = cli("score", *args, "--ground-truth", data, "--output", tmp_path / "scored", "--json")
    result = cli("diagnose", *args, "--data", data, "--json")
    curves = np.load(tmp_path / "scored" / "curves.npz")
    for row in result.json["tables"]["subsets"]:
        assert row["AP"] == scored.json[f"wider/{row['subset']}"]
        assert row["ceiling recall"] == curves[f"{row['subset']}_recall"][-1]
    hard = scored.json["wider/hard"]
    assert result.json["title"] == f"Why the AP on hard faces is {hard:.4f}"
    # By hand: of eight faces 0.9 and 0.8 at precision 1, 0.7 at 3/4, 0.3 at 4/5, which raises 3/4.
    assert hard == pytest.approx((1 + 1 + 4 / 5 + 4 / 5) / 8)


def test_files_of_the_report(cli, data, found, tmp_path):
    out = tmp_path / "new" / "out"
    words = ("diagnose", "--detections", found, "--data", data, "--output", out, "--worst", 1)
    result = cli(*words)
    assert (result.code, result.err) == (0, "")
    assert {path.name for path in out.iterdir()} == FILES
    text = (out / "report.md").read_text().split("\n![", 1)[0]
    assert result.out == f"{text}\nthe report: {out / 'report.md'}\n"
    # 2 · 4 / (5 + 8) at 0.3 is the best F1: the last box is no face.
    assert "\noperating score 0.3, of the best F1 on hard faces" in text
    values = {row["name"]: (row["faces"], float(row["AP"])) for row in rows(out / "image_ap.csv")}
    # In the second picture the false box comes first: 1/2 of the faces at precision 1/2.
    assert values == {
        "0--Event/0": ("2", 1.0),
        "1--Event/1": ("2", 0.25),
        "0--Event/2": ("2", 0.5),
        "1--Event/3": ("2", 0.0),
    }
    blur = {row["attribute"]: row["recall"] for row in rows(out / "recall_attributes.csv")}
    # First faces: three of four are found; second ones: one.
    assert (blur["blur: clear"], blur["blur: normal"], blur["blur: heavy"]) == ("0.75", "", "0.25")
    for name in ("diagnosis.png", "image_ap.png"):
        assert Image.open(out / name).width > 600
    # One cell of 640 px in a row of three.
    drawn = np.asarray(Image.open(out / "worst.jpg").convert("RGB")).astype(int)
    assert drawn.shape == (640, 1920, 3)
    # The fourth picture, 128 px in 636: its first face, not found, has the edge x = 10 in red.
    edge = drawn[2 + round(20 * 636 / 128), 2 + round(10 * 636 / 128)]
    assert edge[0] - edge[1] > 60
    assert (drawn[:, 700:] == 255).all()


def test_subset_score_and_json(cli, data, found, tmp_path):
    args = ("--detections", found, "--data", data, "--subset", "easy", "--score", "0.5", "--json")
    result = cli("diagnose", *args).json
    assert result["title"].startswith("Why the AP on easy faces is 0.")
    assert result["score"] == 0.5
    # Easy faces from 0.5 on: two of four.
    heights = {row["height"]: row for row in result["tables"]["recall_height"]}
    assert (heights["20 - 40 px"]["faces"], heights["20 - 40 px"]["recall"]) == (4, 0.5)
    assert heights["20 - 40 px"]["low-scored"] == 1
    assert not (tmp_path / "out").exists()


@pytest.fixture
def evaluated(data, found, tmp_path):
    """What `facedet evaluate` leaves behind after three of the four pictures."""
    folder = tmp_path / "run"
    shutil.copytree(found, folder / "detections")
    (folder / "detections" / "1--Event" / "3.txt").unlink()
    report = {
        # Six faces, as above.
        "wider/easy": 1.0,
        "wider/hard": (1 + 1 + 4 / 5 + 4 / 5) / 6,
        "images": 3,
        "protocol": "wider_single",
        "integer_quirk": False,
        "weights": {"file": "own.safetensors", "sha256": "0123456789abcdef"},
        "versions": {"facedet": "1.2"},
    }
    (folder / "metrics.json").write_text(json.dumps(report))
    return folder


def test_run_folder_of_evaluate(cli, data, evaluated):
    result = cli("diagnose", "--run", evaluated, "--data", data)
    assert result.code == 0
    assert {path.name for path in (evaluated / "diagnosis").iterdir()} == FILES
    lines = result.out.splitlines()
    assert lines[0] == "# Why the AP on hard faces is 0.6000"
    assert lines[2] == (
        "protocol wider_single, weights own.safetensors, sha256 0123456789ab, facedet 1.2  "
    )
    assert lines[3].startswith("3 of 4 pictures, 6 detections, IoU 0.5 (not rounded); counted are")
    assert "1 of 4 images have no detection file: they are left out" in result.err


def test_pictures_that_are_missing_or_damaged(cli, data, found, tmp_path):
    root = tmp_path / "broken"
    shutil.copytree(data, root)
    (root / "WIDER_val/images/0--Event/0.jpg").unlink()
    args = ("diagnose", "--detections", found, "--data", root, "--output", tmp_path / "out")
    result = cli(*args)
    assert "1 of 4 pictures are not on disk: the sheet worst.jpg is of the others" in result.err
    assert Image.open(tmp_path / "out" / "worst.jpg").size == (1920, 640)
    (root / "WIDER_val/images/1--Event/3.jpg").write_text("no picture")
    cli(*args).check_error(1, "3.jpg")


def test_pictures_unpacked_once_more(cli, data, found, tmp_path):
    nested = tmp_path / "nested"
    shutil.copytree(data / "ground_truth", nested / "ground_truth")
    shutil.copytree(data / "WIDER_val", nested / "WIDER_val" / "WIDER_val")
    out = tmp_path / "out"
    result = cli("diagnose", "--detections", found, "--data", nested, "--output", out)
    assert (result.code, result.err) == (0, "")
    assert (out / "worst.jpg").is_file()


def test_lists_elsewhere(cli, data, found, tmp_path):
    lists = tmp_path / "lists"
    shutil.copytree(data / "ground_truth", lists)
    bare = tmp_path / "bare"
    bare.mkdir()
    args = ("--detections", found, "--data", bare, "--ground-truth", lists)
    assert "is 0.4500\n" in cli("diagnose", *args).out


def test_another_iou_is_not_rounded(cli, data, tmp_path):
    # Sides + 1: 11 x 14 of 11 x 21 px is IoU 2/3.
    found = write(tmp_path / "found", {"0--Event/0": "0\n1\n10 10 10 13 0.9\n"})
    args = ("diagnose", "--detections", found, "--data", data, "--images", "present", "--json")
    for iou, ap in (("0.5", 0.5), ("0.66", 0.5), ("0.7", 0)):
        assert cli(*args, "--iou", iou).json["tables"]["subsets"][2]["AP"] == ap


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ("--data DATA", 2, "one of the arguments --detections --run is required"),
        ("--data DATA --detections a --run b", 2, "not allowed with"),
        ("--data DATA --detections OTHER --iou 0.3", 2, "--iou 0.3: expected above 0.3"),
        ("--data OTHER --detections OTHER", 1, "wider_face_split"),
        ("--data DATA --detections OTHER", 1, "its 1 images is in DATA, the first is 9--Event/9"),
        ("--data DATA --detections ODD", 1, "a score is 90, expected 0 to 1"),
        ("--data DATA --run ODD", 1, "ODD/metrics.json"),
        ("--data DATA --run TEXT", 1, "TEXT/metrics.json"),
        ("--data DATA --run LIST", 1, "LIST/metrics.json"),
    ],
)
def test_complaints(cli, data, tmp_path, words, code, said):
    places = {"DATA": data} | {name: tmp_path / name for name in ("OTHER", "ODD", "TEXT", "LIST")}
    write(places["OTHER"], {"9--Event/9": "9\n0\n"})
    write(places["ODD"], {"0--Event/0": "0\n1\n10 10 10 20 90\n"})
    for name, text in (("TEXT", "no json"), ("LIST", "[1]")):
        places[name].mkdir()
        (places[name] / "metrics.json").write_text(text)
    for name, place in places.items():
        said = said.replace(name, str(place))
    cli("diagnose", *(places.get(word, word) for word in words.split())).check_error(code, said)


def test_no_face_counts(cli, tmp_path):
    root = tmp_path / "faceless"
    tags = {"subsets": np.array([[1, 1, 0]], bool)}
    boxes = np.array([[1, 1, 20, 20]], dtype=np.float32)
    write_wider(root, "val", [Record("e/a", root, boxes, np.zeros(1, bool), tags)])
    found = write(tmp_path / "found", {"e/a": "a\n0\n"})
    args = ("diagnose", "--detections", found, "--data", root)
    cli(*args).check_error(1, "none of the 1 pictures has a hard face")
    # Nothing detected is a result.
    assert "is 0.0000" in cli(*args, "--subset", "easy").out
    cli(*args, "--subset", "all").check_error(2, "--subset all: the data has easy, medium, hard")


@pytest.mark.data
@pytest.mark.slow
def test_published_detections(cli, shared, tmp_path):
    found = shared / "reference" / "wider_val_detections"
    args = ("--detections", found, "--data", shared / "data" / "wider", "--json")
    result = cli("diagnose", *args)
    tables = result.json["tables"]
    # As `facedet score` gives them (test_score.py).
    values = {row["subset"]: 100 * row["AP"] for row in tables["subsets"]}
    assert values == pytest.approx({"easy": 90.70, "medium": 88.16, "hard": 73.83}, abs=0.01)
    faces = {row["subset"]: row["faces"] for row in tables["subsets"]}
    assert faces == {"easy": 7211, "medium": 13319, "hard": 31958}
    assert sum(row["faces"] for row in tables["recall_height"]) == 31958
    assert len(tables["recall_events"]) == 61
    errors = {row["kind"]: row for row in tables["errors"]}
    ceiling = next(row["ceiling recall"] for row in tables["subsets"] if row["subset"] == "hard")
    assert errors["all false boxes"]["AP if fixed"] == pytest.approx(ceiling)
    assert errors["all unfound faces"]["number"] == round((1 - ceiling) * 31958)
