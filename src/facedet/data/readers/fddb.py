"""FDDB (Jain and Learned-Miller, 2010): faces are ellipses, in ten folds that are scored together.

ROOT/originalPics/2002/08/11/big/img_591.jpg
ROOT/FDDB-folds/FDDB-fold-01-ellipseList.txt … or ROOT/ellipses.txt, all folds in one file
"""

import os
from pathlib import Path

import numpy as np

from facedet.data.images import read_size
from facedet.data.readers.fddb_files import read_blocks
from facedet.data.readers.listed_pictures import assemble, find_folder, refuse_training
from facedet.data.readers.number_rows import FARTHEST
from facedet.data.readers.text import read_text
from facedet.errors import FacedetError
from facedet.structures import Reading, Record

# Every ellipse's row ends with a 1.
_COLUMNS = (6,)


def read_fddb(
    root: str | Path,
    split: str,
    *,
    images: str,
    zero_size: str,
    faceless: str,
) -> Reading:
    """Reads the pictures of FDDB that are on disk; all of them are for testing.

    Args:
        root: holds the pictures and the ellipses, see the module's first lines.
        split: "val".
        images: "all" demands every picture, "present" uses those on disk.
        zero_size: "drop" or "keep" the ellipses without area.
        faceless: "drop" or "keep" the pictures without a face.

    Returns:
        Records in the files' order, as of `read_fddb_ground_truth`.

    Raises:
        FacedetError: a picture or file is missing, or a line is malformed.
        UsageError: an argument is none of its choices.
    """
    refuse_training(split, "FDDB")
    records = read_fddb_ground_truth(root)
    return assemble(records, Path(root), images=images, zero_size=zero_size, faceless=faceless)


def read_fddb_ground_truth(path: str | Path) -> list[Record]:
    """Reads what the FDDB protocol scores against.

    Args:
        path: a file of ellipses; or a folder that holds FDDB-fold-*-ellipseList.txt or
            ellipses.txt, itself or in FDDB-folds. Pictures are looked for in originalPics beside
            them, or there themselves; they need not exist.

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
    for name, rows in read_blocks(texts, _COLUMNS, FARTHEST).items():
        ellipses = rows[:, :5]
        file = pictures / f"{name}.jpg"
        # Not Path.is_file, which raises on names that no file can have.
        size = read_size(file, upright=False) if os.path.isfile(file) else None
        tags = {"ellipses": ellipses, "size": size}
        boxes = bounding_boxes(ellipses).astype(np.float32)
        records.append(Record(name, file, boxes, np.zeros(len(boxes), dtype=bool), tags))
    if not records:
        raise FacedetError(f"{files[0] if len(files) == 1 else path} lists no picture")
    return records


def bounding_boxes(ellipses: np.ndarray) -> np.ndarray:
    """The boxes [G, 4] xyxy around ellipses [G, 5] (ra, rb, theta, cx, cy), to the sub-pixel."""
    ra, rb, theta = ellipses[:, :3].T
    reach = np.column_stack(
        [
            np.hypot(ra * np.cos(theta), rb * np.sin(theta)),
            np.hypot(ra * np.sin(theta), rb * np.cos(theta)),
        ]
    )
    return np.hstack([ellipses[:, 3:] - reach, ellipses[:, 3:] + reach])


def _ellipse_files(path: Path) -> list[Path]:
    """The files of ellipses that a path means."""
    if path.is_file():
        return [path]
    for folder in (path, path / "FDDB-folds"):
        files = sorted(folder.glob("*ellipseList*.txt")) or sorted(folder.glob("ellipses.txt"))
        if files:
            return files
    raise FacedetError(
        f"{path} holds neither FDDB-fold-*-ellipseList.txt nor ellipses.txt, nor in FDDB-folds"
    )
