"""What the app does with uploads, without Gradio: results, limits, and names instead of paths."""

import json
import sys
import zipfile
from shutil import copyfile

import pytest

from facedet.app.finding import Limits, default_score, find_in_files, known_weights, open_weights
from facedet.errors import FacedetError
from facedet.weights.zoo import NAMED
from reference.one_face import SCORE, save_picture
from reference.videos import save_video

LIMITS = Limits()


@pytest.fixture
def detector(weights):
    return open_weights(str(weights), "torch", 0.5)


@pytest.fixture
def results(tmp_path):
    folder = tmp_path / "results"
    folder.mkdir()
    return folder


def find(detector, paths, results, limits=LIMITS, **options):
    return find_in_files(detector, paths, results, limits, **options)


def test_pictures_of_one_name(detector, tmp_path, results):
    paths = [save_picture(tmp_path / f"up/{part}/a b.jpg", seed=part) for part in range(2)]
    seen = []
    found = find(detector, paths, results, report=lambda *about: seen.append(about))
    assert seen == [("a b.jpg", 0), ("a b (2).jpg", 0)]
    captions = [caption for _, caption in found.shown]
    assert captions == ["a b.jpg: 1 face", "a b (2).jpg: 1 face"]
    assert found.summary == "2 files done"
    images = json.loads(found.labels.read_text())["images"]
    assert [image["file"] for image in images] == ["a b.jpg", "a b (2).jpg"]
    assert images[0]["faces"][0]["score"] == pytest.approx(SCORE, abs=1e-4)
    assert str(tmp_path) not in found.labels.read_text()
    with zipfile.ZipFile(found.archive) as packed:
        expected = {"predictions.json", *(path.name for path, _ in found.shown)}
        assert {name for name in packed.namelist() if not name.endswith("/")} == expected


def test_a_video(detector, tmp_path, results):
    pytest.importorskip("av", reason="the extra [video] is not installed")
    path = save_video(tmp_path / "up" / "film.mkv", frames=4)
    found = find(detector, [path], results)
    ((copy, caption),) = found.shown
    assert caption == "film.mkv: 4 faces in 4 frames"
    assert copy.name == "film_faces.mp4"
    assert copy.stat().st_size > 1000
    images = json.loads(found.labels.read_text())["images"]
    assert [image["frame"] for image in images] == [0, 1, 2, 3]


def test_a_long_video(detector, tmp_path, results):
    pytest.importorskip("av", reason="the extra [video] is not installed")
    path = save_video(tmp_path / "film.mp4", frames=4)
    found = find(detector, [path], results, Limits(frames=2))
    assert found.failures == ["film.mp4: only its first 2 frames, the limit"]
    assert [caption for _, caption in found.shown] == ["film.mp4: 2 faces in 2 frames"]


def test_bad_files_do_not_stop_the_rest(detector, tmp_path, results):
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(b"GIF89a no more")
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(b"no video")
    large = save_picture(tmp_path / "large.png", (300, 200))
    good = save_picture(tmp_path / "good.png")
    found = find(detector, [bad, large, good, cut], results, Limits(megapixels=0.05))
    assert [caption for _, caption in found.shown] == ["good.png: 1 face"]
    assert len(found.failures) == 3
    assert not [line for line in found.failures if str(tmp_path) in line]
    assert found.failures[0].startswith("bad.jpg: ")
    assert found.failures[1] == (
        "large.png: 300 x 200 pixels are 0.06 million, up to 0.05 million are allowed"
    )
    assert found.failures[2].startswith("cut.mp4: cannot be opened as a video")
    assert found.summary.count("**Not done**: ") == 3


def test_nothing_readable(detector, tmp_path, results):
    bad = tmp_path / "bad.jpg"
    bad.touch()
    found = find(detector, [bad], results)
    assert found.summary == "**Not done**: bad.jpg: the file is empty (0 bytes)"
    assert found.labels is found.archive is None


def test_too_few_and_too_many(detector, results):
    with pytest.raises(FacedetError, match="no file was chosen"):
        find(detector, [], results)
    with pytest.raises(FacedetError, match="3 files are too many at once: up to 2"):
        find(detector, ["a.jpg"] * 3, results, Limits(files=2))


def test_weights_to_choose_from(tmp_path, weights):
    shipped = [name for name, one in NAMED.items() if one.url is None]
    assert list(known_weights()) == shipped
    own = tmp_path / "secret folder" / "own.safetensors"
    own.parent.mkdir()
    copyfile(weights, own)
    known = known_weights([str(own), shipped[2], "hf://me/faces"])
    assert known["own.safetensors"] == str(own)
    rest = [name for name in shipped if name != shipped[2]]
    assert list(known) == ["own.safetensors", shipped[2], "hf://me/faces", *rest]
    assert list(known_weights(["a/x.onnx", "b/x.onnx"]))[:2] == ["x.onnx", "x (2).onnx"]
    # Those that are not opened yet are looked for before their score is asked for.
    with pytest.raises(FacedetError, match="no such weights file"):
        default_score("a/x.onnx")


def test_without_the_extra(cli, monkeypatch):
    monkeypatch.setitem(sys.modules, "gradio", None)
    cli("app").check_error(1, "needs Gradio: pip install 'facedet-lightning[app]'")
