"""Text files of annotations and detections: decoded, and their numbers parsed line by line."""

import codecs
import os
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from facedet.errors import FacedetError

# No picture is wider; in float32, which records hold, larger numbers lose their pixels.
MAX_DISTANCE = 1e6
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
    """The text of a file in UTF-8 or, where a byte order mark says so, UTF-16."""
    is_utf16 = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    return data.decode("utf-16" if is_utf16 else "utf-8-sig")


def zip_texts(path: Path, rename: Callable[[list[str]], list[str]], nothing: str) -> Iterator[Text]:
    """Yields (source, name, text) of a zip's text files, but for macOS's `__MACOSX` entries.

    Args:
        path: the zip, which is read in memory only.
        rename: the entries' paths, with slashes, to the names to yield; may refuse them.
        nothing: what the zip lacks where it holds no text file, for the `FacedetError`.
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


def read_blocks(
    texts: Iterable[Text],
    columns: Sequence[int],
    limit: float = np.inf,
    check_title: Callable[[str, str], str] = lambda title, _: title,
) -> Iterator[tuple[str, np.ndarray, str]]:
    """Yields blocks: a title, its rows float64 [N, columns], and where the title stands.

    In FDDB's annotations and results and WIDER FACE's annotations, a title is followed by a number
    of rows and by the rows. WIDER FACE has a row of zeros below a 0; it is given as a row.

    Args:
        texts: (source, name, text) of files.
        columns: numbers that a row may have; all rows of all texts have as many.
        limit: the largest number allowed, of either sign.
        check_title: called with a title and where it stands; gives what is yielded of it.

    Raises:
        FacedetError: a malformed line; the message names the file and the line.
    """
    for source, _, text in texts:
        lines = text.rstrip().splitlines()
        at = 0
        while at < len(lines):
            place = f"{source}, line {at + 1}"
            if not lines[at].strip():
                at += 1
                continue
            title = check_title(lines[at].strip(), place)
            word = lines[at + 1].strip() if at + 1 < len(lines) else ""
            if not word.isdecimal() or len(word) > 9:  # int() refuses thousands of digits
                raise FacedetError(f"{source}, line {at + 2}: '{word[:80]}' is no number of boxes")
            at, count = at + 2, int(word)
            first = lines[at].split() if at < len(lines) else []
            if count and len(first) in columns:
                columns = (len(first),)
            if count == 0 and len(first) > 3 and set(first) == {"0"}:
                rows, at = np.zeros((1, columns[0])), at + 1
            else:
                rows, at = parse_rows(lines, at, count, columns[0], source, limit), at + count
            yield title, rows, place


def parse_rows(
    lines: Sequence[str], start: int, count: int, columns: int, source: str, limit: float = np.inf
) -> np.ndarray:
    """Numbers [count, columns] float64 of `lines[start : start + count]` of the file `source`.

    Raises:
        FacedetError: a row is missing, or is not as `parse_numbers` demands.
    """
    if start + count > len(lines):
        follow = max(0, len(lines) - start)
        raise FacedetError(
            f"{source}: line {start} promises {count} boxes, but {follow} lines follow"
        )
    rows = [line.split() for line in lines[start : start + count]]
    try:
        values = np.array(rows, dtype=np.float64).reshape(count, columns)
        if are_within(values, limit):
            return values
    except ValueError:
        pass
    # The whole block is parsed at once for speed; only a bad one is searched for its bad line.
    numbered = enumerate(rows, start=start + 1)
    return np.array(
        [parse_numbers(row, (columns,), f"{source}, line {at}", limit) for at, row in numbered]
    )


def parse_numbers(
    words: Sequence[str], counts: Sequence[int], place: str, limit: float = np.inf
) -> list[float]:
    """The numbers of a line.

    Raises:
        FacedetError: at `place`, these are not as many as one of `counts`, or not finite, or one
            is larger than `limit`, of either sign.
    """
    try:
        values = np.array(words, dtype=np.float64)
    except ValueError:
        values = np.zeros(0)
    if len(values) not in counts or not are_within(values, limit):
        expected = f"{' or '.join(map(str, counts))} {describe_numbers(limit)}"
        raise FacedetError(f"{place}: '{' '.join(words)[:80]}' is not {expected}")
    return values.tolist()


def are_within(values: np.ndarray, limit: float) -> bool:
    """Whether all values are finite, and none is larger than `limit`, of either sign."""
    return bool((np.isfinite(values) & (np.abs(values) <= limit)).all())


def describe_numbers(limit: float) -> str:
    """What `are_within` expects, in words."""
    return f"finite numbers up to {limit:,.0f}" if limit < np.inf else "finite numbers"
