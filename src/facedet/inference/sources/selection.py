"""Which words lead to which pictures, and what files made of them are called."""

import glob
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from facedet.data.images import PICTURE_SUFFIXES
from facedet.files import expand_home
from facedet.inference.sources.frames import Source
from facedet.inference.sources.live import CameraSource
from facedet.inference.sources.pictures import STDIN, PictureSource
from facedet.inference.sources.videos import (
    STREAM_SCHEMES,
    VIDEO_OUTPUTS,
    VIDEO_SUFFIXES,
    VideoSource,
    is_drawn_video,
)
from facedet.plots import is_drawn

# In folders, a `.ts` is most often no video but a program.
_FOLDER_SUFFIXES = PICTURE_SUFFIXES | VIDEO_SUFFIXES - {".ts"}
_STEM_BYTES = 200  # of 255: a suffix and a temporary name must fit


class Inputs(NamedTuple):
    """What the words of a command line lead to."""

    sources: list[Source]  # each once, however often it was named
    failures: list[str]  # what is wrong with the words themselves
    others: int  # files in the folders that are hidden, or neither picture nor video
    drawn: int  # pictures and videos in the folders that facedet drew: an earlier run's output


def find_sources(words: Sequence[str]) -> Inputs:
    """The pictures, videos, cameras and streams that words name.

    A word is a file, a folder (searched through, linked folders too), a pattern such as
    `dir/*.jpg`, a text file (`.txt`) with a word per line, an http, https, rtsp, rtmp, udp or srt
    URL, the number of a camera, or `-` for a picture from standard input. A file that is named is
    taken whatever it is, so that what is wrong with it can be said; in folders the suffix decides.
    """
    sources: dict[str, Source] = {}
    failures: list[str] = []
    others: set[str] = set()
    drawn: set[str] = set()

    def add_file(path: Path) -> None:
        # A link is a picture of its own, but a folder may be reached in two ways.
        key = os.path.join(os.path.realpath(path.parent), path.name)
        kind = VideoSource if path.suffix.lower() in VIDEO_SUFFIXES else PictureSource
        sources.setdefault(key, kind(str(path), path.stem, path))

    def add_folder(folder: Path) -> None:
        before = len(sources)
        for file in _files_below(folder):
            if file.suffix.lower() not in _FOLDER_SUFFIXES or file.name.startswith("."):
                others.add(os.path.realpath(file))
            elif _is_own(file):
                drawn.add(os.path.realpath(file))
            else:
                add_file(file)
        if len(sources) == before:
            failures.append(f"{folder}: no pictures or videos in this folder")

    def add(word: str, is_listed: bool = False) -> None:
        path = expand_home(word)
        if word == STDIN:
            sources.setdefault(word, PictureSource(word, "stdin", None))
        elif "://" in word:
            try:
                sources.setdefault(word, _url_source(word))
            except ValueError as error:  # of brackets, say
                failures.append(f"{word}: {error}")
        elif word.isdecimal() and not path.exists():
            index = int(word)
            sources.setdefault(word, CameraSource(f"camera {index}", f"camera{index}", None, index))
        elif path.is_dir():
            add_folder(path)
        elif path.suffix.lower() == ".txt" and path.is_file() and not is_listed:
            for line in _read_list(path, failures):
                add(line, is_listed=True)
        elif os.path.lexists(path):
            add_file(path)
        elif glob.has_magic(word):
            for one in _matching(word, path, failures):
                add(one)
        else:
            failures.append(f"{word}: no such file or folder")

    for word in words:
        add(word)
    return Inputs(list(sources.values()), failures, len(others), len(drawn))


def unique_stems(sources: Sequence[Source], output: Path, ending: str = "faces") -> dict[str, str]:
    """By a source's name, the stem of its `STEM_ENDING.jpg`, or video, in the folder `output`.

    Two `a.jpg` of different folders stay apart, also on a disk that takes `A` for `a`; no source,
    and nothing that facedet did not write, is replaced; and a name that is as long as the disk
    allows is cut.
    """
    stems: dict[str, str] = {}
    used: set[str] = set()
    films = {one.stem.lower() for one in sources if not isinstance(one, PictureSource)}
    taken = {os.path.realpath(source.path) for source in sources if source.path is not None}

    def is_free(path: Path) -> bool:
        return not path.exists() or (_is_own(path) and os.path.realpath(path) not in taken)

    def is_frame(stem: str) -> bool:
        """Whether files of a video's or camera's frame are called so."""
        film, _, number = stem.lower().rpartition("_")
        return film in films and number.isdecimal() and len(number) >= 6

    for source in sources:
        short = os.fsencode(source.stem)[:_STEM_BYTES].decode(errors="ignore") or "picture"
        stem, number = short, 2
        while (
            stem.lower() in used
            or is_frame(stem)
            or not all(
                is_free(output / f"{stem}_{ending}{suffix}") for suffix in (".jpg", *VIDEO_OUTPUTS)
            )
        ):
            stem, number = f"{short}_{number}", number + 1
        used.add(stem.lower())
        stems[source.name] = stem
    return stems


def _is_own(path: Path) -> bool:
    """Whether facedet drew this picture or video."""
    is_video = path.suffix.lower() in VIDEO_SUFFIXES
    return path.is_file() and (is_drawn_video(path) if is_video else is_drawn(path))


def _matching(pattern: str, path: Path, failures: list[str]) -> list[str]:
    found = sorted(glob.glob(str(path), recursive=True))
    if not found:
        failures.append(f"{pattern}: matches no file")
    return found


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


def _url_source(url: str) -> Source:
    if not url.startswith(("http://", "https://", *STREAM_SCHEMES)):
        raise ValueError("expected an http, https, rtsp, rtmp, udp or srt URL")
    parts = urlsplit(url)
    path = Path(unquote(parts.path))
    stem = path.stem.replace("/", "_") or parts.hostname or "picture"
    if url.startswith(STREAM_SCHEMES) or path.suffix.lower() in VIDEO_SUFFIXES:
        # A camera's password is no part of a result's name.
        host = parts.netloc.rpartition("@")[2]
        return VideoSource(parts._replace(netloc=host).geturl(), stem, None, url)
    return PictureSource(url, stem, None)
