"""What the experiments need, found in a folder by what it looks like, not by its name."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from facedet.errors import FacedetError

# What each resource is, for whoever lacks it.
TITLES = {
    "wider": "WIDER FACE in its official layout (WIDER_val, wider_face_split, ground_truth)",
    "curves": "the official tools' curves of WIDER FACE val (METHOD/wider_pr_info_*_val.mat)",
    "extd_32": "the authors' released weights EXTD_32.pth",
    "extd_48": "the authors' released weights EXTD_48.pth",
    "extd_64": "the authors' released weights EXTD_64.pth",
    "fddb": "FDDB's ellipses with a result file and the official tool's ROC files of it",
    "fddb_pictures": "FDDB's pictures and ellipses (originalPics, FDDB-folds)",
    "afw": "AFW with the revised annotations (new_annotations_AFW.mat)",
    "pascal": "Pascal Faces with the revised annotations "
    "(Annotations_Face_PASCALLayout_large_fixed.mat)",
    "smallhardface": "weights of SmallHardFace named smallhardface.safetensors "
    "(facedet train experiment=smallhardface)",
}
# By the file that tells a test set.
_FILES = {
    "new_annotations_AFW.mat": "afw",
    "Annotations_Face_PASCALLayout_large_fixed.mat": "pascal",
}
_DEEPEST = 4  # folders below the one given
# Holds ten thousand pictures, and nothing that is looked for.
_SKIPPED = ("images", "originalPics", "WIDER_train", "WIDER_val", "WIDER_test", "node_modules")


def find_resources(folders: Sequence[Path]) -> dict[str, Path]:
    """The resources in `folders` and four levels below, by name; the first of each counts.

    Raises:
        FacedetError: one of `folders` is no folder.
    """
    found: dict[str, Path] = {}
    for folder in folders:
        if not folder.is_dir():
            raise FacedetError(f"{folder} is no folder to look for data in")
        for place, folders_there, files in _walk(folder):
            for name, path in _recognise(place, folders_there, files):
                found.setdefault(name, path)
    return found


def _walk(root: Path) -> Iterator[tuple[Path, list[str], list[str]]]:
    depth = len(root.parts)
    for name, folders, files in os.walk(root):
        place = Path(name)
        folders.sort()
        yield place, list(folders), sorted(files)
        # os.walk goes into what is left in the list.
        is_deepest = len(place.parts) - depth >= _DEEPEST
        folders[:] = [
            one for one in folders if not (is_deepest or one.startswith(".") or one in _SKIPPED)
        ]


def _recognise(place: Path, folders: list[str], files: list[str]) -> Iterator[tuple[str, Path]]:
    """Names and paths of the resources in one folder."""
    if "wider_face_split" in folders:
        yield "wider", place
    if any(file.startswith("wider_pr_info_") and file.endswith("_val.mat") for file in files):
        yield "curves", place.parent
    for file in files:
        stem = file.lower().removesuffix(".pth").removesuffix(".safetensors")
        if stem != file.lower() and stem in TITLES:
            yield stem, place / file
        if file in _FILES:
            yield _FILES[file], place
    if "originalPics" in folders:
        yield "fddb_pictures", place
    if "ellipses.txt" in files and any(file.endswith("DiscROC.txt") for file in files):
        yield "fddb", place
