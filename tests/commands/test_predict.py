"""`facedet predict`: what is printed and written, and what happens to pictures of every sort."""

import csv
import errno
import io
import json
import os
import resource
import signal
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

import facedet.api
from facedet.api import FaceDetector
from facedet.commands import predict
from facedet.inference import ExtdScales
from reference.one_face import BOX, SCORE, save_picture

FACE = {"box": BOX, "score": SCORE}


@pytest.fixture
def photos(tmp_path):
    """A folder of two sound pictures of 64 x 48 px, with an odd name."""
    folder = tmp_path / "photos ü (1)"
    save_picture(folder / "a b.jpg")
    save_picture(folder / "sub" / "c.png", seed=1)
    return folder


def result_of(path, **more):
    return {"file": str(path), "width": 64, "height": 48, "faces": [FACE], **more}


def stored(folder):
    return json.loads((folder / "predictions.json").read_text())["images"]


def test_json_is_one_object_and_nothing_else(cli, weights, photos):
    a, c = photos / "a b.jpg", photos / "sub" / "c.png"
    result = cli("predict", a, c, "--weights", weights, "--json")
    assert (result.code, result.err) == (0, "")
    assert result.json == {"images": [result_of(a), result_of(c)]}
    assert result.out.count("\n") == 1


def test_a_line_per_picture(cli, weights, photos):
    result = cli("predict", photos, "--weights", weights)
    assert result.out.splitlines() == [
        f"{photos / 'a b.jpg'}: 1 face   (0.88)",
        f"{photos / 'sub' / 'c.png'}: 1 face   (0.88)",
    ]
    assert (result.code, result.err) == (0, "")
    result = cli("predict", photos / "a b.jpg", "--weights", weights, "--score", 0.9)
    assert result.out == f"{photos / 'a b.jpg'}: 0 faces\n"
    result = cli("predict", photos / "a b.jpg", "--weights", weights, "--score", 0)
    assert " faces  (0.88, " in result.out
    assert result.out.endswith(", …)\n")


def test_output_holds_the_table_and_the_pictures(cli, weights, photos, tmp_path):
    out = tmp_path / "new" / "out ö"
    result = cli("predict", photos, "--weights", weights, "--output", out, "--json")
    assert result.code == 0
    assert stored(out) == result.json["images"]
    assert sorted(path.name for path in out.iterdir()) == [
        "a b_faces.jpg",
        "c_faces.jpg",
        "predictions.json",
    ]
    assert Image.open(out / "c_faces.jpg").size == (64, 48)
    assert result.err == f"2 pictures: {out / 'predictions.json'}\n"


