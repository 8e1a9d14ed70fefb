"""Where the files of people's own data lie: annotations and pictures of a split, by its name.

A split's name may be spelt as in `SPELLINGS`, also as a part of a file's name ("train2017",
"faces-train"). Data without splits is one split of the name `UNSPLIT`.
"""

import os
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
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


def spellings(split: str) -> tuple[str, ...]:
    """How a split may be called."""
    return SPELLINGS.get(split, (split,))


def splits_by(is_there: Callable[[str], object]) -> list[str]:
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
    inner, outer = _files(root / "annotations", suffix), _files(root, suffix)
    if split == UNSPLIT:
        groups = [inner, [path for path in outer if path.stem in _UNSPLIT_STEMS]]
    else:
        groups = [
            [one for one in near if _splits_in(one.stem) == {split}] for near in (inner, outer)
        ]
        groups += [_files(root / word, suffix) for word in spellings(split)]
    group = next(filter(None, groups), [])
    meant = [path for path in group if path.name.startswith(("instances", "_annotations"))] or group
    if len(meant) > 1:
        names = ", ".join(path.name for path in meant[:3])
        raise FacedetError(
            f"{meant[0].parent}: {len(meant)} files may hold the annotations of {split} "
            f"({names}); leave one of them there"
        )
    return meant[0] if meant else None


def describe_places(root: Path, split: str, suffix: str) -> str:
    """Where `find_annotations` looks, and what there is of other names, for a message."""
    text = f"annotations/*{split}*{suffix}, *{split}*{suffix} and {split}/*{suffix}"
    others = [path.name for path in _files(root, suffix)]
    return f"{text} (there is {', '.join(others[:3])})" if others else text


def _files(folder: Path, suffix: str) -> list[Path]:
    """The files of a suffix in a folder itself."""
    paths = (path for path in folder.glob("[!.]*") if path.suffix.lower() == suffix)
    return sorted(path for path in paths if path.is_file())


def _splits_in(stem: str) -> set[str]:
    """The splits that a file's name names as whole words: none of "trainval"."""
    words = set(re.findall("[a-z]+", stem.lower()))
    return {split for split, names in SPELLINGS.items() if words & set(names)}


def find_pictures(
    root: Path, split: str, given: Iterable[str]
) -> tuple[Path, list[tuple[str, Path]]]:
    """Finds a split's pictures below the root by the paths that annotations have for them.

    These are often of another machine: the picture whose path ends most like the given one is
    taken. Capital letters, the composition of accents, a space that is written %20 and the suffix
    may differ. Of several pictures, one in a folder of the split's name is taken, or in "images",
    rather than those in folders below it. A given path that leads to a file, from the root on, is
    taken as it is.

    Returns:
        The folder below which most of them lie (ROOT/images/SPLIT where none was found). And for
        each the end of its path, see `clean_path`, and its place; of a missing one in that folder.

    Raises:
        FacedetError: several pictures may be meant.
    """
    known: dict[str, list[str]] = {}
    for file in find_files(root):
        for tail in _tails(file):
            known.setdefault(tail, []).append(file)

    found: list[tuple[str, Path | None]] = []  # the end of the path, and the folder
    for file in given:
        end = next((tail for tail in _tails(file) if tail in known), None)
        if end is None or os.path.isfile(root / file):
            found.append((file, root if os.path.isfile(root / file) else None))
            continue
        parts = _choose(root, split, file, known[end]).split("/")
        cut = len(parts) - end.count("/") - 1
        found.append(("/".join(parts[cut:]), root.joinpath(*parts[:cut])))
    places = Counter(folder for _, folder in found if folder is not None).most_common(1)
    main = places[0][0] if places else root / "images" / split
    return main, [(clean_path(file), (folder or main) / file) for file, folder in found]


def _choose(root: Path, split: str, given: str, files: Sequence[str]) -> str:
    """The file that a given path means, of those whose paths end alike; see `find_pictures`."""
    names = spellings(split)

    def rank(file: str) -> tuple[bool, int, bool]:
        folders, _, own = file.rpartition("/")
        words = folders.casefold().split("/")
        # "train" itself comes before "train2017" and "train_crops".
        of_split = max((word in names) + word.startswith(names) for word in words)
        return own == given.rpartition("/")[2], of_split, "images" in words

    best = max(map(rank, files))
    meant = [file for file in files if rank(file) == best]
    outer = min(meant, key=lambda file: file.count("/"))
    above = outer.rpartition("/")[0]
    if above and not all(file.startswith(f"{above}/") for file in meant):
        raise FacedetError(
            f"{root}: {given} of {split} may be {' or '.join(meant[:3])}; name its folder in the "
            "annotations, or leave one of them there"
        )
    return outer


def _tails(file: str) -> list[str]:
    """The ends of a path without suffix, in the spelling in which they are compared."""
    stem, suffix = os.path.splitext(file)
    stem = stem if suffix.lower() in PICTURE_SUFFIXES else file
    parts = unicodedata.normalize("NFC", unquote(stem)).casefold().split("/")
    return ["/".join(parts[at:]) for at in range(len(parts))]


def find_files(folder: Path, suffixes: frozenset[str] = PICTURE_SUFFIXES) -> list[str]:
    """Paths below a folder, sorted, of the files with these suffixes; no hidden ones.

    Links to folders are followed, but for those that lead back.
    """
    found: list[str] = []

    def search(place: str, prefix: str, above: frozenset[str]) -> None:
        real = os.path.realpath(place)
        if real in above or not os.path.isdir(place):
            return
        for entry in os.scandir(place):
            if entry.is_dir() and not entry.name.startswith("."):
                search(entry.path, f"{prefix}{entry.name}/", above | {real})
            elif os.path.splitext(entry.name)[1].lower() in suffixes and entry.name[0] != ".":
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
    while os.path.splitext(image)[1].lower() in PICTURE_SUFFIXES:
        image = stem_of(image)
    return f"{folders.replace('/', '--') or split}/{image}"
