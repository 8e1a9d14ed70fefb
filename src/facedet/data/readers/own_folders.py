"""Where the files of people's own data lie: annotations and pictures of a split, by its name.

A split's name may be spelt as in `SPELLINGS`, also as a part of a file's name ("train2017",
"faces-train"). Data without splits is one split of the name `UNSPLIT`.
"""

import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path

from facedet.data.images import PICTURE_SUFFIXES
from facedet.errors import FacedetError

SPELLINGS = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation"),
    "test": ("test", "testing"),
}
UNSPLIT = "all"
# Where nothing names a split, only these names in the root are taken for annotations.
_UNSPLIT_STEMS = ("annotations", "_annotations", "_annotations.coco", "instances", "boxes", "faces")
_SAMPLE = 32  # pictures looked for in each folder that may hold them


def spellings(split: str) -> tuple[str, ...]:
    """How a split may be called."""
    return SPELLINGS.get(split, (split,))


def splits_by(is_there: Callable[[str], bool]) -> list[str]:
    """The splits that are there; `UNSPLIT` where that is all there is."""
    found = [split for split in SPELLINGS if is_there(split)]
    return found or ([UNSPLIT] if is_there(UNSPLIT) else [])


def find_annotations(root: Path, split: str, suffix: str) -> Path | None:
    """The one file of a split's annotations; None: there is none.

    Looked for are ROOT/annotations/*SPLIT*.json, ROOT/*SPLIT*.json and ROOT/SPLIT/*.json, in this
    order (here for the suffix ".json"); of several in one folder that whose name begins with
    "instances" or "_annotations" is taken.

    Raises:
        FacedetError: several files may be meant.
    """
    if split == UNSPLIT:
        named = [root / f"{stem}{suffix}" for stem in _UNSPLIT_STEMS]
        groups = [_files(root / "annotations", suffix), [path for path in named if path.is_file()]]
    else:
        groups = [
            [path for path in _files(folder, suffix) if _splits_in(path.stem) == {split}]
            for folder in (root / "annotations", root)
        ]
        groups += [_files(root / word, suffix) for word in spellings(split)]
    for group in groups:
        main = [path for path in group if path.name.startswith(("instances", "_annotations"))]
        meant = main or group
        if len(meant) == 1:
            return meant[0]
        if meant:
            names = ", ".join(path.name for path in meant[:3])
            raise FacedetError(
                f"{meant[0].parent}: {len(meant)} files may hold the annotations of {split} "
                f"({names}); leave one of them there"
            )
    return None


def require_annotations(root: Path, split: str, suffix: str) -> Path:
    """The file that `find_annotations` finds.

    Raises:
        FacedetError: there is none, or several may be meant.
    """
    found = find_annotations(root, split, suffix)
    if found is None:
        raise FacedetError(
            f"{root}: no annotations of {split}; looked for annotations/*{split}*{suffix}, "
            f"*{split}*{suffix} and {split}/*{suffix}"
        )
    return found


def find_picture_folder(root: Path, split: str, source: Path, files: Sequence[str]) -> Path:
    """The folder below which most of the pictures lie.

    Args:
        root: the data set's folder.
        split: the split's name.
        source: the annotation file; the last word of its name may name the folder, as in COCO.
        files: paths of the pictures below the folder looked for.

    Returns:
        ROOT/images/SPLIT, ROOT/SPLIT/images, ROOT/SPLIT, ROOT/images, the annotations' own folder
        or ROOT; the first of them where no picture is in any.
    """
    words = dict.fromkeys([re.split(r"[_\-. ]", source.stem)[-1], *spellings(split)])
    folders = [
        *(root / "images" / word for word in words),
        *(root / word / "images" for word in words),
        *(root / word for word in words),
        *(root / "images", source.parent, root),
    ]
    sample = files[:: max(1, len(files) // _SAMPLE)]

    def hits(folder: Path) -> int:
        if not folder.is_dir():
            return -1
        return sum(os.path.isfile(os.path.join(folder, file)) for file in sample)

    best = max(folders, key=hits)
    return best if hits(best) > 0 else root / "images" / split


def find_files(folder: Path, suffixes: frozenset[str] = PICTURE_SUFFIXES) -> list[str]:
    """Paths below a folder, sorted, of the files with these suffixes; hidden ones are passed over.

    Links to folders are not followed.
    """
    found = []
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        inner = os.path.relpath(place, folder).replace(os.sep, "/")
        prefix = "" if inner == "." else f"{inner}/"
        for name in names:
            if os.path.splitext(name)[1].lower() in suffixes and not name.startswith("."):
                found.append(f"{prefix}{name}")
    return sorted(found)


def _files(folder: Path, suffix: str) -> list[Path]:
    """The files of a suffix in a folder itself."""
    if not folder.is_dir():
        return []
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() == suffix)
    return [path for path in paths if path.is_file() and not path.name.startswith(".")]


def _splits_in(stem: str) -> set[str]:
    """The splits that a file's name names as whole words: none of "trainval"."""
    words = set(re.findall("[a-z]+", stem.lower()))
    return {split for split, names in SPELLINGS.items() if words & set(names)}
