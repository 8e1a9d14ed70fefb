"""The web page in headless Chromium: it finds what `facedet predict` finds."""

import json
import re
import shutil
import subprocess

import numpy as np
import pytest
from PIL import Image

from benchmarks import browser as benchmark
from facedet.errors import FacedetError
from facedet.export.pictures import embedded_pictures
from facedet.export.web.page import STATIC, write_page
from facedet.export.web.runtime import find_runtime
from reference.chromium import EXECUTABLE, Page, serving
from reference.web_server import web_server

pytestmark = [
    pytest.mark.slow,  # npm fetches the runtime, a browser starts, WebAssembly is compiled
    pytest.mark.skipif(EXECUTABLE is None, reason="chromium is not installed"),
]
WEIGHTS = "extd-plain-32"
STATUS = "document.querySelector('#status').textContent"
TIMING = "document.querySelector('#timing').textContent"
# Of the boxes as they are drawn.
BOXES = """[...document.querySelectorAll("#boxes rect.under")].map((rect) => {
  const number = (name) => Number(rect.getAttribute(name));
  const [x, y] = [number("x"), number("y")];
  return [x, y, x + number("width"), y + number("height")];
})"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A page of the smallest weights."""
    if shutil.which("npm") is None:
        pytest.skip("npm is not installed")
    try:
        find_runtime(None)
    except FacedetError as error:
        asked = subprocess.run(["npm", "view", "onnxruntime-web", "version"], capture_output=True)
        if asked.returncode:
            pytest.skip(f"npm reaches no registry: {error}")
        raise
    return write_page(WEIGHTS, tmp_path_factory.mktemp("web") / "page").folder


@pytest.fixture(scope="module")
def served(folder):
    with serving(folder) as (url, asked):
        yield url, asked


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    page = Page(tmp_path_factory.mktemp("profile"))
    yield page
    page.close()


@pytest.fixture
def page(browser, served):
    """The page, ready for a picture, its slider where it starts; loading takes longest."""
    url = f"{served[0]}/index.html"
    if browser.run("location.href") != url:
        browser.open(url)
        browser.wait_for(f"document.readyState === 'complete' && {STATUS}.startsWith('Ready')")
    browser.run("score.value = 0.7; score.dispatchEvent(new Event('input'))")
    return browser


@pytest.fixture(scope="module")
def crowd(tmp_path_factory):
    """A crowd of 640 x 480 px of the embedded data."""
    path = tmp_path_factory.mktemp("crowd") / "crowd.png"
    Image.fromarray(embedded_pictures("val", 1, 640)[0][:480]).save(path)
    return path


def find(page, path):
    page.run("timing.textContent = ''")
    page.choose_file("#file", path)
    page.wait_for(f"{STATUS}.startsWith({path.name!r}) && {TIMING}")
    return page.run(BOXES)


def predicted(cli, path, *words):
    faces = cli("predict", path, "--json", "-w", WEIGHTS, *words).json["images"][0]["faces"]
    return [face["box"] for face in faces]


def check_equal(boxes, expected):
    assert len(boxes) == len(expected) > 0
    np.testing.assert_allclose(boxes, expected, rtol=0, atol=1)


def test_boxes_equal_those_of_predict(page, served, cli, crowd, tmp_path):
    expected = predicted(cli, crowd)
    boxes = find(page, crowd)
    check_equal(boxes, expected)
    words = f"{len(expected)} faces" if len(expected) > 1 else "1 face"
    assert page.run(STATUS) == f"crowd.png: {words}"
    assert re.fullmatch(r"640 x 480 pixels, \d+ ms", page.run(TIMING))
    # A photo that is stored on its side.
    lying, exif = Image.open(crowd).transpose(Image.Transpose.ROTATE_90), Image.Exif()
    exif[0x0112] = 6  # turn it by 90 degrees clockwise
    lying.save(tmp_path / "lying.jpg", quality=95, exif=exif)
    check_equal(find(page, tmp_path / "lying.jpg"), predicted(cli, tmp_path / "lying.jpg"))
    assert page.run(TIMING).startswith("640 x 480 pixels")
    # Only the page's own files were asked for.
    made = {"model.onnx", "model.json", "onnxruntime.js", "onnxruntime.wasm.gz"}
    assert set(served[1]) == {f"/{name}" for name in made | {one.name for one in STATIC.iterdir()}}


