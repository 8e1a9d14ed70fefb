"""The annotation files of WIDER FACE: the .mat, the text form of it, and the subset lists.

The .mat nests cells: `face_bbx_list{event}{image}` is [G, 4] int32 x, y, w, h, and `gt_list`
likewise holds the 1-based places of the faces that a subset keeps.
"""

from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np

from facedet.data.readers.mat import load_mat
from facedet.data.readers.number_rows import FARTHEST, are_within, parse_rows, wanted_numbers
from facedet.errors import FacedetError

SUBSETS = ("easy", "medium", "hard")
# In the order of the text file's columns 5 to 10.
ATTRIBUTES = ("blur", "expression", "illumination", "invalid", "occlusion", "pose")

_COLUMNS = 4 + len(ATTRIBUTES)


class Entry(NamedTuple):
    """One picture as an annotation file lists it."""

    name: str  # "EVENT/IMAGE", without a suffix
    rows: np.ndarray  # [G, 10] float64: x, y, w, h, then ATTRIBUTES


def read_mat(path: Path) -> list[Entry]:
    """Reads `wider_face_{split}.mat`.

    Raises:
        FacedetError: the file is missing, broken or lists a picture twice, or an entry's arrays
            do not fit together; the message names the file and the entry.
    """
    labels = [f"{name}_label_list" for name in ATTRIBUTES]
    entries = []
    for name, (boxes, *values) in _walk_mat(path, ["face_bbx_list", *labels]):
        if boxes.size and (boxes.ndim != 2 or boxes.shape[1] != 4):
            raise FacedetError(f"{path}: the boxes of {name} are {list(boxes.shape)}, not [G, 4]")
        boxes = boxes.reshape(-1, 4)
        for label, value in zip(labels, values, strict=True):
            if value.size != len(boxes):
                raise FacedetError(f"{path}: {name} has {len(boxes)} boxes, {value.size} {label}")
        rows = np.column_stack([boxes, *(value.ravel() for value in values)]).astype(np.float64)
        if not are_within(rows, FARTHEST):
            raise FacedetError(f"{path}: a box of {name} is not {wanted_numbers(FARTHEST)}")
        entries.append(Entry(name, rows))
    return _unique(entries, path)


def read_txt(path: Path) -> list[Entry]:
    """Reads `wider_face_{split}_bbx_gt.txt`: name, count, then ten numbers per box.

    A picture without a face says 0 and goes on with a dummy line of ten zeros. It is read as
    one box of zero size, which is what the .mat holds in its place.

    Raises:
        FacedetError: the file is missing, lists a picture twice, or a line is not what its place
            demands; the message names the file and the line.
    """
    try:
        lines = path.read_text(encoding="utf-8").rstrip().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise FacedetError(f"{path} cannot be read: {error}") from error
    entries, place = [], 0
    while place < len(lines):
        name = _picture_name(lines[place], f"{path}, line {place + 1}")
        count = lines[place + 1].strip() if place + 1 < len(lines) else ""
        if not count.isdecimal() or len(count) > 9:  # int() refuses thousands of digits
            raise FacedetError(f"{path}, line {place + 2}: '{count[:80]}' is no number of boxes")
        place += 2
        size = int(count)
        if size == 0 and place < len(lines) and lines[place].split() == ["0"] * _COLUMNS:
            size = 1
        rows = parse_rows(lines, place, size, _COLUMNS, str(path), FARTHEST)
        entries.append(Entry(name, rows))
        place += size
    return _unique(entries, path)


