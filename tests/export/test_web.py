"""The web page's files; `test_web_in_browser` opens it."""

import json
import re
from pathlib import Path

import pytest

from facedet.errors import FacedetError
from facedet.export.web import page
from facedet.export.web.page import STATIC, write_page
from facedet.export.web.runtime import find_runtime
from facedet.profiling.latency import noise

SCRIPT, WASM = "ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm"


@pytest.fixture(autouse=True)
def _few_pictures(monkeypatch):
    monkeypatch.setattr("facedet.export.writing.embedded_pictures", lambda *_: [noise((96, 80))])


def make_runtime(folder):
    folder.mkdir(parents=True)
    (folder / SCRIPT).write_text("/*!\n * ONNX Runtime Web v1.2.3\n */\n")
    (folder / WASM).write_bytes(b"\0asm" + bytes(1000))
    return folder


def put_npm(folder, monkeypatch, script):
    """A program `npm` that is the only one on the path."""
    folder.mkdir()
    (folder / "npm").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "npm").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")


@pytest.mark.parametrize("inner", ["", "dist", "node_modules/onnxruntime-web/dist"])
def test_a_runtime_that_is_given(tmp_path, inner):
    made = make_runtime(tmp_path / "given" / inner)
    assert find_runtime(tmp_path / "given") == (made / SCRIPT, made / WASM, "1.2.3")


def test_npm_is_asked_once(tmp_path, monkeypatch):
    monkeypatch.setenv("FACEDET_CACHE", str(tmp_path / "cache"))
    dist = make_runtime(tmp_path / "made")
    log = tmp_path / "asked"
    inner = "node_modules/onnxruntime-web/dist"
    script = f'echo "$@" >> {log}; ls package-lock.json && mkdir -p {inner} && cp {dist}/* {inner}'
    put_npm(tmp_path / "bin", monkeypatch, script)
    first = find_runtime(None)
    assert first == find_runtime(None)
    assert first.version == "1.2.3"
    assert first.wasm.read_bytes() == (dist / WASM).read_bytes()
    assert [line.split()[:2] for line in log.read_text().splitlines()] == [
        ["ci", "--ignore-scripts"]
    ]


def test_without_runtime_the_error_says_what_to_give(tmp_path, monkeypatch):
    monkeypatch.setenv("FACEDET_CACHE", str(tmp_path / "cache"))
    with pytest.raises(FacedetError, match="^runtime=/nowhere: expected ort.wasm"):
        find_runtime(Path("/nowhere"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(FacedetError, match="npm, which is not installed: give --runtime DIR"):
        find_runtime(None)
    put_npm(tmp_path / "bin", monkeypatch, "echo no network >&2; echo at all >&2; exit 1")
    with pytest.raises(FacedetError, match=r"cannot fetch .* \(no network at all\): give") as error:
        find_runtime(None)
    assert "\n" not in str(error.value)


def test_the_lock_is_portable_and_names_what_package_json_asks_for():
    asked = json.loads((STATIC.parent / "package.json").read_text())["dependencies"]
    locked = json.loads((STATIC.parent / "package-lock.json").read_text())["packages"]
    assert locked.pop("")["dependencies"] == asked
    assert locked["node_modules/onnxruntime-web"]["version"] == asked["onnxruntime-web"]
    # Any registry serves it, and none can change it.
    assert all(one["integrity"].startswith("sha512-") for one in locked.values())
    assert not any("resolved" in one for one in locked.values())


def test_nothing_of_the_page_comes_from_elsewhere():
    for file in STATIC.iterdir():
        found = set(re.findall(r"\w+://[\w.:/]*", file.read_text()))
        # A name of XML, and the address that the page tells to type.
        assert found <= {"http://www.w3.org/2000/svg", "http://localhost:8000", "https://"}, file
    policy = re.search(r'Policy" content="([^"]*)"', (STATIC / "index.html").read_text())[1]
    sources = {word for rule in policy.split("; ") for word in rule.split()[1:]}
    assert policy.startswith("default-src 'none'; ")
    assert sources == {"'none'", "'self'", "'wasm-unsafe-eval'", "blob:"}


def test_written_by_the_command(cli, weights, tmp_path):
    runtime = make_runtime(tmp_path / "given")
    result = cli("export", weights, "--format", "web", "page", "--runtime", runtime)
    assert (result.code, result.err) == (0, "")
    first, sizes, agreement, hint = result.out.splitlines()
    assert first == "page: one face.safetensors, ONNX Runtime Web 1.2.3"
    assert re.fullmatch(r"  in gzip: model \d+ kB .*, runtime \d kB .*, page \d+ kB .*", sizes)
    assert "compared with PyTorch" in agreement
    assert "python -m http.server -d page" in hint
    written = {file.name for file in Path("page").iterdir()}
    made = {"model.onnx", "model.json", "onnxruntime.js", "onnxruntime.wasm.gz"}
    assert written == made | {file.name for file in STATIC.iterdir()}
    assert json.loads(Path("page/model.json").read_text())["score"] == 0.5
    again = cli("export", weights, "--format", "web", "-o", "page", "--runtime", runtime)
    again.check_error(1, "page: is not empty")


def test_the_slider_starts_where_the_card_says(tmp_path):
    runtime = make_runtime(tmp_path / "given")
    write_page("extd-plain-32", tmp_path / "page", runtime)
    facts = json.loads((tmp_path / "page" / "model.json").read_text())
    assert facts["score"] == 0.7
    assert facts["least_score"] == 0.2


@pytest.mark.parametrize(("score", "shown"), [(0.25, 0.25), (0.1, 0.2)])  # 0.2: the slider's end
def test_weights_are_fetched_before_their_score_is_asked_for(
    weights, tmp_path, monkeypatch, score, shown
):
    asked, export = [], page.export

    def fetching(source, *about, **more):
        asked.append(source)
        return export(source, *about, **more)

    monkeypatch.setattr(page, "export", fetching)
    monkeypatch.setattr(page, "usual_score", lambda source: score if asked else None)
    write_page(weights, tmp_path / "page", make_runtime(tmp_path / "given"))
    assert json.loads((tmp_path / "page" / "model.json").read_text())["score"] == shown


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["w", "--format", "web", "--precision", "int8"], "precision=int8: format=web takes"),
        (["w", "--format", "web", "--raw"], "form=raw: format=web takes end-to-end"),
        (["w", "--format", "web", "a", "-o", "b"], "a and --output b: expected one folder"),
        (["w", "--format", "web", "--score", "0.1"], "score=0.1: the slider of format=web ends"),
        (["w", "a"], "folder=a: is for format=web, not onnx"),
        (["w", "--runtime", "a"], "runtime=a: is for format=web, not onnx"),
        ([], "weights: expected a file or a name before --format onnx"),
    ],
)
def test_complaints(cli, words, said):
    cli("export", *words).check_error(2, said)
