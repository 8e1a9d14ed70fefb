"""Files and folders that are written whole or not at all, and locks that end with their process."""

import csv
import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from facedet.errors import FacedetError


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def expand_home(path: str | Path) -> Path:
    """The path with `~` or `~user` in front as the home folder; a file named `~a.jpg` stays so."""
    # `Path.expanduser` raises where there is no such user.
    return Path(os.path.expanduser(path))


@contextmanager
def replacing(path: Path, durable: bool = True) -> Iterator[Path]:
    """A temporary path next to `path`, of the same suffix, that takes its place at the end.

    Where the block raises, or the disk is full, `path` is as it was before. Parent folders are
    made. `durable` waits until the disk has the file, a few milliseconds, which is not worth it for
    one of thousands of files that are quickly made again.

    Raises:
        FacedetError: the file cannot be written; says why.
    """
    aside = path.with_name(f".{os.getpid()}.{path.name}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield aside
            if durable:
                with aside.open("rb") as stream:
                    os.fsync(stream.fileno())
            aside.replace(path)
            if durable:
                _sync_folder(path.parent)
        finally:
            aside.unlink(missing_ok=True)
    except OSError as error:
        raise FacedetError(f"{path} cannot be written: {error.strerror or error}") from error


def replace_json(path: Path, content: Mapping[str, Any]) -> None:
    """Writes a JSON object, see `replacing`."""
    with replacing(path) as aside:
        aside.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


@contextmanager
def replacing_table(path: Path, errors: str = "strict") -> Iterator[Any]:
    """A `csv.writer` whose file takes the place of `path` at the end; see `replacing`.

    `errors` says what happens to names with bytes that are no letters, as for `open`.
    """
    with (
        replacing(path) as aside,
        aside.open("w", newline="", encoding="utf-8", errors=errors) as stream,
    ):
        yield csv.writer(stream)


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """A folder next to `path`, which must be absent or empty, that takes its place at the end.

    Where the block raises, or the disk is full, nothing is left. Parent folders are made.

    Raises:
        FacedetError: `path` holds something, or cannot be written; says why.
    """
    path = Path(os.path.abspath(path))  # "." has no name of its own
    aside = path.parent / f".{path.name}.unfinished-{os.getpid()}-{secrets.token_hex(4)}"
    try:
        if path.exists() and (not path.is_dir() or any(path.iterdir())):
            raise FacedetError(f"{path}: is not empty; remove it or choose another folder")
        aside.mkdir(parents=True)
        yield aside
        if path.exists():
            path.rmdir()
        aside.rename(path)
    except (OSError, UnicodeEncodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise FacedetError(f"{path}: cannot be written ({reason})") from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)


@contextmanager
def locked(path: Path, timeout: float = 1.0) -> Iterator[bool]:
    """Holds a lock file while the block runs; that of a killed process is free at once.

    Args:
        path: the lock file; parent folders are made.
        timeout: s to wait for it. Above 0, since `is_locked` takes it for a moment.

    Yields:
        Whether the lock is ours; False: another process holds it, and the block runs without.

    Raises:
        FacedetError: the file cannot be made.
    """
    lock = FileLock(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=timeout, poll_interval=0.05)
    except Timeout:
        yield False
        return
    except OSError as error:
        raise FacedetError(f"{path} cannot be made: {error.strerror or error}") from error
    try:
        yield True
    finally:
        lock.release()


def is_locked(path: Path) -> bool:
    """Whether a living process holds the lock file; False for one that cannot be opened."""
    with suppress(FacedetError):
        if path.exists():
            with locked(path, timeout=0) as is_ours:
                return not is_ours
    return False


def _sync_folder(folder: Path) -> None:
    """Waits until the disk has the folder's entries: without it a power cut undoes a rename."""
    if os.name == "nt":  # opens no folders
        return
    number = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