def test_csv_has_a_row_per_face(cli, weights, photos, tmp_path):
    out = tmp_path / "out"
    words = ("--weights", weights, "--output", out, "--format", "csv", "--no-pictures")
    assert cli("predict", photos, *words).code == 0
    assert [path.name for path in out.iterdir()] == ["predictions.csv"]
    with (out / "predictions.csv").open(encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 2
    assert rows[0]["file"] == str(photos / "a b.jpg")
    assert [float(rows[0][key]) for key in ("x1", "y1", "x2", "y2", "score")] == [*BOX, SCORE]


def test_scales_and_mirroring_reach_the_detector(cli, weights, photos, monkeypatch):
    one = photos / "a b.jpg"
    half = cli("predict", one, "--weights", weights, "--json", "--scales", 2).json
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


def test_options_before_and_between_the_pictures(cli, weights, photos):
    one = photos / "a b.jpg"
    result = cli("predict", "--json", one, "--weights", weights, photos / "sub" / "c.png")
    assert len(result.json["images"]) == 2


def bad_pictures(folder):
    """Files that are no sound pictures, and a word of what is to be said of each."""
    whole = save_picture(folder / "whole.jpg", (200, 200)).read_bytes()
    whole_png = save_picture(folder / "whole.png", (200, 200)).read_bytes()
    (folder / "zero.jpg").touch()
    (folder / "text.jpg").write_text("no picture at all\n" * 99)
    (folder / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    (folder / "cut.png").write_bytes(whole_png[: len(whole_png) // 2])
    (folder / "header.jpg").write_bytes(whole[:50])
    # A header that claims 60,000 x 60,000 pixels: 10 GB of them.
    forged = bytearray(whole_png)
    forged[16:24] = (60_000).to_bytes(4, "big") * 2
    (folder / "bomb.png").write_bytes(forged)
    (folder / "dead.jpg").symlink_to("/nowhere/at/all.jpg")
    for name in ("whole.jpg", "whole.png"):
        (folder / name).unlink()
    return {
        "zero.jpg": "empty",
        "text.jpg": "not a picture",
        "cut.jpg": "damaged",
        "cut.png": "damaged",
        "header.jpg": "",
        "bomb.png": "",
        "dead.jpg": "no such file",
    }


def test_bad_pictures_are_listed_after_the_rest_is_done(cli, weights, photos, tmp_path):
    bad = bad_pictures(photos)
    out = tmp_path / "out"
    result = cli("predict", photos, "--weights", weights, "--output", out, "--json")
    assert result.code == 1
    assert [image["file"] for image in result.json["images"]] == [
        str(photos / "a b.jpg"),
        str(photos / "sub" / "c.png"),
    ]
    assert len(stored(out)) == 2
    lines = result.err.splitlines()
    assert lines[-1] == "facedet predict: 7 failed, 2 done"
    for name, word in bad.items():
        said = [line for line in lines if str(photos / name) in line]
        assert len(said) == 1, name
        assert said[0].startswith(f"facedet predict: {photos / name}: ")
        assert word in said[0]
    assert len(list(out.glob("*_faces.jpg"))) == 2


def test_what_leads_to_no_picture(cli, weights, photos, tmp_path):
    (tmp_path / "empty").mkdir()
    words = (tmp_path / "nowhere.jpg", tmp_path / "empty", photos)
    result = cli("predict", *words, "--weights", weights)
    assert result.code == 1
    assert result.out.count("\n") == 2
    assert f"{tmp_path / 'nowhere.jpg'}: no such file or folder" in result.err
    assert f"{tmp_path / 'empty'}: no pictures in this folder" in result.err
    assert "2 failed, 2 done" in result.err


SORTS = {
    "grey.png": ("L", {}, ""),
    "palette.gif": ("P", {}, ""),
    "palette.png": ("P", {}, ""),
    "one bit.png": ("1", {}, ""),
    "cmyk.jpg": ("CMYK", {}, "converted from CMYK"),
    "deep.png": ("I;16", {}, "16 bits scaled to 8"),
    "alpha.png": ("RGBA", {}, "transparency shown over white"),
    "paint.webp": ("RGB", {}, ""),
    "scan.tif": ("RGB", {}, ""),
    "old.bmp": ("RGB", {}, ""),
    "plain.ppm": ("RGB", {}, ""),
}


@pytest.mark.parametrize("name", SORTS)
def test_pictures_of_every_sort(cli, weights, tmp_path, name):
    mode, options, note = SORTS[name]
    rgb = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    if mode == "I;16":
        image = Image.fromarray(rgb[:, :, 0].astype(np.uint16) * 257)
    elif mode == "RGBA":
        image = Image.fromarray(np.dstack([rgb, rgb[:, :, 0]]))
    else:
        image = Image.fromarray(rgb).convert(mode)
    path = tmp_path / name
    image.save(path, **options)
    result = cli("predict", path, "--weights", weights, "--json", "--output", tmp_path / "out")
    assert result.code == 0
    assert result.json["images"] == [result_of(path, **({"note": note} if note else {}))]
    assert (tmp_path / "out" / f"{path.stem}_faces.jpg").is_file()


def test_animations_and_photos_on_their_side_carry_a_note(cli, weights, tmp_path):
    frames = [Image.new("RGB", (64, 48), (value, 0, 0)) for value in (0, 128, 255)]
    frames[0].save(tmp_path / "moving.gif", save_all=True, append_images=frames[1:])
    exif = Image.Exif()
    exif[0x0112] = 8
    side = save_picture(tmp_path / "side.jpg", exif=exif)
    result = cli("predict", tmp_path / "moving.gif", side, "--weights", weights, "--json")
    moving, turned = result.json["images"]
    assert moving["note"] == "first of 3 frames"
    # 64 x 48 as stored, 48 x 64 as seen.
    assert (turned["width"], turned["height"]) == (48, 64)
    assert turned["note"] == "turned upright (EXIF orientation 8)"
    assert "[turned upright" in cli("predict", side, "--weights", weights).out


def test_large_pictures_are_cut_or_shrunk_and_say_so(cli, weights, tmp_path):
    path = save_picture(tmp_path / "large.jpg", (600, 100))
    words = ("predict", path, "--weights", weights, "--json", "--pixel-budget", 40_000)
    assert "tiles" in cli(*words).json["images"][0]["note"]
    shrunk = cli(*words, "--on-large", "shrink").json["images"][0]
    assert shrunk["note"].startswith("reduced to 0.816 of its size")  # sqrt(40,000 / 60,000)
    assert shrunk["width"] == 600


def test_a_scale_too_large_for_a_picture_fails_that_picture(cli, weights, photos, tmp_path):
    large = tmp_path / "large.png"
    Image.new("L", (2000, 1100)).save(large)  # at scale 10: 220 million pixels
    result = cli("predict", large, photos, "--weights", weights, "--scales", 10, "--json")
    assert (result.code, len(result.json["images"])) == (1, 2)
    assert f"{large}: 2000 x 1100 pixels times scale 10" in result.err


def test_a_second_run_leaves_its_own_output_alone(cli, weights, photos):
    """The output folder inside the input folder, and the input folder itself."""
    for out in (photos / "out", photos):
        first = cli("predict", photos, "--weights", weights, "--json", "--output", out)
        before = sorted(photos.rglob("*"))
        again = cli("predict", photos, "--weights", weights, "--json", "--output", out)
        assert again.json == first.json
        assert len(again.json["images"]) == 2
        assert sorted(photos.rglob("*")) == before
        assert "pictures that facedet drew" in again.err


def test_folders_given_twice_and_equal_names(cli, weights, photos, tmp_path):
    save_picture(photos / "sub" / "a b.jpg", seed=5)
    out = tmp_path / "out"
    words = (photos, photos / "sub" / "..", "--weights", weights, "--output", out, "--json")
    assert len(cli("predict", *words).json["images"]) == 3
    names = ["a b_2_faces.jpg", "a b_faces.jpg", "c_faces.jpg"]
    assert sorted(path.name for path in out.glob("*.jpg")) == names


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--score", "1.5"], 2, "argument --score: 1.5 is not a number in 0 … 1"),
        (["--score", "high"], 2, "high is not a number"),
        (["--scales", "0"], 2, "argument --scales: 0 is not a scale above 0"),
        (["--scales", "1", "-2"], 2, "--scales"),
        (["--scales", "17"], 2, "up to 16"),
        (["--pixel-budget", "0"], 2, "--pixel-budget: 0 is not a whole number above 0"),
        (["--on-large", "crop"], 2, "--on-large"),
        (["--thorough", "--flip"], 2, "--thorough has scales and mirroring of its own"),
        (["--thorough", "--scales", "1"], 2, "--thorough"),
        (["--format", "csv"], 2, "add --output FOLDER"),
        (["--no-pictures"], 2, "add --output FOLDER"),
        (["--device", "banana"], 1, "device=banana cannot be used"),
    ],
)
def test_wrong_wishes(cli, weights, photos, words, code, said):
    cli("predict", photos, "--weights", weights, *words).check_error(code, said)


def test_missing_words(cli, weights, photos):
    cli("predict", "--weights", weights).check_error(2, "inputs")
    cli("predict", photos).check_error(2, "--weights")


def test_weights_that_are_none(cli, photos, tmp_path):
    for path in (tmp_path / "nowhere.pth", tmp_path, photos / "a b.jpg"):
        cli("predict", photos, "--weights", path).check_error(1, path)


def test_outputs_that_cannot_be(cli, weights, photos, tmp_path, monkeypatch):
    def never(*_):
        pytest.fail("looked at a picture before the output was known to be possible")

    monkeypatch.setattr(FaceDetector, "detect", never)
    (tmp_path / "taken").write_text("a file")
    for out in (tmp_path / "taken", tmp_path / "taken" / "out", "/proc/nowhere"):
        result = cli("predict", photos, "--weights", weights, "--output", out)
        result.check_error(1, f"--output {out}", "no folder can be made")


def test_a_picture_that_cannot_be_written_fails_alone(cli, weights, photos, tmp_path):
    out = tmp_path / "out"
    (out / "a b_faces.jpg").mkdir(parents=True)
    (out / "a b_2_faces.jpg").symlink_to("/nowhere/at/all.jpg")
    result = cli("predict", photos, "--weights", weights, "--output", out)
    # The folder is stepped aside for; the link's place is free, and is replaced.
    assert result.code == 0
    assert Image.open(out / "a b_2_faces.jpg").size == (64, 48)
    (out / "predictions.json").unlink()
    (out / "predictions.json").mkdir()
    result = cli("predict", photos, "--weights", weights, "--output", out)
    assert result.code == 1
    assert "predictions.json cannot be written" in result.err


def test_a_full_disk_leaves_nothing_half_written(cli, weights, photos, tmp_path):
    out = tmp_path / "out"
    save_picture(photos / "large.jpg", (400, 400))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        # Room for the table and the small pictures, not for 400 x 400 px of noise.
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
        result = cli("predict", photos, "--weights", weights, "--output", out)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert result.code == 1
    assert f"{out / 'large_faces.jpg'} cannot be written: {os.strerror(errno.EFBIG)}" in result.err
    assert "1 failed, 2 done" in result.err
    assert sorted(path.name for path in out.iterdir()) == [
        "a b_faces.jpg",
        "c_faces.jpg",
        "predictions.json",
    ]
    assert len(stored(out)) == 2


def test_an_interruption_keeps_what_is_done(cli, weights, photos, tmp_path, monkeypatch):
    one = predict._one

    def interrupted(detector, path, picture):
        if path.name == "c.png":
            raise KeyboardInterrupt
        return one(detector, path, picture)

    monkeypatch.setattr(predict, "_one", interrupted)
    out = tmp_path / "out"
    result = cli("predict", photos, "--weights", weights, "--output", out)
    assert result.code == 130
    assert result.err.splitlines()[-1] == "facedet predict: interrupted"
    assert stored(out) == [result_of(photos / "a b.jpg")]


def test_a_defect_keeps_what_is_done(cli, weights, photos, tmp_path, monkeypatch):
    one = predict._one

    def defective(detector, path, picture):
        return one(detector, path, picture) if path.name == "a b.jpg" else 1 / 0

    monkeypatch.setattr(predict, "_one", defective)
    with pytest.raises(ZeroDivisionError):
        cli("predict", photos, "--weights", weights, "--output", tmp_path / "out")
    assert stored(tmp_path / "out") == [result_of(photos / "a b.jpg")]


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


@pytest.mark.slow
def test_a_reader_that_leaves_early_and_ctrl_c_in_earnest(weights, tmp_path):
    folder = tmp_path / "many"
    for index in range(20):
        save_picture(folder / f"{index:02}.jpg", (640, 480), index)
    words = [sys.executable, "-m", "facedet.cli", "predict", str(folder), "--weights", str(weights)]
    leaving = subprocess.Popen([*words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    leaving.stdout.readline()
    leaving.stdout.close()
    leaving.wait(60)
    assert (leaving.returncode, leaving.stderr.read()) == (1, "")
    out = tmp_path / "out"
    stopped = subprocess.Popen(
        [*words, "--output", str(out)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        bufsize=1,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    stopped.stdout.readline()
    stopped.send_signal(signal.SIGINT)
    _, err = stopped.communicate(timeout=60)
    assert stopped.returncode == 130
    assert err.splitlines()[-1] == "facedet predict: interrupted"
    assert 1 <= len(stored(out)) < 20


@pytest.mark.data
def test_real_pictures_with_released_weights(cli, shared, tmp_path):
    """The README's two commands."""
    target = tmp_path / "extd32.safetensors"
    source = shared / "reference" / "weights" / "EXTD_32.pth"
    assert cli("convert", source, target).code == 0
    folder = shared / "data" / "wider" / "WIDER_val" / "images" / "12--Group"
    picture = min(folder.glob("*.jpg"))
    out = tmp_path / "out"
    result = cli("predict", picture, "--weights", target, "--output", out, "--json")
    assert result.code == 0
    (image,) = result.json["images"]
    assert set(image) == {"file", "width", "height", "faces"}
    assert len(image["faces"]) >= 10
    for face in image["faces"]:
        x1, y1, x2, y2 = face["box"]
        assert -50 < x1 < x2 < image["width"] + 50
        assert -50 < y1 < y2 < image["height"] + 50
        assert 0.5 <= face["score"] <= 1
    scores = [face["score"] for face in image["faces"]]
    assert scores == sorted(scores, reverse=True)
