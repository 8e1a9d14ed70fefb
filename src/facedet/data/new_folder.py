"""Folders that are made whole or not at all."""

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from facedet.errors import FacedetError


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """A folder beside `path` that takes its place at the end.

    Where the block raises, or the disk is full, nothing is left.

    Args:
        path: the folder to make; it must be absent or empty. Parent folders are made.

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
