"""YOLO's text files.

ROOT/images/{train,val}/**, ROOT/labels/{train,val}/**.txt     or ROOT/{train,valid}/{images,labels}
                                                               or ROOT/{train,valid}, both in one
ROOT/data.yaml     names of the classes, and where the pictures are if they are elsewhere: by split
                   a folder, a text file that lists pictures, or a list of these; optional

A label file has a line `class cx cy w h` per box, in parts of the picture's sides as it is seen:
the sizes are read from the headers of the pictures. A picture without a label file has no face.
Further numbers (a confidence; landmarks of five points, or as many as data.yaml's `kpt_shape` says)
are ignored, and of polygons `class x1 y1 x2 y2 x3 y3 …` the bounding box is taken.
"""

import math
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]

from facedet.data.images import PICTURE_SUFFIXES, read_size
from facedet.data.readers import layout
from facedet.data.readers.layout import find_files, find_pictures, stem_of
from facedet.data.readers.own import IGNORE_CLASS, Format, Listed, Listing, Row, quoted
from facedet.data.readers.text import read_text
from facedet.errors import FacedetError, one_line
from facedet.structures import Reading

_SETTINGS = ("data.yaml", "data.yml", "dataset.yaml")
_CLASS_LISTS = ("classes.txt", "obj.names", "_darknet.labels")
_BOX = (5, 6)  # numbers in a line: a box, without and with a confidence
_LANDMARKS: tuple[int, ...] = (15, 20)  # a box and five points, without and with their visibility
_Pairs = Iterable[tuple[Path, Path | None]]  # pictures, each with its label if it has one
_MAX_PART = 2.0  # boxes may reach outside a picture, but numbers this far from it are pixels


class Yolo(Format):
    """A folder of YOLO's files."""

    title = "YOLO"
    mark = "labels/ beside images/"
    is_relative = True

    def __init__(self, upright: bool = True) -> None:
        self.upright = upright  # the sides are those of the picture turned as EXIF asks

    def splits(self, root: Path) -> list[str]:
        """The splits that are there."""
        settings = _read_settings(root)
        return layout.splits_by(lambda split: _find_places(root, split, settings))

    def list_pictures(self, root: str | Path, split: str) -> Listing:
        """Lists the pictures and boxes of a split; see `Format.list_pictures`."""
        root = Path(root)
        settings = _read_settings(root)
        names = _class_names(root, settings)
        places = _find_places(root, split, settings)
        if not places:
            expected = f"labels/{split} beside images/{split}, {split}/labels beside {split}/images"
            raise self.no_annotations(root, split, f"{expected}, and in {_SETTINGS[0]}")
        pairs = [pair for place in places for pair in _pair(root, split, place)]
        folder = places[0]
        if pairs and (len(places) > 1 or folder.is_file()):
            folder = Path(os.path.commonpath([os.path.abspath(path.parent) for path, _ in pairs]))
        problems: list[str] = []
        lines = [_read_label(label, problems) for _, label in pairs]
        lengths = Counter(len(line.split()) for some in lines for _, line in some)
        columns = _columns(settings, lengths)
        pictures = []
        for (path, label), some in zip(pairs, lines, strict=True):
            try:
                height, width = read_size(path, self.upright) if some else (1, 1)
            except FacedetError as error:
                problems.append(str(error))
                some = []
            rows = []
            for number, line in some:
                parsed = _parse(line, columns, names)
                if isinstance(parsed, str):
                    problems.append(f"{label}, line {number}: {quoted(line)} {parsed}")
                else:
                    kind, (x1, y1, x2, y2) = parsed
                    box = (x1 * width, y1 * height, x2 * width, y2 * height)
                    rows.append(Row(box, f"line {number}", names.get(kind, str(kind))))
            file = os.path.relpath(path, folder).replace(os.sep, "/")
            pictures.append(Listed(file, path, rows))
        classes = names.values() or sorted({row.kind for one in pictures for row in one.rows})
        source = _label_folder(folder)
        notes = list(_notes(source, pairs, lengths, columns))
        return Listing(pictures, source, folder, tuple(classes), problems, notes)


def yolo_line(box: Sequence[float], size: tuple[int, int], kind: int = 0) -> str:
    """The line of a box, xyxy pixels of a picture of `size` (height, width), with its end."""
    (height, width), (x1, y1, x2, y2) = size, box
    parts = (x1 + x2) / 2 / width, (y1 + y2) / 2 / height, (x2 - x1) / width, (y2 - y1) / height
    # Nine decimals are 1e-5 px of a picture of 10,000 px.
    return " ".join([str(kind), *(f"{part:.9f}" for part in parts)]) + "\n"


