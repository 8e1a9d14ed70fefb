"""Files fetched once: whole and right, or not there at all, and one line on why."""

import hashlib
import multiprocessing
import resource
import threading

import pytest

from facedet.weights import fetching
from facedet.weights.fetching import require_file
from reference.refused_weights import complaint
from reference.web_server import web_server

# More than the reader takes at once.
BODY = bytes(range(256)) * 6000
SHA256 = hashlib.sha256(BODY).hexdigest()
PAGE = b"<!DOCTYPE html>"
REMEDY = "remove it"


@pytest.fixture(scope="module")
def server():
    with web_server() as running:
        yield running


@pytest.fixture(autouse=True)
def _direct(server, monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    server.asked.clear()


def refused(path, url, *words):
    """It fails with one line that holds the words, and leaves nothing behind."""
    before = sorted(path.parent.iterdir()) if path.parent.is_dir() else []
    complaint(require_file, path, url, SHA256, REMEDY, words=words)
    left = sorted(path.parent.iterdir()) if path.parent.is_dir() else []
    assert [one for one in left if one.suffix != ".lock"] == before


def test_a_file_is_fetched_once(server, tmp_path):
    path = tmp_path / "new" / "folder ü" / "a.bin"
    url = server.serve("a.bin", BODY)
    for _ in range(2):
        assert require_file(path, url, SHA256, REMEDY) == path
        assert path.read_bytes() == BODY
    assert server.asked == ["/a.bin"]
    assert {one.name for one in path.parent.iterdir()} == {"a.bin", ".a.bin.lock"}


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ({"body": BODY[: len(BODY) // 2], "says": len(BODY)}, ["what arrived has SHA-256"]),
        ({"body": PAGE}, [f"what arrived has SHA-256 {hashlib.sha256(PAGE).hexdigest()}", "again"]),
        ({"body": b"", "status": 404}, ["cannot be fetched (Not Found)", "put it at "]),
        ({"body": b"", "status": 500}, ["cannot be fetched (Internal Server Error)"]),
        (None, ["cannot be fetched", "Connection refused", "put it at "]),
    ],
)
def test_downloads_that_go_wrong(server, tmp_path, answer, words):
    # Nothing listens at port 9 of this machine.
    url = server.serve("odd.bin", **answer) if answer else "http://127.0.0.1:9/a.bin"
    refused(tmp_path / "a.bin", url, url, *words)


def test_a_server_that_falls_silent(server, tmp_path, monkeypatch):
    monkeypatch.setattr(fetching, "_TIMEOUT_S", 0.05)
    wait = threading.Event()
    url = server.serve("silent.bin", BODY, wait=wait)
    refused(tmp_path / "a.bin", url, f"{url} cannot be fetched (timed out)")
    wait.set()


def test_places_that_cannot_be_written(server, tmp_path):
    (tmp_path / "taken").write_text("a file")
    url = server.serve("a.bin", BODY)
    path = tmp_path / "taken" / "cache" / "a.bin"
    refused(path, url, f"{path.parent}", "cannot be made: ")
    path = tmp_path / "a.bin"
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        refused(path, url, f"{path} cannot be written: File too large")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_two_processes_download_once(server, tmp_path):
    path, wait = tmp_path / "a.bin", threading.Event()
    url = server.serve("slow.bin", BODY, wait=wait)
    context = multiprocessing.get_context("fork")
    words = (path, url, SHA256, REMEDY)
    processes = [context.Process(target=require_file, args=words) for _ in range(2)]
    for process in processes:
        process.start()
    # Both have had the time to begin.
    threading.Timer(0.5, wait.set).start()
    for process in processes:
        process.join(20)
    assert [process.exitcode for process in processes] == [0, 0]
    assert server.asked == ["/slow.bin"]
    assert path.read_bytes() == BODY
