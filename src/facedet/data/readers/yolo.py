"""YOLO's text files: a folder becomes records, and back.

ROOT/images/{train,val}/**, ROOT/labels/{train,val}/**.txt     or ROOT/{train,valid}/{images,labels}
ROOT/data.yaml     names of the classes, and where the pictures are if they are elsewhere; optional

A label file has a line `class cx cy w h` per box, in parts of the picture's sides as it is stored:
the sizes are read from the headers of the pictures. A picture without a label file has no face.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Unpack

import numpy as np

from facedet.data.images import read_size
from facedet.data.readers.listing import (
    IGNORE_CLASS,
    Complain,
    Listed,
    Listing,
    quoted,
    refuse,
    stem_of,
)
from facedet.data.readers.own import Choices, to_reading
from facedet.data.readers.own_folders import find_files, splits_by
from facedet.data.readers.yolo_layout import CLASSES, SETTINGS, find_folders, read_settings
from facedet.errors import FacedetError
from facedet.structures import Reading

_COLUMNS = 5
_TEXTS = frozenset((".txt",))
# Boxes may reach outside a picture, but a centre this far from it is one in pixels.
_FARTHEST_CENTRE = 2.0


def read_yolo(
    root: str | Path,
    split: str,
    *,
    classes: str | Sequence[str] = "face",
    **choices: Unpack[Choices],
) -> Reading:
    """Reads a split of a data set in YOLO's form; of the pictures the headers are read.

    Args:
        root: the data set's folder.
        split: "train", "val", "test", or "all" where the data has no splits.
        classes: names (numbers, where no data.yaml names them) of the classes that are faces, or
            "all"; see `own_data.select_faces`.
        **choices: see `own_data.to_reading`.

    Returns:
        As `own_data.to_reading`.

    Raises:
        FacedetError: a picture or folder is missing, or a line is malformed.
        UsageError: an argument is none of its choices.
    """
    return to_reading(list_yolo(root, split), split, classes, **choices)


def yolo_splits(root: Path) -> list[str]:
    """The splits of a data set in YOLO's form; none where the folder holds something else."""
    settings = read_settings(root)
    return splits_by(lambda split: find_folders(root, split, settings) is not None)


def list_yolo(root: str | Path, split: str, complain: Complain = refuse) -> Listing:
    """Lists the pictures and boxes of a split.

    Args:
        root: the data set's folder.
        split: its name.
        complain: called with each malformed line, which is passed over.

    Raises:
        FacedetError: the folders are missing, or data.yaml is malformed.
    """
    root = Path(root)
    settings = read_settings(root)
    folders = find_folders(root, split, settings)
    if folders is None:
        raise FacedetError(
            f"{root}: no labels of {split}; looked for labels/{split} beside images/{split}, and "
            f"{split}/labels beside {split}/images"
        )
    folder, source = folders
    labels = {stem_of(file): source / file for file in find_files(source, _TEXTS)}
    labels.pop(stem_of(CLASSES), None)
    pictures = [
        _listed(folder, file, labels.pop(stem_of(file), None), complain)
        for file in find_files(folder)
    ]
    # A label whose picture is missing: only its name is of use, for the size is not known.
    pictures += [_listed(folder, f"{stem}.jpg", None, complain) for stem in labels]
    return _name_classes(Listing(pictures, source, folder, "line {}"), settings.names, complain)