def write_yolo(root: Path, splits: Mapping[str, Sequence[Listed]]) -> list[str]:
    """Writes ROOT/labels/SPLIT/**.txt and data.yaml; notes boxes to be ignored, a class here."""
    ignored = 0
    for split, pictures in splits.items():
        for one in pictures:
            path = root / "labels" / split / f"{stem_of(one.file)}.txt"
            path.parent.mkdir(parents=True, exist_ok=True)
            size, ignored = read_size(one.path), ignored + int(one.ignore.sum())
            lines = [yolo_line(row.box, size, int(row.is_ignored)) for row in one.rows]
            path.write_text("".join(lines), encoding="utf-8")
    text = "".join(f"{split}: images/{split}\n" for split in splits) + "names:\n  0: face\n"
    text += f"  1: {IGNORE_CLASS}\n" if ignored else ""
    (root / _SETTINGS[0]).write_text(text, encoding="utf-8")
    note = f"{ignored:,} boxes to be ignored are written as class 1, {IGNORE_CLASS}"
    return [note] if ignored else []


def read_yolo(root: str | Path, split: str, *, upright: bool = True, **choices: Any) -> Reading:  # noqa: ANN401
    """`Format.read`; `upright`: the sides are those of pictures turned as EXIF asks."""
    return Yolo(upright).read(root, split, **choices)


def _read_settings(root: Path) -> dict[str, Any]:
    """What ROOT/data.yaml says; nothing without it."""
    source = next((root / name for name in _SETTINGS if (root / name).is_file()), None)
    text = read_text(source) if source else "{}"
    try:
        content = yaml.safe_load(text)
    # PyYAML's constructors raise almost anything on what does not fit: KeyError, IndexError.
    except Exception as error:
        raise FacedetError(f"{source} cannot be read as YAML: {one_line(error)}") from error
    if not isinstance(content, dict):
        raise FacedetError(f"{source} is {quoted(content)}, expected names of the classes")
    return content


def _class_names(root: Path, settings: Mapping[str, Any]) -> dict[int, str]:
    """The classes by number, of data.yaml or of a list as labelling tools leave it."""
    names = settings.get("names", {})
    folders = [root / folder for folder in (".", "labels", "labels/train", "train")]
    lists = (folder / name for folder in folders for name in _CLASS_LISTS)
    if not settings and (source := next(filter(Path.is_file, lists), None)):
        names = [line.strip() for line in read_text(source).splitlines() if line.strip()]
    names = [names] if isinstance(names, str) else names
    names = dict(enumerate(names)) if isinstance(names, list) else names
    if not isinstance(names, dict) or not all(str(key).isdecimal() for key in names):
        raise FacedetError(f"{root}/data.yaml: names is {quoted(names)}, expected a list of names")
    return {int(key): str(name) for key, name in names.items()}


def _find_places(root: Path, split: str, settings: Mapping[str, Any]) -> list[Path]:
    """The folders of a split's pictures, or files that list them; none where there are none.

    Of those in data.yaml that are not there, which may be another machine's, leading folders are
    dropped. Exports by Roboflow climb once too often: "../train/images".
    """
    words = layout.spellings(split)
    found = []
    for given in (settings.get(word) or [] for word in words):
        for place in given if isinstance(given, list) else [given]:
            if not isinstance(place, str):
                expected = "expected folders or text files of pictures"
                raise FacedetError(f"{root}/data.yaml: {split} is {quoted(given)}, {expected}")
            path = place.replace("\\", "/")
            parts = [part for part in path.split("/") if part not in ("", ".", "..")]
            ends = ["/".join(parts[at:]) for at in range(max(1, len(parts) - 1))]
            ways = [root / str(settings.get("path") or "") / path, *(root / end for end in ends)]
            found += [way for way in ways if way.exists()][:1]
    found = [place for place in found if _is_labelled(place)]
    usual = ["images/{}", "{}/images", "{}", "{}.txt"]
    usual += ["images", "obj_train_data", "."] if split == layout.UNSPLIT else []
    guesses = (root / place.format(word) for place in usual for word in words)
    return found or next(([place] for place in guesses if _is_labelled(place)), [])


def _is_labelled(place: Path) -> bool:
    if place.is_file():
        first = read_text(place).strip().split("\n")[0] if place.suffix == ".txt" else ""
        return os.path.splitext(first.strip())[1].lower() in PICTURE_SUFFIXES
    labels = _label_folder(place)
    if labels != place:
        return not any(labels.rglob("*.xml"))
    pictures = (path for path in place.glob("*") if path.suffix.lower() in PICTURE_SUFFIXES)
    return any(path.with_suffix(".txt").is_file() for path in pictures)


