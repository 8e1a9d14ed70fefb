"""Text files, and names of pictures in them."""

import codecs
import os
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

from facedet.errors import FacedetError

# A text file of 750 boxes takes 25 kB; a zip entry that unpacks to more than this is no result.
_MAX_ENTRY_BYTES = 64 * 2**20

_PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png")

Text = tuple[str, str, str]  # source for messages, name, text


def read_text(path: Path) -> str:
    """A file's text; raises `FacedetError` where it cannot be read."""
    try:
        return decode(path.read_bytes())
    except (OSError, UnicodeDecodeError) as error:
        raise FacedetError(f"{path} cannot be read: {error}") from error


def decode(data: bytes) -> str:
    """The text of a file in UTF-8 or, where a byte order mark says so, UTF-16.

    Raises:
        UnicodeDecodeError: it is in another encoding.
    """
    is_utf16 = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    return data.decode("utf-16" if is_utf16 else "utf-8-sig")


def zip_texts(path: Path, rename: Callable[[list[str]], list[str]], nothing: str) -> Iterator[Text]:
    """Yields (source, name, text) of a zip's text files, read in memory only.

    The `__MACOSX` entries that macOS adds are no results and are passed over.

    Args:
        path: the zip.
        rename: the entries' paths, with slashes, to the names to yield; may refuse them.
        nothing: what the zip lacks where it holds no text file.

    Raises:
        FacedetError: there is no text file, or one cannot be read.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            entries = [
                info
                for info in archive.infolist()
                if info.filename.endswith(".txt") and not info.filename.startswith("__MACOSX/")
            ]
            if not entries:
                raise FacedetError(f"{path} holds {nothing}")
            # Some Windows tools store backslashes, which zipfile keeps as part of the name.
            names = rename([entry.filename.replace("\\", "/") for entry in entries])
            for entry, name in zip(entries, names, strict=True):
                source = f"{path}: {entry.filename}"
                if entry.file_size > _MAX_ENTRY_BYTES:
                    raise FacedetError(f"{source} unpacks to {entry.file_size:,} bytes")
                yield source, name, decode(archive.read(entry))
    # An encrypted entry is a RuntimeError, an unknown compression a NotImplementedError.
    except (
        zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, UnicodeDecodeError,
    ) as error:  # fmt: skip
        raise FacedetError(f"{path} cannot be read as a zip: {error}") from error


def without_suffix(name: str) -> str:
    """An image's name without .jpg, .jpeg or .png; other dots belong to the name."""
    stem, suffix = os.path.splitext(name)
    return stem if suffix.lower() in _PICTURE_SUFFIXES else name
