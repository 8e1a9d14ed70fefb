"""Where the files of people's own data lie: annotations and pictures of a split, by its name.

A split's name may be spelt as in `SPELLINGS`, also as a part of a file's name ("train2017",
"faces-train"). Data without splits is one split of the name `UNSPLIT`.
"""

import os
import re
import unicodedata
from collections.abc import Callable, Sequence
from pathlib import Path
from urllib.parse import unquote

from facedet.data.images import PICTURE_SUFFIXES
from facedet.errors import FacedetError

SPELLINGS = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation"),
    "test": ("test", "testing"),
}
UNSPLIT = "all"
# Where nothing names a split, only these names in the root are taken for annotations.
_UNSPLIT_STEMS = (
    "annotations", "_annotations", "_annotations.coco", "instances", "instances_default", "result",
    "labels", "boxes", "faces",
)  # fmt: skip
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


def describe_places(root: Path, split: str, suffix: str) -> str:
    """Where `find_annotations` looks, and what there is of other names, for a message."""
    text = f"annotations/*{split}*{suffix}, *{split}*{suffix} and {split}/*{suffix}"
    others = [path.name for path in _files(root, suffix)]
    return f"{text} (there is {', '.join(others[:3])})" if others else text


def find_pictures(
    root: Path, split: str, source: Path, files: Sequence[str]
) -> tuple[Path, list[str]]:
    """The folder below which most of the pictures lie, and where in it each is.

    Annotations often hold paths of another machine, such as those of Label Studio; of these,
    leading folders are dropped until pictures are found.

    Args:
        root: the data set's folder.
        split: the split's name.
        source: the annotation file; the last word of its name may name the folder, as in COCO.
        files: paths of the pictures, with "/".

    Returns:
        ROOT/images/SPLIT, ROOT/SPLIT/images, ROOT/SPLIT, ROOT/images, the annotations' own folder
        or ROOT; the first of them where no picture is in any. And `match_files` of it.
    """
    words = dict.fromkeys([re.split(r"[_\-. ]", source.stem)[-1], *spellings(split)])
    folders = [
        *(root / "images" / word for word in words),
        *(root / word / "images" for word in words),
        *(root / word for word in words),
        *(root / "images", source.parent, root),
    ]
    sample = files[:: max(1, len(files) // _SAMPLE)]
    depth = max((file.count("/") for file in sample), default=0)

    def hits(choice: tuple[Path, int]) -> int:
        folder, dropped = choice
        if not folder.is_dir():
            return -1
        paths = [os.path.join(folder, drop_folders(file, dropped)) for file in sample]
        return sum(map(os.path.isfile, paths))

    choices = [(folder, dropped) for dropped in range(depth + 1) for folder in folders]
    folder, dropped = max(choices, key=hits)
    if hits((folder, dropped)) <= 0:
        bare = [drop_folders(file, depth) for file in sample]
        other = next((place for place in folders if match_files(place, bare) != bare), None)
        folder, dropped = (other, depth) if other else (root / "images" / split, 0)
    return folder, match_files(folder, [drop_folders(file, dropped) for file in files])


def drop_folders(file: str, count: int) -> str:
    """A path without its first folders; 0: as it is, and the name always stays."""
    return "/".join(file.split("/")[min(count, file.count("/")) :])


def match_files(folder: Path, files: Sequence[str]) -> list[str]:
    """The paths below a folder as the disk has them, for those that are there under another name.

    Names may differ in capital letters, in how accents are composed, in a space that is written
    %20, and in the suffix.
    """
    missing = [file for file in files if not os.path.isfile(os.path.join(folder, file))]
    if not missing:
        return list(files)
    known: dict[str, list[str]] = {}
    for file in find_files(folder):
        for key in (_key(file), _key(stem_of(file))):
            known.setdefault(key, []).append(file)
    renamed, listed = {}, set(files)
    for file in missing:
        alike = known.get(_key(file)) or known.get(_key(stem_of(file))) or []
        # A picture that is listed itself is no other one.
        if len(alike) == 1 and alike[0] not in listed:
            renamed[file] = alike[0]
    return [renamed.get(file, file) for file in files]


def _key(file: str) -> str:
    return unicodedata.normalize("NFC", unquote(file)).casefold()


def find_files(folder: Path, suffixes: frozenset[str] = PICTURE_SUFFIXES) -> list[str]:
    """Paths below a folder, sorted, of the files with these suffixes; hidden ones are passed over.

    Links to folders are followed, but for those that lead back.
    """
    found: list[str] = []

    def search(place: str, prefix: str, above: frozenset[str]) -> None:
        real = os.path.realpath(place)
        if real in above:
            return
        try:
            entries = list(os.scandir(place))
        except OSError:  # not there, or not to be read
            return
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if entry.is_dir():
                search(entry.path, f"{prefix}{entry.name}/", above | {real})
            elif os.path.splitext(entry.name)[1].lower() in suffixes:
                found.append(f"{prefix}{entry.name}")

    search(str(folder), "", frozenset())
    return sorted(found)


def clean_path(text: str) -> str:
    """A picture's path as annotations give it, as one that stays below a folder.

    Of an absolute path, or of one that climbs, the last folder and the name are left.
    """
    given = text.replace("\\", "/").split("/")
    is_foreign = given[0] == "" or given[0].endswith(":") or ".." in given
    parts = [part for part in given if part not in ("", ".", "..")]
    return "/".join(parts[-2:] if is_foreign else parts)


def stem_of(file: str) -> str:
    """A path below a folder without its suffix, by which picture and annotation find each other."""
    return os.path.splitext(file)[0]


def name_of(file: str, split: str) -> str:
    """The name EVENT/IMAGE of a picture, which detection files need.

    Folders are joined by "--"; a picture in none has its split for an event.
    """
    folders, _, image = file.rpartition("/")
    stem, suffix = os.path.splitext(image)
    while suffix.lower() in PICTURE_SUFFIXES:
        image = stem
        stem, suffix = os.path.splitext(image)
    return f"{folders.replace('/', '--') or split}/{image}"


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
