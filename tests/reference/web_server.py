"""A web server of this machine, whose answers may go wrong."""

import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple


class Answer(NamedTuple):
    """What the server says about a path."""

    body: bytes
    says: int | None = None  # bytes that it announces, if not the right number
    status: int = 200
    wait: threading.Event | None = None  # held back until this is set
    kind: str = ""  # its content type


class WebServer(ThreadingHTTPServer):
    """Gives `answers`, and keeps a list of what was asked for."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers = {}
        self.asked = []

    def url(self, name):
        return f"http://127.0.0.1:{self.server_port}/{name}"

    def serve(self, name, body, **options):
        """Makes `name` answer; returns its URL."""
        self.answers[f"/{name}"] = Answer(body, **options)
        return self.url(name)


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self):  # noqa: N802
        self.server.asked.append(self.path)
        answer = self.server.answers.get(self.path, Answer(b"", status=404))
        if answer.wait is not None:
            answer.wait.wait(10)
        self.send_response(answer.status)
        self.send_header("Content-Length", str(answer.says or len(answer.body)))
        if answer.kind:
            self.send_header("Content-Type", answer.kind)
        self.end_headers()
        # Who refuses an answer for its length hangs up in the middle of it.
        with suppress(BrokenPipeError, ConnectionResetError):
            self.wfile.write(answer.body)

    def log_message(self, *_):
        """Says nothing."""


def web_server() -> AbstractContextManager[WebServer]:
    """A server that runs while the block does."""
    return running(WebServer())


@contextmanager
def running(server: ThreadingHTTPServer) -> Iterator[ThreadingHTTPServer]:
    """Lets a server run while the block does."""
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
