"""`facedet predict` on pictures: what is printed and written, and what is refused."""

import csv
import io
import json
import os
import sys
from pathlib import Path
from shutil import copyfile
from xml.etree import ElementTree

import pytest
from PIL import Image

import facedet.api
from facedet.api import FaceDetector
from facedet.inference.scales import ExtdScales
from facedet.weights import zoo as registry
from reference.one_face import BOX, SCORE, save_picture
from reference.predictions import result_of, stored


def test_json_is_one_object_and_nothing_else(cli, weights, photos):
    a, c = photos / "a b.jpg", photos / "sub" / "c.png"
    result = cli("predict", a, c, "--weights", weights, "--json")
    assert (result.code, result.err) == (0, "")
    assert result.json == {"images": [result_of(a), result_of(c)]}
    assert result.out.count("\n") == 1


def test_the_boxes_are_printed(cli, weights, photos):
    a, c = photos / "a b.jpg", photos / "sub" / "c.png"
    result = cli("predict", photos, "--weights", weights, "--no-save")
    face = "  0.88  0 0 to 64 48"
    assert result.out.splitlines() == [f"{a}: 1 face", face, f"{c}: 1 face", face]
    assert (result.code, result.err, os.listdir()) == (0, "", [])
    result = cli("predict", a, "-w", weights, "--conf", 0.9, "--no-save")
    assert result.out == f"{a}: 0 faces\n"
    result = cli("predict", a, "-w", weights, "--score", 0, "--no-save")
    number = int(result.out.split(": ")[1].split()[0])
    assert result.out.splitlines()[-1] == f"  and {number - 20} more"
    assert len(result.out.splitlines()) == 22


def test_results_are_saved_where_nothing_else_is_said(cli, weights, photos):
    for _ in range(2):
        assert cli("predict", photos / "a b.jpg", "-w", weights).code == 0
    folders = sorted(Path("outputs", "predict").iterdir())
    assert len(folders) == 2
    for folder in folders:
        assert sorted(one.name for one in folder.iterdir()) == ["a b_faces.jpg", "predictions.json"]
    assert cli("predict", photos / "a b.jpg", "-w", weights, "--json", "--save").code == 0
    cli("predict", "no.jpg", "-w", weights)
    assert len(list(Path("outputs", "predict").iterdir())) == 3


def test_where_nothing_can_be_saved_the_boxes_are_printed(cli, weights, photos):
    Path("outputs").write_text("a file")
    result = cli("predict", photos / "a b.jpg", "-w", weights)
    assert (result.code, result.out.count("\n")) == (0, 2)
    assert "nothing is saved: outputs/predict/" in result.err
    assert result.err.count("\n") == 1


def test_limits_reach_the_detector(cli, weights, photos):
    words = ("predict", photos / "a b.jpg", "-w", weights, "--json", "--score", 0)
    faces = cli(*words).json["images"][0]["faces"]
    (image,) = cli(*words, "--max-det", 2).json["images"]
    assert image["faces"] == faces[:2]
    assert image["note"] == "the best 2 of more faces (max_det)"
    assert len(cli(*words, "--iou", 1).json["images"][0]["faces"]) > len(faces)
    assert len(cli(*words, "--min-size", 400).json["images"][0]["faces"]) < len(faces)
    (face,) = cli(*words[:-2], "--no-clip").json["images"][0]["faces"]
    assert face["box"] == BOX


def test_labels(cli, weights, photos, tmp_path):
    def write(kind):
        words = ("-w", weights, "-o", tmp_path / kind, "--format", kind, "--no-pictures")
        assert cli("predict", photos, *words).code == 0
        return tmp_path / kind

    yolo = write("yolo") / "labels"
    assert sorted(one.name for one in yolo.iterdir()) == ["a b.txt", "c.txt"]
    # The whole picture: its centre, and all of its sides.
    assert (yolo / "c.txt").read_text() == "0 0.500000000 0.500000000 1.000000000 1.000000000\n"
    coco = json.loads((write("coco") / "predictions.coco.json").read_text())
    assert [one["file_name"] for one in coco["images"]][0] == str(photos / "a b.jpg")
    (_, second) = coco["annotations"]
    assert (second["image_id"], second["bbox"], second["score"]) == (2, [0, 0, 64, 48], SCORE)
    assert coco["categories"] == [{"id": second["category_id"], "name": "face"}]
    voc = ElementTree.parse(write("voc") / "labels" / "a b.xml").getroot()
    assert voc.findtext("filename") == "a b.jpg"
    assert [one.text for one in voc.find("object/bndbox")] == ["0", "0", "64", "48"]
    write("voc")  # its own labels are replaced
    table = write("csv")
    assert [path.name for path in table.iterdir()] == ["predictions.csv"]
    with (table / "predictions.csv").open(encoding="utf-8") as stream:
        first, _ = csv.DictReader(stream)
    assert (first["file"], first["frame"]) == (str(photos / "a b.jpg"), "")
    numbers = [float(first[key]) for key in ("x1", "y1", "x2", "y2", "score")]
    assert numbers == [0, 0, 64, 48, SCORE]


