"""Files fetched once into a folder: checked by SHA-256, whole and right or not there at all."""

import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPException
from pathlib import Path
from typing import Any

from filelock import FileLock
from tqdm import tqdm

from facedet.errors import FacedetError
from facedet.files import replacing
from facedet.weights.store import file_sha256

_TIMEOUT_S = 30
_CHUNK_BYTES = 1 << 20


def require_file(path: Path, url: str, sha256: str, remedy: str) -> Path:
    """A file that is there already, checked, or downloaded.

    Of several processes that want the same file one downloads it and the others wait.

    Args:
        path: where the file lies, or is to lie; parent folders are made.
        url: where it comes from.
        sha256: the file's SHA-256 in hexadecimal.
        remedy: what to do about another file that lies at `path`, for the message.

    Returns:
        `path`.

    Raises:
        FacedetError: another file lies there, the URL cannot be reached, what arrives is cut off
            or another file, or the folder cannot be written. `path` is then as it was before.
    """
    if not path.is_file():
        with _alone(path):
            # Whoever held the lock before may have brought it.
            if not path.is_file():
                _download(path, url, sha256)
                return path
    _check_digest(path, sha256, str(path), remedy)
    return path


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Waits for other processes that fetch `path`."""
    name = path.with_name(f".{path.name}.lock")
    lock = FileLock(name)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except OSError as error:
        raise FacedetError(f"{path} cannot be written: {error.strerror or error}") from error
    try:
        yield
    finally:
        # One that waits for the removed lock looks for the file itself, and loses nothing else
        # than the time of a second download.
        with suppress(OSError):
            name.unlink()
        lock.release()


def _download(path: Path, url: str, sha256: str) -> None:
    with replacing(path) as aside:
        try:
            answer = urllib.request.urlopen(url, timeout=_TIMEOUT_S)
        except (OSError, HTTPException) as error:
            raise _unreachable(path, url, error) from error
        total = int(answer.headers.get("Content-Length") or 0) or None
        bar = tqdm(desc=path.name, total=total, unit="B", unit_scale=True, disable=None)
        size = 0
        with answer, bar, aside.open("wb") as stream:
            while chunk := _next_chunk(answer, path, url):
                stream.write(chunk)
                bar.update(len(chunk))
                size += len(chunk)
        # A server that hangs up is no error to `read`.
        if total is not None and size < total:
            cut = HTTPException(f"the connection ended after {size:,} of {total:,} bytes")
            raise _unreachable(path, url, cut)
        _check_digest(aside, sha256, f"{url}: what arrived", "try again")


def _next_chunk(answer: Any, path: Path, url: str) -> bytes:  # noqa: ANN401
    # Apart from the writing: a full disk is another error than a lost connection.
    try:
        return answer.read(_CHUNK_BYTES)
    except (OSError, HTTPException) as error:
        raise _unreachable(path, url, error) from error


def _unreachable(path: Path, url: str, error: Exception) -> FacedetError:
    reason = getattr(error, "reason", None) or error or type(error).__name__
    return FacedetError(
        f"{url} cannot be fetched ({reason}): fetch it by other means and put it at {path}"
    )


def _check_digest(path: Path, sha256: str, what: str, remedy: str) -> None:
    digest = file_sha256(path)
    if digest != sha256:
        raise FacedetError(f"{what} has SHA-256 {digest}, wanted is {sha256}: {remedy}")
