"""Tables of boxes (CSV): a folder becomes records, and back.

ROOT/{train,val}.csv or ROOT/annotations/*{train,val}*.csv, with a header that names the columns:

image, x1, y1, x2, y2     or image, xmin, ymin, xmax, ymax, or image, x, y, w, h
ignore                    optional: 1 is neither a face nor a false alarm
class                     optional

Commas, semicolons or tabs divide; other columns are not read. A picture without a face is a row
without numbers. The pictures are looked for as `own_folders.find_picture_folder` says.
"""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Unpack

import numpy as np

from facedet.data.readers.listing import (
    Complain,
    Listed,
    Listing,
    clean_path,
    decimal,
    quoted,
    refuse,
)
from facedet.data.readers.own import Choices, to_reading
from facedet.data.readers.own_folders import (
    find_annotations,
    find_picture_folder,
    require_annotations,
    splits_by,
)
from facedet.errors import FacedetError
from facedet.structures import Reading

_SUFFIX = ".csv"
_IMAGE = ("image", "filename", "file_name", "file", "image_path", "path")
_CORNERS = (("x1", "y1", "x2", "y2"), ("xmin", "ymin", "xmax", "ymax"))
_SIZES = (("x", "y", "w", "h"), ("x", "y", "width", "height"), ("left", "top", "width", "height"))
_IGNORE = ("ignore", "iscrowd", "difficult")
_FLAGS = {"": False, "0": False, "false": False, "1": True, "true": True}
_CLASS = ("class", "label", "category")


class _Columns(NamedTuple):
    """Where in a row things stand."""

    width: int  # of a row
    image: int
    box: list[int]
    has_size: bool  # the last two numbers are width and height
    ignore: int | None
    kind: int | None


class _Row(NamedTuple):
    """What a row says."""

    image: str
    box: list[float] | None  # xyxy pixels; None: the picture has no face
    is_ignored: bool
    kind: str  # "" where there is no column of classes
    line: int


def read_csv(
    root: str | Path,
    split: str,
    *,
    classes: str | Sequence[str] = "face",
    **choices: Unpack[Choices],
) -> Reading:
    """Reads a split of a data set whose boxes are in a table; the pictures are not opened.

    Args:
        root: the data set's folder.
        split: "train", "val", "test", or "all" where the data has no splits.
        classes: names that are faces, or "all", where the table has a column of classes; see
            `own_data.select_faces`.
        **choices: see `own_data.to_reading`.

    Returns:
        As `own_data.to_reading`.

    Raises:
        FacedetError: a picture or file is missing, or a row is malformed.
        UsageError: an argument is none of its choices.
    """
    return to_reading(list_csv(root, split), split, classes, **choices)


def csv_splits(root: Path) -> list[str]:
    """The splits of a data set of tables; none where the folder holds something else."""
    return splits_by(lambda split: find_annotations(root, split, _SUFFIX) is not None)


def list_csv(root: str | Path, split: str, complain: Complain = refuse) -> Listing:
    """Lists the pictures and boxes of a split.

    Args:
        root: the data set's folder.
        split: its name.
        complain: called with each malformed row, which is passed over.

    Raises:
        FacedetError: the file is missing, is no text, or its header lacks a column.
    """
    root = Path(root)
    source = require_annotations(root, split, _SUFFIX)
    try:
        text = source.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise FacedetError(f"{source} cannot be read: {error}") from error
    header = text.split("\n", maxsplit=1)[0]
    delimiter = max(",;\t", key=header.count)
    lines = io.StringIO(text, newline="")
    reader = csv.reader(lines, delimiter=delimiter, skipinitialspace=True)
    images: dict[str, list[_Row]] = {}
    try:
        columns = _find_columns(next(reader, []), source)
        for fields in reader:
            row = _parse(fields, columns, source, reader.line_num, complain) if fields else None
            if row is not None:
                images.setdefault(row.image, []).append(row)
    except csv.Error as error:
        raise FacedetError(f"{source}, line {reader.line_num}: {error}") from error
    folder = find_picture_folder(root, split, source, list(images))
    names = dict.fromkeys(row.kind for rows in images.values() for row in rows if row.kind)
    kinds = {name: at for at, name in enumerate(names)}
    pictures = [_listed(path, folder, rows, kinds) for path, rows in images.items()]
    return Listing(pictures, source, folder, "line {}", tuple(kinds))


