"""YOLO's text files.

ROOT/images/{train,val}/**, ROOT/labels/{train,val}/**.txt     or ROOT/{train,valid}/{images,labels}
                                                               or ROOT/{train,valid}, both in one
ROOT/data.yaml     names of the classes, and where the pictures are if they are elsewhere: by split
                   a folder, a text file that lists pictures, or a list of these; optional

A label file has a line `class cx cy w h` per box, in parts of the picture's sides as it is seen:
the sizes are read from the headers of the pictures. A picture without a label file has no face.
Further numbers (a confidence; landmarks of five points, or as many as data.yaml's `kpt_shape` says)
are passed over, and of polygons `class x1 y1 x2 y2 x3 y3 …` the bounding box is taken.
"""

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from facedet.data.images import read_size
from facedet.data.readers.layout import find_files, splits_by, stem_of
from facedet.data.readers.listing import (
    IGNORE_CLASS,
    Complain,
    Listed,
    Listing,
    Row,
    listed,
    quoted,
    refuse,
)
from facedet.data.readers.own import Format
from facedet.data.readers.text import read_text
from facedet.data.readers.yolo_layout import (
    CLASS_LISTS,
    SETTINGS,
    beside_images,
    find_places,
    label_folder,
    listed_pictures,
    read_settings,
)
from facedet.errors import FacedetError
from facedet.structures import Reading

_COLUMNS = 5
_TEXTS = frozenset((".txt",))
# Boxes may reach outside a picture, but a centre this far from it is one in pixels.
_MAX_CENTRE = 2.0


class _Picture(NamedTuple):
    """A picture and its label."""

    path: Path
    label: Path | None  # None: it has none
    lines: list[tuple[int, str]]  # number and text of the lines that are not empty


class Yolo(Format):
    """A folder of YOLO's files."""

    title = "YOLO"
    mark = "labels/ beside images/"
    in_parts = True

    def __init__(self, upright: bool = True) -> None:
        self.upright = upright  # the sides are those of the picture turned as EXIF asks

    def splits(self, root: Path) -> list[str]:
        """The splits that are there."""
        settings = read_settings(root)
        return splits_by(lambda split: bool(find_places(root, split, settings)))

    def list_pictures(self, root: str | Path, split: str, complain: Complain = refuse) -> Listing:
        """Lists the pictures and boxes of a split; see `Format.list_pictures`."""
        root = Path(root)
        settings = read_settings(root)
        places = find_places(root, split, settings)
        if not places:
            expected = f"labels/{split} beside images/{split}, {split}/labels beside {split}/images"
            raise self.no_annotations(root, split, f"{expected}, and in {SETTINGS}")
        pairs = [pair for place in places for pair in _pair(root, place)]
        pictures = [_Picture(path, label, _read_label(label, complain)) for path, label in pairs]
        folder = places[0]
        if pictures and (len(places) > 1 or not folder.is_dir()):
            folder = Path(
                os.path.commonpath([os.path.abspath(one.path.parent) for one in pictures])
            )
        # Landmarks have as many numbers in every line; polygons have not.
        lengths = Counter(len(line.split()) for one in pictures for _, line in one.lines)
        has_polygons = any(n > 6 and n % 2 and n not in settings.columns for n in lengths)
        landmarks = tuple(n for n in settings.columns if not (has_polygons and n % 2))
        found = [self._listed(folder, one, landmarks, settings.names, complain) for one in pictures]
        kinds = {kind for one in found for kind in one.kinds.tolist()}
        classes = tuple(settings.names.values()) or tuple(sorted(kinds, key=int))
        source = label_folder(folder)
        notes = (*_describe_lengths(source, lengths, landmarks), *_unlabelled(pictures))
        return Listing(found, source, folder, "line {}", classes, notes)

    def _listed(
        self,
        folder: Path,
        one: _Picture,
        landmarks: Sequence[int],
        names: Mapping[int, str],
        complain: Complain,
    ) -> Listed:
        """A picture; its boxes have the names of their classes, or their numbers."""
        file = os.path.relpath(one.path, folder).replace(os.sep, "/")
        try:
            height, width = read_size(one.path, self.upright) if one.lines else (1, 1)
        except FacedetError as error:
            complain(str(error))
            return listed(file, one.path, [], None, one.label)
        rows = []
        for number, line in one.lines:
            parsed = _parse(line, landmarks)
            if isinstance(parsed, str):
                complain(f"{one.label}, line {number}: {quoted(line)} {parsed}")
                continue
            kind, (x1, y1, x2, y2) = parsed
            if names and kind not in names:
                text = f"there is no class {kind}, only {len(names)} names"
                complain(f"{one.label}, line {number}: {text}")
                continue
            pixels = (x1 * width, y1 * height, x2 * width, y2 * height)
            rows.append(Row(pixels, number, names.get(kind, str(kind))))
        return listed(file, one.path, rows, None, one.label)

    def write(self, root: Path, splits: Mapping[str, Sequence[Listed]]) -> list[str]:
        """Writes ROOT/labels/SPLIT/**.txt and data.yaml; what is to be ignored gets a class."""
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