def test_slider_and_list_by_keyboard(page, cli, crowd):
    find(page, crowd)
    page.run("document.querySelector('#score').focus()")
    assert page.run("document.activeElement.labels[0].textContent") == "Lowest score of a face"
    for _ in range(40):  # from the card's .7
        page.press("ArrowLeft")
    assert page.run("document.querySelector('#score-value').textContent") == "0.30"
    expected = predicted(cli, crowd, "--score", 0.3)
    assert len(expected) > len(predicted(cli, crowd))
    check_equal(page.run(BOXES), expected)
    page.press("Tab")
    label = page.run("document.activeElement.getAttribute('aria-label')")
    left, top, right, bottom = np.round(expected[0]).astype(int)
    assert label.startswith("Face 1, score 0.")
    assert label.endswith(f"left {left}, top {top}, right {right}, bottom {bottom}")
    assert page.run("document.querySelectorAll('#boxes .chosen').length") == 1
    for _ in range(70):
        page.press("ArrowRight")  # on the list: nothing
    assert len(page.run(BOXES)) == len(expected)


def test_what_is_no_picture_is_reported(page, crowd, tmp_path):
    find(page, crowd)
    notes = tmp_path / "notes.txt"
    notes.write_text("no picture\n")
    page.choose_file("#file", notes)
    page.wait_for(f"{STATUS} === 'notes.txt: not a picture that this browser can read.'")
    assert page.run("document.querySelector('#view').hidden")
    page.run("""{
      const data = new DataTransfer();
      data.items.add(new File(["text"], "dropped.jpg"));
      document.body.dispatchEvent(new DragEvent("drop", { dataTransfer: data, bubbles: true }));
    }""")
    page.wait_for(f"{STATUS} === 'dropped.jpg: not a picture that this browser can read.'")
    find(page, crowd)  # goes on as before


def test_a_large_picture_is_shrunk_and_the_page_says_so(page, cli, crowd, tmp_path):
    large = tmp_path / "large.png"
    Image.open(crowd).resize((2560, 1920), Image.Resampling.BICUBIC).save(large)
    boxes = find(page, large)
    # 2560 x 1920 x s² = 4,000,000 gives s = .9021.
    assert "shrunk to 2309 x 1732 for the detector" in page.run(TIMING)
    best, expected = boxes[0], np.array(predicted(cli, large))
    width = best[2] - best[0]
    assert np.abs(expected - best).max(axis=1).min() < 0.2 * width


def test_camera(page):
    page.run("document.querySelector('#camera').click()")
    page.wait_for(f"{STATUS}.startsWith('Camera: ')")  # Chromium's test picture
    assert page.run("document.querySelector('#camera').textContent") == "Close the camera"
    assert " ms" in page.run(TIMING)
    page.run("document.querySelector('#camera').click()")
    assert page.run("document.querySelector('#camera').textContent") == "Open the camera"
    assert page.run("document.querySelector('#video').srcObject") is None


def test_other_servers_are_out_of_reach(page):
    with web_server() as other:
        url = other.serve("secret", b"")
        ask = f"fetch('{url}', {{mode: 'no-cors'}}).then(() => 'reached', () => 'refused')"
        assert page.run(ask) == "refused"
        # A worker has a policy of its own unless, as the page's, it begins as a blob.
        worker = f"""new Promise((resolve) => {{
          const text = "{ask}.then(postMessage)";
          const url = URL.createObjectURL(new Blob([text], {{ type: "text/javascript" }}));
          new Worker(url, {{ type: "module" }}).onmessage = (event) => resolve(event.data);
        }})"""
        assert page.run(worker) == "refused"
        image = f"""new Promise((resolve) => {{
          const image = new Image();
          image.onload = image.onerror = (event) => resolve(event.type);
          image.src = "{url}";
        }})"""
        assert page.run(image) == "error"
        assert other.asked == []


def test_opened_as_a_file_it_says_what_to_do(browser, folder):
    browser.open((folder / "index.html").as_uri())
    line = "document.querySelector('#needs-server')"
    # Its style sheet hides the line at first; before that is read, the line has no text yet.
    browser.wait_for(
        f"{line} && getComputedStyle({line}).visibility === 'visible' "
        f"&& {line}.innerText.includes('python -m http.server')"
    )


def test_fits_a_phone(page, crowd):
    size = {"width": 360, "height": 740, "deviceScaleFactor": 1, "mobile": True}
    page.send("Emulation.setDeviceMetricsOverride", **size)
    find(page, crowd)
    assert page.run("document.documentElement.scrollWidth") == 360
    page.send("Emulation.clearDeviceMetricsOverride")


def test_the_measurement_runs(folder, capsys):
    runtime = find_runtime(None).script.parent
    benchmark.main(["--rounds", "4", "--runtime", str(runtime)])
    result = json.loads(capsys.readouterr().out)
    assert result["browser"]["faces"] == result["python"]["faces"] > 0
    assert result["browser"]["cpu_ms"] > result["python"]["cpu_ms"] / 10 > 0