def test_annotations_of_others_stay(cli, weights, photos, tmp_path):
    (tmp_path / "labels").mkdir()
    theirs = tmp_path / "labels" / "c.txt"
    theirs.write_text("0 0.5 0.5 0.2 0.2\n")
    for kind in ("yolo", "voc"):
        words = ("-w", weights, "-o", tmp_path, "--format", kind)
        cli("predict", photos, *words).check_error(1, "labels: holds files that facedet did not")
    assert theirs.read_text() == "0 0.5 0.5 0.2 0.2\n"
    assert list(theirs.parent.iterdir()) == [theirs]


def test_scales_and_mirroring_reach_the_detector(cli, weights, photos, monkeypatch):
    one = photos / "a b.jpg"
    half = cli("predict", one, "--weights", weights, "--json", "--scales", 2, "--no-clip").json
    assert half["images"][0]["faces"][0]["box"] == [value / 2 for value in BOX]
    # The mirrored face is 64 - 320 … 64 + 192; with IoU 0.78 it and the plain one are one face.
    words = ("predict", one, "--weights", weights, "--json", "--scales", 1, 2, "--flip")
    assert cli(*words).code == 0
    given = {}
    load = facedet.api.load
    monkeypatch.setattr(facedet.api, "load", lambda path, **rest: given.update(rest) or load(path))
    cli("predict", one, "--weights", weights, "--thorough", "--score", 0.25)
    assert isinstance(given["scales"], ExtdScales)
    assert given["score"] == 0.25


def test_a_second_run_leaves_its_own_output_alone(cli, weights, photos):
    """The output folder inside the input folder, and the input folder itself."""
    for out in (photos / "out", photos):
        first = cli("predict", photos, "--weights", weights, "--json", "--output", out)
        before = sorted(photos.rglob("*"))
        again = cli("predict", photos, "--weights", weights, "--json", "--output", out)
        assert again.json == first.json
        assert len(again.json["images"]) == 2
        assert sorted(photos.rglob("*")) == before
        assert "that facedet drew" in again.err


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--score", "1.5"], 2, "argument --score/--conf: 1.5 is not a number in 0 … 1"),
        (["--scales", "0"], 2, "argument --scales: 0 is not a scale above 0"),
        (["--pixel-budget", "0"], 2, "--pixel-budget: 0 is not a whole number above 0"),
        (["--on-large", "crop"], 2, "--on-large"),
        (["-o", "out.json"], 2, "--output out.json: expected a folder, a video or .jpg"),
        (["-o", "out.gif"], 2, "--output out.gif: expected a folder, a video or .jpg"),
        (["--thorough", "--flip"], 2, "--thorough has scales and mirroring of its own"),
        (["--thorough", "--scales", "1"], 2, "--thorough"),
        (["--format", "csv", "--no-save"], 2, "--no-save writes nothing"),
        (["--max-det", "0"], 2, "--max-det: 0 is not a whole number above 0"),
        (["--min-size", "-1"], 2, "--min-size"),
        (["--device", "banana"], 2, "device=banana: expected auto, cpu"),
        (["--weights", "/nowhere.pth"], 1, "/nowhere.pth: no such weights file"),
    ],
)
def test_complaints(cli, weights, photos, words, code, said):
    cli("predict", photos, "--weights", weights, *words).check_error(code, said)


def test_without_weights_the_shipped_ones_are_taken(cli, weights, photos, monkeypatch, tmp_path):
    shipped = tmp_path / "shipped"
    monkeypatch.setattr(registry, "SHIPPED_DIR", shipped)
    words = ("predict", photos / "a b.jpg", "--json")
    missing = shipped / f"{registry.DEFAULT}.safetensors"
    cli(*words).check_error(1, registry.DEFAULT, "not part of this installation", missing)
    shipped.mkdir()
    copyfile(weights, missing)
    assert cli(*words).json == cli(*words, "--weights", weights).json


