"""AFW (205 pictures, 473 faces) and Pascal Faces (851, 1,335), as Mathias et al. (2014) have them.

The revised annotations are a struct array `Annotations` with `imgname` and `objects`: a matrix
[G, 4 or more] of x1, y1, x2, y2, where a sixth column says which faces to ignore. The original
ones are text: a line `name x1 y1 x2 y2` per face, with a sixth word that is 1 for a face to ignore;
a name alone is a picture without a face.
"""

from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from facedet.data.readers.mat import load_mat
from facedet.data.readers.selection import find_folder, refuse_training, select
from facedet.data.readers.text import (
    MAX_DISTANCE,
    are_within,
    describe_numbers,
    parse_numbers,
    read_text,
    without_suffix,
)
from facedet.errors import FacedetError
from facedet.structures import Reading, Record

_AFW = "new_annotations_AFW.mat"
_PASCAL = "Annotations_Face_PASCALLayout_large_fixed.mat"
_FOLDERS = ("images", "testimages", "JPEGImages")
_IGNORE = 5  # column of `objects`


def _read_test_set(
    mat: str,
    title: str,
    root: str | Path,
    split: str,
    *,
    images: str,
    zero_size: str,
    faceless: str,
) -> Reading:
    """Reads the pictures of AFW or Pascal Faces that are on disk.

    Args:
        mat: name of the file of revised annotations.
        title: of the data set, for messages.
        root: holds the file of revised annotations or a list in text, and the pictures, see
            `read_annotations`.
        split: "val": all of them are for testing.
        images: "all" or "present", see `selection.select`.
        zero_size: "drop" or "keep" boxes of no area.
        faceless: "drop" or "keep" pictures without a face.

    Raises:
        FacedetError: a picture or file is missing, or the annotations are malformed.
        UsageError: an argument is none of its choices.
    """
    refuse_training(split, title)
    records = read_annotations(root, mat)
    return select(records, Path(root), images=images, zero_size=zero_size, faceless=faceless)


read_afw = partial(_read_test_set, _AFW, "AFW")
read_pascal = partial(_read_test_set, _PASCAL, "Pascal Faces")


def read_afw_ground_truth(path: str | Path) -> list[Record]:
    """Reads every listed picture, whether or not it is there; see `read_annotations`."""
    return read_annotations(path, _AFW)


def read_pascal_ground_truth(path: str | Path) -> list[Record]:
    """Reads every listed picture, whether or not it is there; see `read_annotations`."""
    return read_annotations(path, _PASCAL)


def read_annotations(path: str | Path, mat: str) -> list[Record]:
    """Reads the annotations, revised or original.

    Args:
        path: a .mat or .txt file, or a folder that holds the file `mat` or exactly one .txt,
            itself or in "annotations". Pictures are looked for beside it, in the folders images,
            testimages or JPEGImages or there themselves; they need not exist.
        mat: name of the file of revised annotations.

    Returns:
        Every listed picture, by the name of its file without folder and suffix; boxes as they are
        in the file, `ignore` as the annotators set it.

    Raises:
        FacedetError: there is no such file, or it is malformed.
    """
    path = Path(path)
    file = path if path.is_file() else _annotation_file(path, mat)
    faces = _read_mat(file) if file.suffix == ".mat" else _read_lines(file)
    if not faces:
        raise FacedetError(f"{file} lists no picture")
    pictures = find_folder(path if path.is_dir() else path.parent, _FOLDERS)
    records: dict[str, Record] = {}
    for picture, rows in faces.items():
        name = picture_name(picture)
        if name in records:
            raise FacedetError(f"{file} lists {name} twice")
        suffix = "" if PurePosixPath(picture).suffix else ".jpg"
        records[name] = Record(
            name,
            pictures / f"{PurePosixPath(picture).name}{suffix}",
            rows[:, :4].astype(np.float32),
            rows[:, 4] > 0,
            {},
        )
    return list(records.values())


def picture_name(text: str) -> str:
    """A picture's name without its folder and without .jpg, .jpeg or .png."""
    return without_suffix(PurePosixPath(text.replace("\\", "/")).name)


def _annotation_file(folder: Path, mat: str) -> Path:
    """The file of annotations in a folder."""
    for place in (folder, folder / "annotations"):
        if (place / mat).is_file():
            return place / mat
        texts = sorted(place.glob("*.txt"))
        if len(texts) == 1:
            return texts[0]
    raise FacedetError(f"{folder} holds neither {mat} nor exactly one .txt of annotations")


def _read_lines(path: Path) -> dict[str, np.ndarray]:
    """Faces [G, 5] (x1, y1, x2, y2, ignore) by picture, of a text list."""
    faces: dict[str, list[list[float]]] = {}
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        words = line.split()
        if not words:
            continue
        listed = faces.setdefault(words[0], [])
        if len(words) > 1:
            row = parse_numbers(words[1:], (4, 5), f"{path}, line {number}", MAX_DISTANCE)
            listed.append([*row[:4], row[4] if len(row) > 4 else 0.0])
    return {name: np.array(rows).reshape(-1, 5) for name, rows in faces.items()}


def _read_mat(path: Path) -> dict[str, np.ndarray]:
    """Faces [G, 5] (x1, y1, x2, y2, ignore) by picture, of the revised annotations."""
    items = load_mat(path, ["Annotations"])["Annotations"].ravel()
    fields = items.dtype.names or ()
    if not {"imgname", "objects"} <= set(fields):
        raise FacedetError(f"{path}: Annotations has no imgname and objects, but {list(fields)}")
    faces: dict[str, np.ndarray] = {}
    for place, item in enumerate(items, start=1):
        name = _unwrap(item["imgname"])
        if not isinstance(name, np.ndarray) or name.dtype.kind != "U" or name.size != 1:
            raise FacedetError(f"{path}: the imgname of entry {place} is no text")
        text = str(name.ravel()[0])
        if text.splitlines() != [text]:
            raise FacedetError(f"{path}: the imgname of entry {place} is {text[:80]!r}")
        if text in faces:
            raise FacedetError(f"{path} lists {text} twice")
        faces[text] = _face_rows(item["objects"], f"{path}: {text}")
    return faces


def _face_rows(objects: Any, source: str) -> np.ndarray:  # noqa: ANN401
    """A matrix of faces, or a cell array of one row per face, as [G, 5]."""
    value = _unwrap(objects)
    cells = value.ravel() if value.dtype == object else [value]
    parts = [np.atleast_2d(_unwrap(cell)) for cell in cells]
    parts = [part for part in parts if part.size]
    for part in parts:
        if part.dtype.kind not in "iufb" or part.ndim != 2 or part.shape[1] < 4:
            raise FacedetError(f"{source}: objects are {part.dtype}{list(part.shape)}, not [G, 4]")
        if not are_within(part.astype(np.float64), MAX_DISTANCE):
            raise FacedetError(f"{source}: an object is not {describe_numbers(MAX_DISTANCE)}")
    rows = [
        [*map(float, row[:4]), float(row[_IGNORE]) if len(row) > _IGNORE else 0.0]
        for part in parts
        for row in part
    ]
    return np.array(rows).reshape(-1, 5)


def _unwrap(value: Any) -> Any:  # noqa: ANN401
    """What lies in cells of one entry each."""
    while isinstance(value, np.ndarray) and value.dtype == object and value.size == 1:
        value = value.ravel()[0]
    return value
