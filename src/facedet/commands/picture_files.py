"""Which pictures `facedet predict` reads, and under which names it draws them."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from facedet.data.images import PICTURE_SUFFIXES
from facedet.plots import is_drawn


class Inputs(NamedTuple):
    """What the words of a command line lead to."""

    pictures: list[Path]  # each once, however often and by whatever path it was named
    failures: list[str]  # what is wrong with the words themselves
    others: int  # files in the folders that are hidden or no pictures by their suffix
    drawn: int  # pictures in the folders that facedet drew: an earlier run's output


def find_pictures(inputs: Sequence[Path]) -> Inputs:
    """The pictures that files and folders (searched through) name.

    A file is taken whatever it is, so that what is wrong with it can be said; in folders the
    suffix decides.
    """
    pictures: dict[Path, Path] = {}
    failures = []
    others, drawn = set(), set()
    for path in inputs:
        if not path.is_dir():
            if path.exists():
                pictures.setdefault(path.resolve(), path)
            else:
                failures.append(f"{path}: no such file or folder")
            continue
        found = False
        for file in sorted(one for one in path.rglob("*") if not one.is_dir()):
            if file.suffix.lower() not in PICTURE_SUFFIXES or file.name.startswith("."):
                others.add(file.resolve())
            elif is_drawn(file):
                drawn.add(file.resolve())
            else:
                pictures.setdefault(file.resolve(), file)
                found = True
        if not found:
            failures.append(f"{path}: no pictures in this folder")
    return Inputs(list(pictures.values()), failures, len(others), len(drawn))


def names_to_draw(pictures: Sequence[Path], output: Path) -> dict[Path, str]:
    """By picture, the name under which it is drawn in the folder `output`.

    Two `a.jpg` of different folders stay apart, and nothing that facedet did not draw is replaced.
    """
    names: dict[Path, str] = {}
    used: set[str] = set()
    for path in pictures:
        name, count = f"{path.stem}_faces.jpg", 2
        while name.lower() in used or _is_foreign(output / name):
            name, count = f"{path.stem}_{count}_faces.jpg", count + 1
        used.add(name.lower())
        names[path] = name
    return names


def _is_foreign(path: Path) -> bool:
    return path.exists() and not is_drawn(path)
