"""Tables of boxes (CSV).

ROOT/{train,val}.csv or ROOT/annotations/*{train,val}*.csv, with a header that names the columns:

image, x1, y1, x2, y2     or image, xmin, ymin, xmax, ymax, or image, x, y, w, h
ignore                    optional: 1 is neither a face nor a false alarm
class                     optional

Commas, semicolons or tabs divide; other columns are not read. A picture without a face is a row
without numbers. A table without a header is read where its rows are image, x1, y1, x2, y2, class.
The pictures are looked for as `layout.find_pictures` says.
"""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from facedet.data.readers.layout import (
    clean_path,
    describe_places,
    find_annotations,
    find_pictures,
    splits_by,
)
from facedet.data.readers.listing import (
    Complain,
    Listed,
    Listing,
    Row,
    decimal,
    listed,
    quoted,
    refuse,
)
from facedet.data.readers.own import Format
from facedet.data.readers.text import read_text
from facedet.errors import FacedetError

_SUFFIX = ".csv"
# Names of columns, in small letters and without "_" and blanks.
_IMAGE = ("image", "filename", "file", "imagepath", "imgpath", "imagename", "imageid", "path")
_CORNERS = (("x1", "y1", "x2", "y2"), ("xmin", "ymin", "xmax", "ymax"), ("x0", "y0", "x1", "y1"))
_SIZES = (("x", "y", "w", "h"), ("x", "y", "width", "height"), ("left", "top", "width", "height"))
_IGNORE = ("ignore", "iscrowd", "difficult")
_FLAGS = {"": False, "0": False, "false": False, "1": True, "true": True}
_CLASS = ("class", "classname", "label", "labelname", "category", "name")


class _Columns(NamedTuple):
    """Where in a row things stand."""

    width: int  # of a row
    image: int
    box: list[int]
    has_size: bool  # the last two numbers are width and height
    ignore: int | None
    kind: int | None


class Csv(Format):
    """A folder of tables."""

    title = "CSV"
    mark = "*.csv"
    needs_sizes = False

    def splits(self, root: Path) -> list[str]:
        """The splits that are there."""
        return splits_by(lambda split: find_annotations(root, split, _SUFFIX) is not None)

    def list_pictures(self, root: str | Path, split: str, complain: Complain = refuse) -> Listing:
        """Lists the pictures and boxes of a split; see `Format.list_pictures`."""
        root = Path(root)
        source = find_annotations(root, split, _SUFFIX)
        if source is None:
            raise self.no_annotations(root, split, describe_places(root, split, _SUFFIX))
        rows = _rows(source)
        line, header, delimiter = next(rows, (1, [], ","))
        columns = _find_columns(header, source)
        first = [(line, header, delimiter)] if _is_data(header) else []
        images: dict[str, list[Row]] = {}
        for line, fields, delimiter in chain(first, rows):
            image, row = _parse(fields, columns, delimiter, f"{source}, line {line}", complain)
            if image:
                images.setdefault(image, []).extend([row._replace(place=line)] if row else [])
        folder, files = find_pictures(root, split, source, list(images))
        pictures = [
            listed(clean_path(file), folder / file, found)
            for file, found in zip(files, images.values(), strict=True)
        ]
        kinds = dict.fromkeys(row.kind for found in images.values() for row in found if row.kind)
        return Listing(pictures, source, folder, "line {}", tuple(kinds))

    def write(self, root: Path, splits: Mapping[str, Sequence[Listed]]) -> list[str]:
        """Writes ROOT/SPLIT.csv; the format holds everything."""
        for split, pictures in splits.items():
            with (root / f"{split}{_SUFFIX}").open("w", newline="", encoding="utf-8") as stream:
                writer = csv.writer(stream, lineterminator="\n")
                writer.writerow(["image", *_CORNERS[0], "ignore"])
                for one in pictures:
                    if not len(one.boxes):
                        writer.writerow([one.file, "", "", "", "", ""])
                    for box, is_ignored in zip(one.boxes.tolist(), one.ignore, strict=True):
                        writer.writerow([one.file, *map(decimal, box), int(is_ignored)])
        return []


