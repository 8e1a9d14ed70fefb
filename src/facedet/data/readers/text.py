"""The text files of a result: one file, those of a folder, or those of a zip."""

import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

from facedet.errors import FacedetError
from facedet.files import replacing

# A text file of 750 boxes takes 25 kB; a zip entry that unpacks to more than this is no result.
_MAX_ENTRY_BYTES = 64 * 2**20

Text = tuple[str, str, str]


def read_text(path: Path) -> str:
    """A file's text; raises `FacedetError` where it cannot be read."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise FacedetError(f"{path} cannot be read: {error}") from error


def result_texts(path: Path, wanted: str) -> Iterator[Text]:
    """Yields (source, name, text) of a .txt file, of those in a folder or of those in a zip.

    Args:
        path: the file, folder or zip; folders in it are searched.
        wanted: what the files hold, for the message.

    Raises:
        FacedetError: there is no such file, or one cannot be read.
    """
    if path.is_dir():
        files = sorted(path.rglob("*.txt"))
        if not files:
            raise FacedetError(f"{path} holds no .txt of {wanted}")
        for file in files:
            yield str(file), file.relative_to(path).as_posix(), read_text(file)
    elif not path.is_file():
        raise FacedetError(f"{path} does not exist: name a file, a folder or a zip of {wanted}")
    elif zipfile.is_zipfile(path):
        yield from zip_texts(path, list, f"no .txt of {wanted}")
    else:
        yield str(path), path.name, read_text(path)


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
                yield source, name, archive.read(entry).decode("utf-8")
    # An encrypted entry is a RuntimeError, an unknown compression a NotImplementedError.
    except (
        zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, UnicodeDecodeError,
    ) as error:  # fmt: skip
        raise FacedetError(f"{path} cannot be read as a zip: {error}") from error


class GatheredLines:
    """A text file of all pictures' detections, written when all are there.

    Args:
        folder: gets `detections.txt`.

    Raises:
        FacedetError: it cannot be written.
    """

    def __init__(self, folder: str | Path) -> None:
        self.path = Path(folder) / "detections.txt"
        self.lines: list[str] = []
        self.close()  # what cannot be written is known before the work begins

    def has(self, name: str) -> bool:
        """No: the file is written at the end, for all pictures."""
        return False

    def close(self) -> None:
        """Writes the file; raises `FacedetError` where it cannot."""
        with replacing(self.path) as aside:
            aside.write_text("".join(f"{line}\n" for line in self.lines), encoding="utf-8")
