"""The data and weights that experiments need: how they are found, and told from earlier ones."""

import os
from collections.abc import Mapping, Sequence
from fnmatch import fnmatch
from itertools import product
from pathlib import Path
from typing import NamedTuple

from facedet.errors import FacedetError
from facedet.files import file_sha256
from facedet.weights.released_extd import RELEASED

_MAX_DEPTH = 4  # folders below the one given
# Hold ten thousand pictures, and nothing that is looked for.
_SKIPPED = ("images", "originalPics", "WIDER_train", "WIDER_val", "WIDER_test", "node_modules")


class Resource(NamedTuple):
    """Data or weights that experiments need, and how they are recognised."""

    title: str
    names: Sequence[str]  # patterns, in any case
    level: int = 0  # what has such a name is the resource; 1: the folder it is in, 2: the next
    counted: Sequence[str] = ()  # patterns of the files in it that results depend on

    def contents(self, path: Path) -> str:
        """What tells the resource from an earlier one at the same `path`."""
        if path.is_file():
            return f"sha256 {file_sha256(path)}"
        # All pictures would take minutes to read; their sizes tell what has arrived since.
        files = [file for pattern in self.counted for file in path.glob(pattern) if file.is_file()]
        return f"{len(files):,} files, {sum(file.stat().st_size for file in files):,} bytes"


def is_impostor(path: Path) -> bool:
    """Whether a file has the name of released weights and other contents.

    Only the authors' own files can be told so; their conversions to safetensors differ.
    """
    released = {name.lower(): sha256 for name, sha256 in RELEASED.items()}
    expected = released.get(path.name.lower())
    return expected is not None and file_sha256(path) != expected


def find_resources(folders: Sequence[Path], resources: Mapping[str, Resource]) -> dict[str, Path]:
    """The resources in `folders` and four levels below, by name; the first of each counts.

    A file that is named as released weights and is another one is left out, and a line says so.

    Raises:
        FacedetError: one of `folders` is no folder.
    """
    found: dict[str, Path] = {}
    for root in folders:
        if not root.is_dir():
            raise FacedetError(f"{root}: no such folder to look for data in")
        for name, inner, files in os.walk(root):
            place = Path(name)
            inner.sort()
            for one, (key, resource) in product([*inner, *sorted(files)], resources.items()):
                if not any(fnmatch(one.lower(), pattern.lower()) for pattern in resource.names):
                    continue
                if is_impostor(place / one):
                    print(f"{place / one} is not taken: not the authors' file, by its SHA-256")
                else:
                    found.setdefault(key, (place / one, place, place.parent)[resource.level])
            # os.walk enters what is left in the list.
            is_deepest = len(place.parts) - len(root.parts) >= _MAX_DEPTH
            inner[:] = [
                one for one in inner if not (is_deepest or one.startswith(".") or one in _SKIPPED)
            ]
    return found