def _label_folder(pictures: Path) -> Path:
    """Where the labels of a folder of pictures are: in `_beside_images`, or with the pictures."""
    labels = _beside_images(pictures)
    return labels if labels.is_dir() else pictures


def _beside_images(path: Path) -> Path:
    """The path with its last "images" replaced by "labels"."""
    before, found, after = f"{path.as_posix()}/".rpartition("/images/")
    return Path(f"{before}/labels/{after}") if found else path


def _pair(root: Path, split: str, place: Path) -> _Pairs:
    """The pictures of a folder or of a list, each with its label."""
    if place.is_file():
        lines = filter(None, map(str.strip, read_text(place).splitlines()))
        for _, path in find_pictures(root, split, lines)[1]:
            ways = (_beside_images(path).with_suffix(".txt"), path.with_suffix(".txt"))
            there = (way for way in ways if os.path.isfile(path) and way.is_file())
            yield path, next(there, None)
        return
    source = _label_folder(place)
    labels = {stem_of(file): source / file for file in find_files(source, frozenset((".txt",)))}
    labels = {stem: path for stem, path in labels.items() if path.name not in _CLASS_LISTS}
    for file in find_files(place):
        yield place / file, labels.pop(stem_of(file), None)
    # A label whose picture is missing: only its name is of use, for the size is not known.
    yield from ((place / f"{stem}.jpg", None) for stem in labels)


def _read_label(path: Path | None, problems: list[str]) -> list[tuple[int, str]]:
    """Number and text of the lines of a label file that are not empty."""
    try:
        lines = enumerate(read_text(path).splitlines() if path else (), start=1)
    except FacedetError as error:
        problems.append(str(error))
        return []
    return [(number, line.strip()) for number, line in lines if line.strip()]


def _columns(settings: Mapping[str, Any], lengths: Mapping[int, int]) -> list[int]:
    """How many numbers a line of a box may have; other lines are polygons."""
    shape, columns = settings.get("kpt_shape"), _LANDMARKS
    if isinstance(shape, list) and all(isinstance(side, int) for side in shape):
        columns = (5 + math.prod(shape),)
    # Landmarks have as many numbers in every line; polygons have not.
    has_polygons = any(n > 6 and n % 2 and n not in columns for n in lengths)
    return [*_BOX, *(n for n in columns if not (has_polygons and n % 2))]


def _parse(
    line: str, columns: Sequence[int], names: Mapping[int, str]
) -> tuple[int, list[float]] | str:
    """The class of a line and its box xyxy in parts of the sides, or what is wrong with it."""
    try:
        kind, *numbers = map(float, line.split())
    except ValueError:
        return "is not five numbers: class cx cy w h"
    count = 1 + len(numbers)
    is_box = count in columns
    if not is_box and not (count > 6 and count % 2):
        return f"has {count} numbers, expected five: class cx cy w h"
    if not (kind.is_integer() and 0 <= kind < 2**31):
        return "does not begin with the number of a class"
    if names and kind not in names:
        return f"is of class {kind:.0f}, but there are only {len(names)} names"
    if not all(abs(value) <= _MAX_PART for value in numbers[: 4 if is_box else None]):
        return "is not in parts of the picture's sides, 0 … 1"
    if is_box:
        cx, cy, w, h = numbers[:4]
        return int(kind), [cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2]
    x, y = numbers[::2], numbers[1::2]
    return int(kind), [min(x), min(y), max(x), max(y)]


def _notes(source: Path, pairs: _Pairs, lengths: Counter[int], columns: list[int]) -> Iterator[str]:
    """What was made of lines that say more than a box, and folders without any label."""
    extra = sum(lengths.get(count, 0) for count in columns[1:])
    if extra:
        yield f"{source}: the numbers after the box are ignored in {extra:,} lines"
    polygons = sum(n for count, n in lengths.items() if count > 6 and count not in columns)
    if polygons:
        yield f"{source}: of {polygons:,} lines that are polygons the bounding boxes are taken"
    labelled = {path.parent for path, label in pairs if label is not None}
    for folder, count in Counter(path.parent for path, _ in pairs).items():
        if count > 1 and folder not in labelled:  # one alone may well be without a face
            yield (
                f"{folder}: none of its {count:,} pictures has a label, so they have no faces; "
                f"looked for {_beside_images(folder)}/*.txt"
            )
