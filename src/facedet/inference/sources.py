"""Where pictures come from: files, folders, patterns, list files, URLs and standard input."""

import glob
import io
import os
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from http.client import HTTPException
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from facedet.data.images import PICTURE_SUFFIXES, decode_image, read_image
from facedet.data.pixels import LoadedImage
from facedet.errors import FacedetError
from facedet.plots import is_drawn

_URL_BYTES = 100_000_000
_URL_SECONDS = 30.0
_CHUNK_BYTES = 1 << 16
_STEM_BYTES = 200  # of 255: a suffix and a temporary name must fit
STDIN = "-"


class Source(NamedTuple):
    """One picture that can be read."""

    name: str  # as it was named
    stem: str  # for files made of it
    path: Path | None  # of a file

    def read(self) -> LoadedImage:
        """Decodes the picture.

        Raises:
            FacedetError: it cannot be read; names it.
        """
        if self.path is not None:
            return read_image(self.path)
        data = sys.stdin.buffer.read() if self.name == STDIN else _fetch(self.name)
        if not data:
            raise FacedetError(f"{self.name}: nothing arrived")
        return decode_image(io.BytesIO(data), self.name)


class Inputs(NamedTuple):
    """What the words of a command line lead to."""

    sources: list[Source]  # each once, however often it was named
    failures: list[str]  # what is wrong with the words themselves
    others: int  # files in the folders that are hidden or no pictures by their suffix
    drawn: int  # pictures in the folders that facedet drew: an earlier run's output


def find_sources(words: Sequence[str]) -> Inputs:
    """The pictures that words name.

    A word is a file, a folder (searched through, linked folders too), a pattern such as
    `dir/*.jpg`, a text file (`.txt`) with a word per line, an http or https URL, or `-` for
    standard input. A file that is named is taken whatever it is, so that what is wrong with it can
    be said; in folders the suffix decides.
    """
    sources: dict[str, Source] = {}
    failures: list[str] = []
    others: set[str] = set()
    drawn: set[str] = set()

    def add_file(path: Path) -> None:
        # A link is a picture of its own, but a folder may be reached in two ways.
        key = os.path.join(os.path.realpath(path.parent), path.name)
        sources.setdefault(key, Source(str(path), path.stem, path))

    def add_folder(folder: Path) -> None:
        before = len(sources)
        for file in _files_below(folder):
            if file.suffix.lower() not in PICTURE_SUFFIXES or file.name.startswith("."):
                others.add(os.path.realpath(file))
            elif file.is_file() and is_drawn(file):
                drawn.add(os.path.realpath(file))
            else:
                add_file(file)
        if len(sources) == before:
            failures.append(f"{folder}: no pictures in this folder")

    def add(word: str, is_listed: bool = False) -> None:
        path = Path(word).expanduser()
        if word == STDIN:
            sources.setdefault(word, Source(word, "stdin", None))
        elif "://" in word:
            _check_scheme(word, failures) and sources.setdefault(word, _url_source(word))
        elif path.is_dir():
            add_folder(path)
        elif path.suffix.lower() == ".txt" and path.is_file() and not is_listed:
            for line in _read_list(path, failures):
                add(line, is_listed=True)
        elif os.path.lexists(path):
            add_file(path)
        elif glob.has_magic(word):
            _add_all(sorted(glob.glob(str(path), recursive=True)), word, add, failures)
        else:
            failures.append(f"{word}: no such file or folder")

    for word in words:
        add(word)
    return Inputs(list(sources.values()), failures, len(others), len(drawn))


def unique_stems(sources: Sequence[Source], output: Path) -> dict[str, str]:
    """By a source's name, the stem of the files that are made of it in the folder `output`.

    Two `a.jpg` of different folders stay apart, also on a disk that takes `A` for `a`; nothing
    that facedet did not draw is replaced; and a name that is as long as the disk allows is cut.
    """
    stems: dict[str, str] = {}
    used: set[str] = set()
    for source in sources:
        short = os.fsencode(source.stem)[:_STEM_BYTES].decode(errors="ignore") or "picture"
        stem, number = short, 2
        while stem.lower() in used or _is_foreign(output / f"{stem}_faces.jpg"):
            stem, number = f"{short}_{number}", number + 1
        used.add(stem.lower())
        stems[source.name] = stem
    return stems


def _is_foreign(path: Path) -> bool:
    return path.exists() and not (path.is_file() and is_drawn(path))


def _add_all(
    found: Sequence[str], pattern: str, add: Callable[[str], None], failures: list[str]
) -> None:
    if not found:
        failures.append(f"{pattern}: matches no file")
    for one in found:
        add(one)


def _files_below(folder: Path) -> Iterator[Path]:
    """All files below a folder in the order of their paths; each folder once, links followed."""
    seen: set[str] = set()
    files = []
    for root, folders, names in os.walk(folder, followlinks=True):
        real = os.path.realpath(root)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        files += [Path(root, name) for name in names]
    yield from sorted(files)


def _read_list(path: Path, failures: list[str]) -> list[str]:
    """The words of a list file; a relative one is below the current folder, else below the file."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        failures.append(f"{path}: not a readable list of pictures ({error})")
        return []
    words = [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]
    if not words:
        failures.append(f"{path}: lists no pictures")
    is_near = [os.path.lexists(path.parent / word) and not os.path.lexists(word) for word in words]
    return [
        str(path.parent / word) if near else word for word, near in zip(words, is_near, strict=True)
    ]


def _check_scheme(url: str, failures: list[str]) -> bool:
    if url.startswith(("http://", "https://")):
        return True
    failures.append(f"{url}: only http and https URLs are fetched")
    return False


def _url_source(url: str) -> Source:
    parts = urlsplit(url)
    stem = Path(unquote(parts.path)).stem.replace("/", "_") or parts.hostname or "picture"
    return Source(url, stem, None)


def _fetch(url: str) -> bytes:
    """What the URL answers, within the limits of size and time."""
    end = time.monotonic() + _URL_SECONDS
    data = bytearray()
    request = urllib.request.Request(url, headers={"User-Agent": "facedet"})
    try:
        with _opener().open(request, timeout=_URL_SECONDS) as answer:
            while chunk := answer.read(_CHUNK_BYTES):
                data += chunk
                if len(data) > _URL_BYTES:
                    raise FacedetError(f"{url}: more than {_URL_BYTES / 1e6:.0f} MB")
                if time.monotonic() > end:
                    raise FacedetError(f"{url}: took longer than {_URL_SECONDS:.0f} s")
    except (OSError, HTTPException, ValueError) as error:
        raise FacedetError(
            f"{url} cannot be fetched ({getattr(error, 'reason', error)})"
        ) from error
    return bytes(data)


def _opener() -> urllib.request.OpenerDirector:
    """Speaks http and https only: a redirect leads to no file and no other scheme."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler, urllib.request.HTTPHandler, urllib.request.HTTPSHandler,
        urllib.request.HTTPRedirectHandler, urllib.request.HTTPErrorProcessor,
        urllib.request.HTTPDefaultErrorHandler, urllib.request.UnknownHandler,
    ):  # fmt: skip
        opener.add_handler(handler())
    return opener