def write_yolo(root: Path, splits: Mapping[str, Sequence[Listed]]) -> list[str]:
    """Writes ROOT/labels/SPLIT/**.txt for pictures in ROOT/images/SPLIT, and data.yaml.

    Boxes to be ignored get a class of their own, named "ignore", where there are any.

    Args:
        root: the new data set's folder.
        splits: by name, pictures with their sizes; all boxes are faces.

    Returns:
        What the format could not hold, in words.
    """
    ignored = sum(int(one.ignore.sum()) for pictures in splits.values() for one in pictures)
    names = ["face", IGNORE_CLASS] if ignored else ["face"]
    for split, pictures in splits.items():
        for one in pictures:
            path = root / "labels" / split / f"{stem_of(one.file)}.txt"
            path.parent.mkdir(parents=True, exist_ok=True)
            height, width = one.size or (1, 1)
            low, high = one.boxes[:, :2], one.boxes[:, 2:]
            boxes = np.hstack([(low + high) / 2, high - low]) / (width, height, width, height)
            lines = [
                # Nine decimals are 1e-5 px of a picture of 10,000 px.
                f"{int(kind)} {cx:.9f} {cy:.9f} {w:.9f} {h:.9f}\n"
                for kind, (cx, cy, w, h) in zip(one.ignore, boxes.tolist(), strict=True)
            ]
            path.write_text("".join(lines), encoding="utf-8")
    folders = [f"{split}: images/{split}\n" for split in splits]
    numbered = [f"  {number}: {name}\n" for number, name in enumerate(names)]
    text = "".join([*folders, "names:\n", *numbered])
    (root / SETTINGS).write_text(text, encoding="utf-8")
    notes = [f"{ignored:,} boxes to be ignored are written as class 1, {IGNORE_CLASS}"]
    return notes if ignored else []


def _listed(folder: Path, file: str, label: Path | None, complain: Complain) -> Listed:
    """One picture, whose boxes have the classes' own numbers for kinds."""
    values, lines = _read_label(label, complain)
    size = None
    if len(values):
        try:
            size = read_size(folder / file)
        except FacedetError as error:
            complain(str(error))
            values, lines = values[:0], lines[:0]
    height, width = size or (1, 1)
    centre, half = values[:, 1:3], values[:, 3:5] / 2
    boxes = np.hstack([centre - half, centre + half]) * (width, height, width, height)
    kinds, ignore = values[:, 0].astype(np.int64), np.zeros(len(values), dtype=bool)
    return Listed(file, folder / file, boxes, ignore, kinds, lines, size, label)


def _read_label(path: Path | None, complain: Complain) -> tuple[np.ndarray, np.ndarray]:
    """Rows [G, 5] float64 of class, cx, cy, w, h, and the line [G] of each; none without a file."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines() if path is not None else []
    except (OSError, UnicodeDecodeError) as error:
        complain(f"{path} cannot be read: {error}")
        lines = []
    rows, numbers = [], []
    for number, line in enumerate(lines, start=1):
        if not line or line.isspace():
            continue
        row = _parse(line)
        if isinstance(row, str):
            complain(f"{path}, line {number}: {quoted(line.strip())} {row}")
            continue
        rows.append(row)
        numbers.append(number)
    values = np.array(rows, dtype=np.float64).reshape(-1, _COLUMNS)
    return values, np.array(numbers, dtype=np.int64)


def _parse(line: str) -> list[float] | str:
    """The five numbers of a line, or what is wrong with it."""
    try:
        row = [float(word) for word in line.split()]
    except ValueError:
        return "is not five numbers: class cx cy w h"
    if len(row) != _COLUMNS:
        return f"has {len(row)} numbers, wanted five: class cx cy w h"
    kind, cx, cy, _, _ = row
    if not (kind.is_integer() and 0 <= kind < 2**31):
        return "does not begin with the number of a class"
    if max(abs(cx), abs(cy)) > _FARTHEST_CENTRE:
        return "is not in parts of the picture's sides, 0 … 1"
    return row


def _name_classes(listing: Listing, names: Mapping[int, str], complain: Complain) -> Listing:
    """The listing with places in its classes for kinds, instead of the classes' own numbers."""
    seen = sorted({number for one in listing.pictures for number in one.kinds.tolist()})
    names = names or {number: str(number) for number in seen}
    order = {number: at for at, number in enumerate(names)}
    pictures = []
    for one in listing.pictures:
        known = [number in order for number in one.kinds.tolist()]
        for at in (at for at, is_known in enumerate(known) if not is_known):
            label = f"{one.own_file}, line {one.places[at]}"
            complain(f"{label}: there is no class {one.kinds[at]}, only {len(names)} names")
        kept = np.flatnonzero(known)
        pictures.append(
            one._replace(
                boxes=one.boxes[kept],
                ignore=one.ignore[kept],
                kinds=np.array([order[number] for number in one.kinds[kept]], dtype=np.int64),
                places=one.places[kept],
            )
        )
    return listing._replace(pictures=pictures, classes=tuple(names.values()))