read_csv = Csv().read


def _rows(source: Path) -> Iterator[tuple[int, list[str], str]]:
    """Yields (line number, fields, delimiter) of the rows of a table that are not empty."""
    text = read_text(source)
    first = text.split("\n", maxsplit=1)[0]
    is_marked = first.startswith("sep=")  # as Excel marks the delimiter
    delimiter = first[4:5] if is_marked else max(",;\t", key=first.count)
    reader = csv.reader(
        io.StringIO(text, newline=""), delimiter=delimiter or ",", skipinitialspace=True
    )
    try:
        for fields in reader:
            if fields and not (is_marked and reader.line_num == 1):
                yield reader.line_num, fields, delimiter
    except csv.Error as error:
        raise FacedetError(f"{source}, line {reader.line_num}: {error}") from error


def _find_columns(header: Sequence[str], source: Path) -> _Columns:
    """The places of the columns that the header names."""
    if _is_data(header):
        return _Columns(6, 0, [1, 2, 3, 4], has_size=False, ignore=None, kind=5)
    names = [name.strip().casefold().replace("_", "").replace(" ", "") for name in header]
    image = next((names.index(name) for name in _IMAGE if name in names), None)
    boxes = next((box for box in (*_CORNERS, *_SIZES) if set(box) <= set(names)), None)
    if image is None or boxes is None:
        raise FacedetError(
            f"{source}, line 1: the columns are {quoted(', '.join(header))}, expected image and "
            "x1, y1, x2, y2 (or x, y, w, h)"
        )
    ignore, kind = (
        next((names.index(name) for name in words if name in names), None)
        for words in (_IGNORE, _CLASS)
    )
    box = [names.index(name) for name in boxes]
    return _Columns(len(names), image, box, boxes in _SIZES, ignore, kind)


def _is_data(fields: Sequence[str]) -> bool:
    """Whether the first row is no header but image, x1, y1, x2, y2, class."""
    numbers = [text.strip().replace(".", "", 1) for text in fields[1:5]]
    return len(fields) == 6 and all(text.isdecimal() for text in numbers)


def _parse(
    fields: Sequence[str], columns: _Columns, delimiter: str, place: str, complain: Complain
) -> tuple[str, Row | None]:
    """The picture of a row and its box, if it has one; no picture where the row is malformed."""
    while len(fields) > columns.width and not fields[-1].strip():
        fields = fields[:-1]
    if len(fields) != columns.width:
        complain(f"{place}: {len(fields)} columns, but {columns.width} in the header")
        return "", None
    image = fields[columns.image].replace("\\", "/")
    if not clean_path(image):
        complain(f"{place}: image is {quoted(fields[columns.image])}, expected a path")
        return "", None
    texts = [fields[at].strip() for at in columns.box]
    if not any(texts):
        return image, None
    try:
        # Where commas do not divide, they may be decimal points.
        points = [text if delimiter == "," else text.replace(",", ".") for text in texts]
        x, y, right, bottom = map(float, points)
    except ValueError:
        complain(f"{place}: the box is {quoted(', '.join(texts))}, expected four numbers")
        return "", None
    box = [x, y, x + right, y + bottom] if columns.has_size else [x, y, right, bottom]
    flag = "" if columns.ignore is None else fields[columns.ignore].strip().casefold()
    if flag not in _FLAGS:
        complain(f"{place}: ignore is {quoted(flag)}, expected 0 or 1")
        return "", None
    kind = None if columns.kind is None else fields[columns.kind].strip()
    if kind == "":
        complain(f"{place}: the class is missing")
        return "", None
    return image, Row(box, 0, kind or "", _FLAGS[flag])