def test_outputs_that_cannot_be(cli, weights, photos, tmp_path, monkeypatch):
    def never(*_):
        pytest.fail("looked at a picture before the output was known to be possible")

    monkeypatch.setattr(FaceDetector, "detect", never)
    (tmp_path / "taken").write_text("a file")
    for out in (tmp_path / "taken", tmp_path / "taken" / "out", "/proc/nowhere"):
        result = cli("predict", photos, "--weights", weights, "--output", out)
        result.check_error(1, f"--output {out}", "cannot be made")
    monkeypatch.chdir(tmp_path)
    crops = cli("predict", photos, "--weights", weights, "--crop", "taken")
    crops.check_error(1, "--crop taken: cannot be made")
    assert not list(tmp_path.glob("outputs/predict/*"))


def test_names_that_are_no_letters(cli, weights, tmp_path, monkeypatch):
    folder = tmp_path / "raw"
    save_picture(folder / "a.jpg")
    try:
        os.rename(folder / "a.jpg", os.fsencode(folder) + b"/a\xff.jpg")
    except OSError:
        pytest.skip("this file system takes letters only")
    out = tmp_path / "out"
    result = cli("predict", folder, "--weights", weights, "--json", "--output", out)
    assert result.code == 0
    # JSON escapes the byte as Python keeps it.
    assert result.json["images"][0]["file"].endswith("a\udcff.jpg")
    words = ("--weights", weights, "--output", out, "--format", "csv")
    stream = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    monkeypatch.setattr(sys, "stdout", stream)
    assert cli("predict", folder, *words).code == 0
    assert b"a\\udcff.jpg: 1 face" in stream.buffer.getvalue()
    assert "a\\udcff.jpg" in (out / "predictions.csv").read_text(encoding="utf-8")


def test_bad_pictures_are_listed_after_the_rest_is_done(cli, weights, photos, tmp_path):
    bad = {"cut.png": "damaged", "zero.jpg": "empty", "dead.jpg": "no such file"}
    whole = save_picture(photos / "cut.png", (200, 200)).read_bytes()
    (photos / "cut.png").write_bytes(whole[: len(whole) // 2])
    (photos / "zero.jpg").touch()
    (photos / "dead.jpg").symlink_to("/nowhere/at/all.jpg")
    large = tmp_path / "large.png"
    Image.new("L", (2000, 1100)).save(large)
    (tmp_path / "empty").mkdir()
    words = (large, tmp_path / "no.jpg", tmp_path / "empty", photos)
    out = tmp_path / "new" / "out ö"
    words += ("--scales", 10, "--weights", weights, "--output", out, "--json")
    result = cli("predict", *words)
    assert result.code == 1
    sound = [str(photos / "a b.jpg"), str(photos / "sub" / "c.png")]
    assert [image["file"] for image in result.json["images"]] == sound
    assert stored(out) == result.json["images"]
    assert len(list(out.glob("*_faces.jpg"))) == 2
    lines = result.err.splitlines()
    assert lines[-1] == "facedet predict: 6 failed, 2 done"
    assert f"2 pictures: {out / 'predictions.json'}" in lines
    said = {photos / name: word for name, word in bad.items()} | {
        tmp_path / "no.jpg": "no such file or folder",
        tmp_path / "empty": "no pictures or videos in this folder",
        large: "2000 x 1100 pixels times scale 10",  # 220 million
    }
    for path, word in said.items():
        (line,) = [line for line in lines if str(path) in line]
        assert line.startswith(f"facedet predict: {path}: ")
        assert word in line


def test_notes_of_pictures(cli, weights, tmp_path):
    """`test_images` has the pictures of other modes, and of several frames."""
    exif = Image.Exif()
    exif[0x0112] = 8
    side = save_picture(tmp_path / "side.jpg", exif=exif)
    words = ("predict", side, "--weights", weights)
    (turned,) = cli(*words, "--json").json["images"]
    # 64 x 48 as stored, 48 x 64 as seen.
    assert (turned["width"], turned["height"]) == (48, 64)
    assert turned["note"] == "turned upright (EXIF orientation 8)"
    assert "[turned upright" in cli(*words).out
    large = save_picture(tmp_path / "large.jpg", (600, 500))
    words = ("predict", large, "--weights", weights, "--json", "--pixel-budget")
    assert "tiles" in cli(*words, 512 * 512).json["images"][0]["note"]
    # No tile is smaller.
    cli(*words, 512 * 512 - 1).check_error(2, "pixel_budget=262143: tiles have 262,144 pixels")
    shrunk = cli(*words, 200_000, "--on-large", "shrink").json["images"][0]
    assert shrunk["note"].startswith("reduced to 0.816 of its size")  # sqrt(200,000 / 300,000)
    assert shrunk["width"] == 600
