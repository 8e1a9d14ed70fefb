"""Headless Chromium for tests of pages, driven by its DevTools protocol over a pipe."""

import fcntl
import json
import os
import select
import shutil
import subprocess
import time
from contextlib import contextmanager, suppress
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from reference.web_server import running

EXECUTABLE = shutil.which("chromium") or shutil.which("google-chrome")
# No sandbox: CI is root in a container. Nothing of the browser's own goes over the network.
_FLAGS = """--headless --no-sandbox --disable-gpu --disable-quic --disable-dev-shm-usage
--no-first-run --disable-background-networking --disable-component-update --disable-sync
--use-fake-device-for-media-stream --use-fake-ui-for-media-stream --remote-debugging-pipe"""


class Page:
    """A tab of a browser of its own."""

    def __init__(self, profile: Path) -> None:
        ours, theirs = _pipe_pair()
        flags = [*_FLAGS.split(), f"--user-data-dir={profile}", "about:blank"]
        self.process = subprocess.Popen(
            [EXECUTABLE, *flags],
            pass_fds=(3, 4),  # where the browser looks for its pipe
            preexec_fn=lambda: [os.dup2(theirs[place], 3 + place) for place in (0, 1)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        for number in theirs:
            os.close(number)
        self._answers, self._commands = ours
        self._buffer = b""
        self._count = 0
        self._session = {}
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        attached = self.send("Target.attachToTarget", targetId=target, flatten=True)
        self._session = {"sessionId": attached["sessionId"]}
        self.send("Page.enable")

    def send(self, method, timeout=60, **params):
        """A command's result; what the browser reports meanwhile is passed over."""
        self._count += 1
        command = {"id": self._count, "method": method, "params": params, **self._session}
        os.write(self._commands, json.dumps(command).encode() + b"\0")
        end = time.monotonic() + timeout
        while True:
            answer = self._read(end)
            if answer.get("id") == self._count:
                assert "error" not in answer, (method, answer["error"])
                return answer["result"]

    def _read(self, end):
        while b"\0" not in self._buffer:
            assert select.select([self._answers], [], [], max(0, end - time.monotonic()))[0], (
                "Chromium does not answer"
            )
            part = os.read(self._answers, 1 << 16)
            assert part, "Chromium has ended"
            self._buffer += part
        text, _, self._buffer = self._buffer.partition(b"\0")
        return json.loads(text)

    def open(self, url):
        self.send("Page.navigate", url=url)

    def run(self, script):
        """The value of an expression, or of a promise."""
        result = self.send(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in result, result["exceptionDetails"]
        return result["result"].get("value")

    def wait_for(self, script, timeout=120):
        """Waits until an expression is true."""
        end = time.monotonic() + timeout
        while not (value := self.run(script)):
            assert time.monotonic() < end, (script, self.run("document.body.innerText"))
            time.sleep(0.05)
        return value

    def choose_file(self, selector, path):
        """As a person would in the dialog of a file input."""
        found = self.send("Runtime.evaluate", expression=f"document.querySelector({selector!r})")
        self.send("DOM.setFileInputFiles", objectId=found["result"]["objectId"], files=[str(path)])

    def press(self, key, code=None):
        """A key, where the focus is."""
        names = {"key": key, "code": code or key}
        names |= {"windowsVirtualKeyCode": {"Tab": 9, "ArrowLeft": 37, "ArrowRight": 39}[key]}
        for kind in ("keyDown", "keyUp"):
            self.send("Input.dispatchKeyEvent", type=kind, **names)

    def close(self):
        with suppress(AssertionError, OSError):
            self._session = {}
            self.send("Browser.close", timeout=5)
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, 9)
            self.process.wait()
        os.close(self._answers)
        os.close(self._commands)


@contextmanager
def serving(folder):
    """A folder as `python -m http.server` serves it: its address, and the paths asked for."""
    asked = []

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, *_):
            asked.append(self.path)

    handler = partial(Handler, directory=str(folder))
    with running(ThreadingHTTPServer(("127.0.0.1", 0), handler)) as server:
        yield f"http://127.0.0.1:{server.server_port}", asked


def _pipe_pair():
    """Our (read, write) ends and the browser's, whose numbers are out of the way of 3 and 4."""
    their_read, our_write = os.pipe()
    our_read, their_write = os.pipe()
    moved = []
    for number in (their_read, their_write):
        moved.append(fcntl.fcntl(number, fcntl.F_DUPFD_CLOEXEC, 10))
        os.close(number)
    return (our_read, our_write), tuple(moved)
