"""FDDB (Jain and Learned-Miller, 2010): faces are ellipses, in ten folds that are scored together.

ROOT/originalPics/2002/08/11/big/img_591.jpg
ROOT/FDDB-folds/FDDB-fold-01-ellipseList.txt … or ROOT/ellipses.txt, all folds in one file

Annotations and results share a layout: blocks of a picture's name without a suffix
("2002/08/11/big/img_591"), a number of faces, and as many rows of numbers.
"""

import os
from collections.abc import Iterable
from functools import partial
from pathlib import Path

import numpy as np

from facedet.data.images import read_size
from facedet.data.readers.selection import find_folder, read_test_set
from facedet.data.readers.text import MAX_DISTANCE, Text, read_blocks, read_text, without_suffix
from facedet.errors import FacedetError
from facedet.structures import Record

# Every ellipse's row ends with a score or, in the annotations, with a 1.
_ELLIPSE_COLUMNS = 6


def read_fddb_ground_truth(path: str | Path) -> list[Record]:
    """Reads what the FDDB protocol scores against.

    Args:
        path: a file of ellipses; or a folder that holds FDDB-fold-*-ellipseList.txt or
            ellipses.txt, itself or in FDDB-folds. Pictures are looked for in the subfolder
            originalPics, or there themselves; they need not exist.

    Returns:
        Every listed picture. Boxes are the ones around the ellipses. Tags: "ellipses" [G, 5]
        float64 (half axes ra and rb px, angle of ra to the x axis in radians, centre x and y px)
        and "size", (height, width), None where the picture is not on disk.

    Raises:
        FacedetError: a file is missing or a line is malformed.
    """
    path = Path(path)
    files = _ellipse_files(path)
    pictures = find_folder(path if path.is_dir() else path.parent, ["originalPics"])
    texts = ((str(file), file.name, read_text(file)) for file in files)
    records = []
    for name, rows in read_fddb_blocks(texts, (_ELLIPSE_COLUMNS,), MAX_DISTANCE).items():
        ellipses = rows[:, :5]
        file = pictures / f"{name}.jpg"
        size = read_size(file, upright=False) if os.path.isfile(file) else None
        boxes = bounding_boxes(ellipses).astype(np.float32)
        tags = {"ellipses": ellipses, "size": size}
        records.append(Record(name, file, boxes, np.zeros(len(boxes), dtype=bool), tags))
    if not records:
        raise FacedetError(f"{files[0] if len(files) == 1 else path} lists no picture")
    return records


read_fddb = partial(read_test_set, "FDDB", read_fddb_ground_truth)


def read_fddb_blocks(
    texts: Iterable[Text], columns: tuple[int, ...], limit: float = np.inf
) -> dict[str, np.ndarray]:
    """The rows of `read_blocks` by picture, in the files' order: float64 [N, columns].

    Raises:
        FacedetError: a malformed line, or a picture that is there twice; the message says where.
    """
    blocks: dict[str, np.ndarray] = {}

    def check_title(title: str, place: str) -> str:
        name = without_suffix(title)
        if name in blocks:
            raise FacedetError(f"{place}: {name} is there a second time")
        if len(name.split()) > 1:
            raise FacedetError(f"{place}: '{name[:80]}' is no picture")
        return name

    for name, rows, place in read_blocks(texts, columns, limit, check_title):
        if rows.shape[1] == _ELLIPSE_COLUMNS and (rows[:, :2] < 0).any():
            row = int((rows[:, :2] < 0).any(axis=1).argmax()) + 1
            raise FacedetError(f"{place}: ellipse {row} has a half axis below 0")
        blocks[name] = rows
    # What comes before the first row does not know how wide rows are.
    width = max((rows.shape[1] for rows in blocks.values() if len(rows)), default=columns[0])
    return {name: rows if len(rows) else np.zeros((0, width)) for name, rows in blocks.items()}


def bounding_boxes(ellipses: np.ndarray) -> np.ndarray:
    """The boxes [G, 4] xyxy around ellipses [G, 5] (ra, rb, theta, cx, cy), to the sub-pixel."""
    ra, rb, theta = ellipses[:, :3].T
    x = np.hypot(ra * np.cos(theta), rb * np.sin(theta))
    y = np.hypot(ra * np.sin(theta), rb * np.cos(theta))
    half = np.column_stack([x, y])
    return np.hstack([ellipses[:, 3:] - half, ellipses[:, 3:] + half])


def _ellipse_files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    for folder in (path, path / "FDDB-folds"):
        files = sorted(folder.glob("*ellipseList*.txt")) or sorted(folder.glob("ellipses.txt"))
        if files:
            return files
    raise FacedetError(
        f"{path} holds neither FDDB-fold-*-ellipseList.txt nor ellipses.txt, nor in FDDB-folds"
    )