def read_yolo(root: str | Path, split: str, *, upright: bool = True, **choices: Any) -> Reading:  # noqa: ANN401
    """`Format.read`; `upright`: the sides are those of pictures turned as EXIF asks."""
    return Yolo(upright).read(root, split, **choices)


def _pair(root: Path, place: Path) -> list[tuple[Path, Path | None]]:
    """The pictures of a folder or of a list, each with its label."""
    if place.is_file():
        paths = listed_pictures(root, place)
        return [(path, _label_of(path) if os.path.isfile(path) else None) for path in paths]
    source = label_folder(place)
    labels = {stem_of(file): source / file for file in find_files(source, _TEXTS)}
    for name in CLASS_LISTS:
        labels.pop(stem_of(name), None)
    pairs = [(place / file, labels.pop(stem_of(file), None)) for file in find_files(place)]
    # A label whose picture is missing: only its name is of use, for the size is not known.
    return pairs + [(place / f"{stem}.jpg", None) for stem in labels]


def _label_of(path: Path) -> Path | None:
    """The label of a picture: in the folder of labels, or beside it."""
    ways = [beside_images(path).with_suffix(".txt"), path.with_suffix(".txt")]
    return next((way for way in ways if way.is_file()), None)


def _read_label(path: Path | None, complain: Complain) -> list[tuple[int, str]]:
    """Number and text of the lines of a label file; none without a file."""
    try:
        lines = read_text(path).splitlines() if path is not None else []
    except FacedetError as error:
        complain(str(error))
        lines = []
    return [(at, line.strip()) for at, line in enumerate(lines, start=1) if line.strip()]


def _parse(line: str, landmarks: Sequence[int]) -> tuple[int, list[float]] | str:
    """The class of a line and its box xyxy in parts of the sides, or what is wrong with it."""
    try:
        numbers = [float(word) for word in line.split()]
    except ValueError:
        return "is not five numbers: class cx cy w h"
    count, kind = len(numbers), numbers[0]
    is_box = count in (_COLUMNS, _COLUMNS + 1, *landmarks)
    if not is_box and not (count > 6 and count % 2):
        return f"has {count} numbers, expected five: class cx cy w h"
    if not (kind.is_integer() and 0 <= kind < 2**31):
        return "does not begin with the number of a class"
    x, y = numbers[1::2], numbers[2::2]
    if is_box:
        x, y = numbers[1:2], numbers[2:3]
    if max(map(abs, (*x, *y))) > _MAX_CENTRE:
        return "is not in parts of the picture's sides, 0 … 1"
    if is_box:
        cx, cy, w, h = numbers[1:_COLUMNS]
        return int(kind), [cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2]
    return int(kind), [min(x), min(y), max(x), max(y)]


def _describe_lengths(
    source: Path, lengths: Mapping[int, int], landmarks: Sequence[int]
) -> Iterator[str]:
    """What was made of lines that say more than a box."""
    extra = sum(lengths.get(count, 0) for count in (_COLUMNS + 1, *landmarks))
    if extra:
        yield f"{source}: the numbers after the box are passed over in {extra:,} lines"
    polygons = sum(n for count, n in lengths.items() if count > 6 and count not in landmarks)
    if polygons:
        yield f"{source}: of {polygons:,} lines that are polygons the bounding boxes are taken"


def _unlabelled(pictures: Sequence[_Picture]) -> Iterator[str]:
    """Folders of pictures none of which has a label, though others do."""
    counts = Counter(one.path.parent for one in pictures)
    labelled = {one.path.parent for one in pictures if one.label is not None}
    for folder, count in counts.items():
        if count > 1 and folder not in labelled:  # one alone may well be without a face
            yield (
                f"{folder}: none of its {count:,} pictures has a label, so they have no faces; "
                f"looked for {beside_images(folder)}/*.txt"
            )