def write_csv(root: Path, splits: Mapping[str, Sequence[Listed]]) -> list[str]:
    """Writes ROOT/SPLIT.csv for pictures in ROOT/images/SPLIT.

    Args:
        root: the new data set's folder.
        splits: by name, pictures; all boxes are faces.

    Returns:
        What the format could not hold, in words: nothing.
    """
    for split, pictures in splits.items():
        with (root / f"{split}{_SUFFIX}").open("w", newline="", encoding="utf-8") as stream:
            writer = csv.writer(stream, lineterminator="\n")
            writer.writerow(["image", *_CORNERS[0], "ignore"])
            for one in pictures:
                if not len(one.boxes):
                    writer.writerow([one.file, "", "", "", "", ""])
                for box, is_ignored in zip(one.boxes.tolist(), one.ignore.tolist(), strict=True):
                    writer.writerow([one.file, *map(decimal, box), int(is_ignored)])
    return []


def _find_columns(header: Sequence[str], source: Path) -> _Columns:
    """The places of the columns that the header names."""
    names = [name.strip().casefold() for name in header]
    image = next((names.index(name) for name in _IMAGE if name in names), None)
    boxes = next((box for box in (*_CORNERS, *_SIZES) if set(box) <= set(names)), None)
    if image is None or boxes is None:
        raise FacedetError(
            f"{source}, line 1: the columns are {quoted(', '.join(header))}: wanted image and "
            "x1, y1, x2, y2 (or x, y, w, h)"
        )
    ignore, kind = (
        next((names.index(name) for name in words if name in names), None)
        for words in (_IGNORE, _CLASS)
    )
    box = [names.index(name) for name in boxes]
    return _Columns(len(names), image, box, boxes in _SIZES, ignore, kind)


def _parse(
    fields: Sequence[str], columns: _Columns, source: Path, line: int, complain: Complain
) -> _Row | None:
    """A row; None where it is malformed."""
    place = f"{source}, line {line}"
    if len(fields) != columns.width:
        complain(f"{place}: {len(fields)} columns, but {columns.width} in the header")
        return None
    image = fields[columns.image].replace("\\", "/")
    if not clean_path(image):
        complain(f"{place}: image is {quoted(fields[columns.image])}: a path is wanted")
        return None
    texts = [fields[at].strip() for at in columns.box]
    if not any(texts):
        return _Row(image, None, False, "", line)
    try:
        x, y, right, bottom = map(float, texts)
    except ValueError:
        complain(f"{place}: the box is {quoted(', '.join(texts))}: four numbers are wanted")
        return None
    box = [x, y, x + right, y + bottom] if columns.has_size else [x, y, right, bottom]
    flag = "" if columns.ignore is None else fields[columns.ignore].strip().casefold()
    if flag not in _FLAGS:
        complain(f"{place}: ignore is {quoted(flag)}: 0 or 1 is wanted")
        return None
    kind = None if columns.kind is None else fields[columns.kind].strip()
    if kind == "":
        complain(f"{place}: the class is missing")
        return None
    return _Row(image, box, _FLAGS[flag], kind or "", line)


def _listed(path: str, folder: Path, rows: Sequence[_Row], kinds: Mapping[str, int]) -> Listed:
    """One picture with the boxes of its rows."""
    rows = [row for row in rows if row.box is not None]
    return Listed(
        clean_path(path),
        folder / path,
        np.array([row.box for row in rows], dtype=np.float64).reshape(-1, 4),
        np.array([row.is_ignored for row in rows], dtype=bool),
        np.array([kinds.get(row.kind, 0) for row in rows], dtype=np.int64),
        np.array([row.line for row in rows], dtype=np.int64),
    )
