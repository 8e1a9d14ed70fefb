"""Fetches files once into a folder, checked by SHA-256."""

import math
import shutil
from http.client import HTTPException
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from tqdm import tqdm

from facedet.errors import FacedetError
from facedet.files import file_sha256, locked, replacing

_TIMEOUT_S = 30


def require_file(path: Path, url: str, sha256: str, remedy: str) -> Path:
    """A file that is there already, checked, or downloaded.

    Of several processes that need the same file one downloads it and the others wait.

    Args:
        path: where the file is or will be; parent folders are made.
        url: where it comes from.
        sha256: the file's SHA-256 in hexadecimal.
        remedy: what to do about another file at `path`, for the message.

    Returns:
        `path`.

    Raises:
        FacedetError: another file is there, the URL cannot be reached, what arrives is cut off or
            another file, or the folder cannot be written. `path` is then as it was before.
    """
    if not path.is_file():
        with locked(path.with_name(f".{path.name}.lock"), timeout=math.inf):
            # Whoever held the lock before may have fetched it.
            if not path.is_file():
                _download(path, url, sha256)
    _check_digest(path, sha256, str(path), remedy)
    return path


def _download(path: Path, url: str, sha256: str) -> None:
    with replacing(path) as aside:
        try:
            with urlopen(url, timeout=_TIMEOUT_S) as answer, aside.open("wb") as stream:
                total = int(answer.headers.get("Content-Length") or 0) or None
                bar = {"desc": path.name, "total": total, "unit": "B", "unit_scale": True}
                with tqdm.wrapattr(answer, "read", disable=None, **bar) as body:
                    shutil.copyfileobj(body, stream)
        # Not every OSError: a full disk is another matter than a lost connection.
        except (URLError, HTTPException, ConnectionError, TimeoutError) as error:
            reason = getattr(error, "reason", error)
            raise FacedetError(
                f"{url} cannot be fetched ({reason}): fetch it by other means and put it at {path}"
            ) from error
        _check_digest(aside, sha256, f"{url}: what arrived", "try again")


def _check_digest(path: Path, sha256: str, what: str, remedy: str) -> None:
    digest = file_sha256(path)
    if digest != sha256:
        raise FacedetError(f"{what} has SHA-256 {digest}, expected {sha256}: {remedy}")
