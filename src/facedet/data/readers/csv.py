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
from pathlib import Path

from facedet.data.readers.layout import clean_path, find_pictures
from facedet.data.readers.own import Format, Listed, Listing, Row, box_of, quoted
from facedet.data.readers.text import read_text
from facedet.errors import FacedetError

# Names of columns, in small letters and without "_" and blanks.
_IMAGE = ("image", "filename", "file", "imagepath", "imgpath", "imagename", "imageid", "path")
_CORNERS = (("x1", "y1", "x2", "y2"), ("xmin", "ymin", "xmax", "ymax"), ("x0", "y0", "x1", "y1"))
_SIZES = (("x", "y", "w", "h"), ("x", "y", "width", "height"), ("left", "top", "width", "height"))
_IGNORE = ("ignore", "iscrowd", "difficult")
_FLAGS = {"": False, "0": False, "false": False, "1": True, "true": True}
_CLASS = ("class", "classname", "label", "labelname", "category", "name")


class Csv(Format):
    """A folder of tables."""

    title = "CSV"
    mark = "*.csv"
    suffix = ".csv"

    def list_pictures(self, root: str | Path, split: str) -> Listing:
        """Lists the pictures and boxes of a split; see `Format.list_pictures`."""
        root = Path(root)
        source = self.source(root, split)
        table = list(_rows(source))
        header = table[0][1] if table else []
        columns = _find_columns(header, source)
        images: dict[str, list[Row]] = {}
        problems = []
        for line, fields in table if _is_data(header) else table[1:]:
            image, found = _parse(fields, columns, len(header), f"line {line}")
            if image:
                images.setdefault(image, []).extend([found] if isinstance(found, Row) else [])
            if isinstance(found, str):
                problems.append(f"{source}, line {line}: {found}")
        folder, places = find_pictures(root, split, images)
        pictures = [
            Listed(file, path, rows)
            for (file, path), rows in zip(places, images.values(), strict=True)
        ]
        kinds = dict.fromkeys(row.kind for rows in images.values() for row in rows if row.kind)
        return Listing(pictures, source, folder, tuple(kinds), problems)


read_csv = Csv().read


def _rows(source: Path) -> Iterator[tuple[int, list[str]]]:
    """Yields the line number and the fields of the rows of a table that are not empty."""
    text = read_text(source)
    first = text.split("\n", maxsplit=1)[0].rstrip("\r")
    is_marked = first.startswith("sep=")  # as Excel marks the delimiter
    delimiter = (first[4:5] or ",") if is_marked else max(",;\t", key=first.count)
    stream = io.StringIO(text, newline="")
    reader = csv.reader(stream, delimiter=delimiter, skipinitialspace=True)
    try:
        for fields in reader:
            if fields and not (is_marked and reader.line_num == 1):
                yield reader.line_num, [field.strip() for field in fields]
    except csv.Error as error:
        raise FacedetError(f"{source}, line {reader.line_num}: {error}") from error


def _find_columns(header: Sequence[str], source: Path) -> dict[str, int]:
    """The places of image, x, y and right, bottom or w, h, and perhaps of ignore and class."""
    if _is_data(header):
        return {"image": 0, "x": 1, "y": 2, "right": 3, "bottom": 4, "class": 5}
    names = [name.casefold().replace("_", "").replace(" ", "") for name in header]
    box = next((box for box in (*_CORNERS, *_SIZES) if set(box) <= set(names)), ())
    keys = ("x", "y", "w", "h") if box in _SIZES else ("x", "y", "right", "bottom")
    columns = {key: names.index(name) for key, name in zip(keys, box, strict=False)}
    for key, words in (("image", _IMAGE), ("ignore", _IGNORE), ("class", _CLASS)):
        columns.update((key, names.index(word)) for word in reversed(words) if word in names)
    if "image" not in columns or not box:
        raise FacedetError(
            f"{source}, line 1: the columns are {quoted(', '.join(header))}, expected image and "
            "x1, y1, x2, y2 (or x, y, w, h)"
        )
    return columns


def _is_data(fields: Sequence[str]) -> bool:
    """Whether the first row is no header but image, x1, y1, x2, y2, class."""
    numbers = [text.replace(".", "", 1) for text in fields[1:5]]
    return len(fields) == 6 and all(text.isdecimal() for text in numbers)


def _parse(
    fields: list[str], columns: Mapping[str, int], width: int, place: str
) -> tuple[str, Row | str | None]:
    """The picture of a row ("": none), and its box, if it has one, or what is wrong."""
    while len(fields) > width and not fields[-1]:
        fields = fields[:-1]
    if len(fields) != width:
        return "", f"{len(fields)} columns, but {width} in the header"
    named = {key: fields[at] for key, at in columns.items()}
    image = named["image"].replace("\\", "/")
    if not clean_path(image):
        return "", f"image is {quoted(named['image'])}, expected a path"
    texts = [named[key] for key in ("x", "y", "right", "bottom", "w", "h") if key in named]
    if not any(texts):
        return image, None
    # Where commas do not divide, they may be decimal points.
    box = box_of(text.replace(",", ".") for text in texts)
    if box is None:
        return image, f"the box is {quoted(', '.join(texts))}, expected four finite numbers"
    if "w" in named:
        box[2:] = box[0] + box[2], box[1] + box[3]
    flag, kind = named.get("ignore", "").casefold(), named.get("class", "")
    if flag not in _FLAGS:
        return image, f"ignore is {quoted(flag)}, expected 0 or 1"
    if "class" in named and not kind:
        return image, "the class is missing"
    return image, Row(box, place, kind, _FLAGS[flag])
