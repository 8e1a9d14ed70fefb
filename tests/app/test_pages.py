"""The app in headless Chromium, served by `facedet app` as a user starts it."""

import json
import os
import signal
import subprocess
import sys
from importlib.util import find_spec

import pytest
from PIL import Image
from skimage import data as pictures

import facedet
from reference.chromium import EXECUTABLE, Page
from reference.videos import save_video

pytestmark = [
    pytest.mark.slow,  # Gradio and a browser start
    pytest.mark.skipif(find_spec("gradio") is None, reason="the extra [app] is not installed"),
    pytest.mark.skipif(EXECUTABLE is None, reason="chromium is not installed"),
]
WEIGHTS = "extd-plain-32"
TEXT = "(document.body?.innerText ?? '')"
LINKS = "[...document.querySelectorAll('a[download]')].map((one) => [one.download, one.href])"


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    """The address that the command prints; Ctrl-C ends it, and its uploads are gone."""
    temporary = tmp_path_factory.mktemp("tmp")
    paths = {"TMPDIR": str(temporary), "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-m", "facedet.cli", "app", "-w", WEIGHTS, "--max-pixels", "1"]
    process = subprocess.Popen(
        command, env=os.environ | paths, cwd=temporary, stdout=subprocess.PIPE, text=True
    )
    line = process.stdout.readline()
    assert line.startswith("http://127.0.0.1:"), line
    yield line.split()[0]
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 130
    assert not list(temporary.glob("facedet-app-*"))


@pytest.fixture
def page(url, tmp_path):
    page = Page(tmp_path / "profile")
    try:
        page.open(url)
        page.wait_for(f"{TEXT}.includes('Find faces')")
        yield page
    finally:
        page.close()


def click(page, text):
    """The visible button, or tab, of that text; Gradio has a copy of its tabs to measure them."""
    page.wait_for(f"""(() => {{
      const shown = [...document.querySelectorAll("button")].filter(
        (one) => one.checkVisibility({{visibilityProperty: true}}));
      const found = shown.findLast((one) => one.innerText.trim() === {text!r});
      found?.click();
      return Boolean(found);
    }})()""")


def find_faces(page, path):
    page.choose_file("input[type=file]", path)
    page.wait_for(f"{TEXT}.includes({path.name!r})")
    click(page, "Find faces")


def test_a_picture(page, url, tmp_path):
    path = tmp_path / "one face.png"
    Image.fromarray(pictures.astronaut()).save(path)
    find_faces(page, path)
    page.wait_for(f"{TEXT}.includes('1 file done') && {LINKS}.length === 3")
    assert "one face.png: 1 face" in page.run(f"{TEXT}")
    links = dict(page.run(LINKS))
    assert list(links) == [path.name, "predictions.json", "faces.zip"]
    text = page.run(f"fetch({links['predictions.json']!r}).then((answer) => answer.text())")
    # What `facedet predict` writes: the very numbers, and the name without a folder.
    expected = facedet.load(WEIGHTS).detect(path).to_dict()
    assert json.loads(text) == {"images": [{"file": path.name, **expected}]}
    assert "/tmp" not in page.run(TEXT)
    assert str(tmp_path) not in page.run(TEXT)
    # Nothing comes from, or goes to, another server.
    asked = page.run("performance.getEntriesByType('resource').map((one) => one.name)")
    assert len(asked) > 5
    assert [one for one in asked if not one.startswith((url, "blob:", "data:"))] == []


def test_a_folder(page, tmp_path):
    folder = tmp_path / "holiday"
    for name in ("a.png", "b/c.png"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pictures.astronaut()).save(folder / name)
    (folder / "notes.txt").write_text("no picture")
    click(page, "Folder")
    page.choose_file("input[webkitdirectory]", folder)
    page.wait_for(rf"/\bc\s*\.png/.test({TEXT})")  # Gradio breaks the line before the suffix
    click(page, "Find faces")
    page.wait_for(f"{TEXT}.includes('2 files done')")
    # The gallery comes a moment after the words.
    for said in ("a.png: 1 face", "c.png: 1 face", "notes.txt"):
        page.wait_for(f"{TEXT}.includes({said!r})")


def test_a_video(page, tmp_path):
    pytest.importorskip("av", reason="the extra [video] is not installed")
    path = save_video(tmp_path / "film.mkv", frames=4)
    find_faces(page, path)
    page.wait_for(f"{TEXT}.includes('1 file done') && {LINKS}.length === 3")
    assert "film.mkv: " in page.run(TEXT)
    assert " in 4 frames" in page.run(TEXT)
    assert page.run("document.querySelector('video') !== null")
    text = page.run(
        f"fetch({dict(page.run(LINKS))['predictions.json']!r}).then((answer) => answer.text())"
    )
    assert [image["frame"] for image in json.loads(text)["images"]] == [0, 1, 2, 3]


def test_errors_in_words(page, tmp_path):
    click(page, "Find faces")
    page.wait_for(f"{TEXT}.includes('no file was chosen: choose pictures or a video')")
    path = tmp_path / "large.png"
    Image.new("RGB", (1100, 1000)).save(path)
    find_faces(page, path)
    words = "large.png: 1100 x 1000 pixels are 1.1 million, up to 1 million are allowed"
    page.wait_for(f"{TEXT}.includes({words!r})")


def test_the_webcam(page):
    click(page, "Webcam")
    click(page, "Click to Access Webcam")
    click(page, "Record")
    # Chromium's stand-in for a camera shows a shape on green.
    page.wait_for(rf"/(no faces|\d+ faces?), \d+ ms/.test({TEXT})")
    # It is still on, and a request does not wait for its end.
    click(page, "Pictures and videos")
    click(page, "Find faces")
    page.wait_for(f"{TEXT}.includes('no file was chosen')")
