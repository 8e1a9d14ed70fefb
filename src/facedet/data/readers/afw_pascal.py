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
from facedet.data.readers.selection import find_folder, read_test_set
from facedet.data.readers.text import (
    MAX_DISTANCE,
    are_within,
    describe_numbers,
    parse_numbers,
    read_text,
    without_suffix,
)
from facedet.errors import FacedetError
from facedet.structures import Record

_AFW = "new_annotations_AFW.mat"
_PASCAL = "Annotations_Face_PASCALLayout_large_fixed.mat"
_FOLDERS = ("images", "testimages", "JPEGImages")


def read_annotations(mat: str, path: str | Path) -> list[Record]:
    """Reads every listed picture, named as its file without folder and suffix.

    Args:
        mat: name of the file of revised annotations.
        path: a .mat or .txt file, or a folder that holds the file `mat` or exactly one .txt,
            itself or in "annotations". Pictures are looked for beside it, in the folders images,
            testimages or JPEGImages or there themselves; they need not exist.

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
    for picture, rows in faces:
        name = picture_name(picture)
        if name in records:
            raise FacedetError(f"{file} lists {name} twice")
        suffix = "" if PurePosixPath(picture).suffix else ".jpg"
        place = pictures / f"{PurePosixPath(picture).name}{suffix}"
        boxes = rows[:, :4].astype(np.float32)
        records[name] = Record(name, place, boxes, rows[:, 4] > 0, {})
    return list(records.values())


read_afw_ground_truth = partial(read_annotations, _AFW)
read_pascal_ground_truth = partial(read_annotations, _PASCAL)
read_afw = partial(read_test_set, "AFW", read_afw_ground_truth)
read_pascal = partial(read_test_set, "Pascal Faces", read_pascal_ground_truth)


def picture_name(text: str) -> str:
    """A picture's name without its folder and without .jpg, .jpeg or .png."""
    return without_suffix(PurePosixPath(text.replace("\\", "/")).name)


def _annotation_file(folder: Path, mat: str) -> Path:
    for place in (folder, folder / "annotations"):
        if (place / mat).is_file():
            return place / mat
        texts = sorted(place.glob("*.txt"))
        if len(texts) == 1:
            return texts[0]
    raise FacedetError(f"{folder} holds neither {mat} nor exactly one .txt of annotations")


def _read_lines(path: Path) -> list[tuple[str, np.ndarray]]:
    """Pictures and faces [G, 5] (x1, y1, x2, y2, ignore) of a text list."""
    faces: dict[str, list[list[float]]] = {}
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        name, *words = line.split() or [""]
        if name:
            listed = faces.setdefault(name, [])
        if words:
            row = parse_numbers(words, (4, 5), f"{path}, line {number}", MAX_DISTANCE)
            listed.append([*row, 0.0][:5])
    return [(name, np.array(rows).reshape(-1, 5)) for name, rows in faces.items()]


def _read_mat(path: Path) -> list[tuple[str, np.ndarray]]:
    """Pictures and faces [G, 5] (x1, y1, x2, y2, ignore) of the revised annotations."""
    items = load_mat(path, ["Annotations"])["Annotations"].ravel()
    fields = items.dtype.names or ()
    if not {"imgname", "objects"} <= set(fields):
        raise FacedetError(f"{path}: Annotations has no imgname and objects, but {list(fields)}")
    faces = []
    for place, item in enumerate(items, start=1):
        name = f"entry {place}"
        try:
            name = str(_unwrap(item["imgname"]).item())
            value = _unwrap(item["objects"])
            # A matrix of faces, or a cell array of one row per face.
            cells = value.ravel() if value.dtype == object else [value]
            parts = [np.atleast_2d(_unwrap(cell)).astype(np.float64) for cell in cells]
            # Where there are fewer than six columns, the sixth is 0.
            padded = [np.pad(part, ((0, 0), (0, 2))) for part in parts if part.size]
            rows = np.vstack([np.zeros((0, 5)), *(part[:, [0, 1, 2, 3, 5]] for part in padded)])
        except (ValueError, TypeError, IndexError, AttributeError) as error:
            raise FacedetError(f"{path}: {name}: its objects are not numbers [G, 4]") from error
        if not are_within(rows, MAX_DISTANCE):
            raise FacedetError(f"{path}: {name}: a box is not {describe_numbers(MAX_DISTANCE)}")
        faces.append((name, rows))
    return faces


def _unwrap(value: Any) -> Any:  # noqa: ANN401
    """What lies in cells of one entry each."""
    while isinstance(value, np.ndarray) and value.dtype == object and value.size == 1:
        value = value.ravel()[0]
    return value
