"""Files that are written whole or not at all."""

import csv
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from facedet.errors import FacedetError


@contextmanager
def replacing(path: Path, durable: bool = True) -> Iterator[Path]:
    """A temporary path beside `path`, of the same suffix, that takes its place at the end.

    Where the block raises, or the disk is full, `path` is as it was before. Parent folders are
    made.

    Args:
        path: the file to write or replace.
        durable: wait until the disk has it, a few milliseconds; not worth it for one of thousands
            of files that are quickly made again.

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


@contextmanager
def replacing_table(path: Path, errors: str = "strict") -> Iterator[Any]:
    """A `csv.writer` whose file takes the place of `path` at the end; see `replacing`.

    Args:
        path: the CSV file to write or replace.
        errors: what is done about names that hold bytes which are no letters, as for `open`.
    """
    with (
        replacing(path) as aside,
        aside.open("w", newline="", encoding="utf-8", errors=errors) as stream,
    ):
        yield csv.writer(stream)


def _sync_folder(folder: Path) -> None:
    """Waits until the disk has the folder's entries: without it a power cut undoes a rename."""
    if os.name == "nt":  # opens no folders
        return
    number = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