def read_subsets(folder: Path, split: str, entries: list[Entry]) -> list[np.ndarray] | None:
    """Reads the easy, medium and hard lists of a split.

    Args:
        folder: holds wider_{easy,medium,hard}_{split}.mat.
        split: the split's name.
        entries: the pictures that the lists must cover, with all their boxes in file order.

    Returns:
        Per entry a mask [G, 3] bool of the faces that easy, medium and hard keep; None where the
        folder has no list of this split.

    Raises:
        FacedetError: one of the three lists is missing, or a list disagrees with the entries.
    """
    paths = [folder / f"wider_{subset}_{split}.mat" for subset in SUBSETS]
    if not any(path.is_file() for path in paths):
        return None
    masks = {entry.name: np.zeros((len(entry.rows), len(SUBSETS)), bool) for entry in entries}
    for column, path in enumerate(paths):
        listed = list(_walk_mat(path, ["gt_list"]))
        strange = {name for name, _ in listed} ^ masks.keys()
        if strange or len(listed) != len(masks):
            example = f", {min(strange)} is in one only" if strange else ""
            raise FacedetError(
                f"{path} lists {len(listed):,} pictures, the annotations {len(masks):,}{example}"
            )
        for name, (places,) in listed:
            mask = masks[name]
            numbers = places.ravel()
            if numbers.size and not (numbers.min() >= 1 and numbers.max() <= len(mask)):
                raise FacedetError(
                    f"{path}: {name} keeps faces {numbers.min()} to {numbers.max()}, "
                    f"but has {len(mask)} boxes"
                )
            mask[numbers.astype(np.int64) - 1, column] = True
    return [masks[entry.name] for entry in entries]


def _unique(entries: list[Entry], path: Path) -> list[Entry]:
    """The entries, after a check that there are some and that none is listed twice."""
    if not entries:
        raise FacedetError(f"{path} lists no picture")
    names = sorted(entry.name for entry in entries)
    for before, name in zip(names[:-1], names[1:], strict=True):
        if before == name:
            raise FacedetError(f"{path} lists {name} twice")
    return entries


def _picture_name(text: str, source: str) -> str:
    """The name EVENT/IMAGE in EVENT/IMAGE.jpg."""
    path = PurePosixPath(text.strip())
    if path.suffix != ".jpg" or len(path.parts) != 2 or path.parts[0] in ("/", ".."):
        raise FacedetError(f"{source}: '{text.strip()[:80]}' is no EVENT/IMAGE.jpg")
    return str(path.with_suffix(""))


def _walk_mat(path: Path, variables: list[str]) -> Iterator[tuple[str, list[np.ndarray]]]:
    """Yields "EVENT/IMAGE" and one numeric array per variable for each picture of a .mat."""
    content = load_mat(path, ["event_list", "file_list", *variables])
    events = _cells(content["event_list"], f"{path}: event_list")
    columns = {key: _cells(content[key], f"{path}: {key}") for key in ["file_list", *variables]}
    for key, column in columns.items():
        if len(column) != len(events):
            raise FacedetError(f"{path}: {len(events)} events, but {key} has {len(column)}")
    for place, cell in enumerate(events):
        event = _text(cell, f"{path}: event {place + 1}")
        lists = [
            _cells(column[place], f"{path}: {key} of {event}") for key, column in columns.items()
        ]
        sizes = dict(zip(columns, map(len, lists), strict=True))
        if len(set(sizes.values())) > 1:
            raise FacedetError(f"{path}: the lists of {event} differ in length: {sizes}")
        for file, *values in zip(*lists, strict=True):
            name = _picture_name(f"{event}/{_text(file, f'{path}: {event}')}.jpg", str(path))
            if any(value.dtype.kind not in "iuf" for value in values):
                raise FacedetError(f"{path}: {name} holds something else than numbers")
            yield name, values


def _cells(array: np.ndarray, source: str) -> list[np.ndarray]:
    """The cells of a cell array; an empty one has lost its type."""
    if array.dtype != object and array.size:
        raise FacedetError(f"{source} is {array.dtype}, not a cell array")
    cells = list(array.ravel())
    if not all(isinstance(cell, np.ndarray) for cell in cells):
        raise FacedetError(f"{source} is a struct without fields, not a cell array")
    return cells


def _text(cell: np.ndarray, source: str) -> str:
    """The string in a cell, of one line."""
    text = str(cell.ravel()[0]) if cell.dtype.kind == "U" and cell.size == 1 else ""
    if text.splitlines() != [text]:
        raise FacedetError(f"{source} has a name that is no text of one line")
    return text
