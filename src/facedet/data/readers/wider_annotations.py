"""WIDER FACE's annotation files: the .mat, the same as text, label lists, and the subset lists.

The .mat nests cells: `face_bbx_list{event}{image}` is [G, 4] int32 x, y, w, h, and `gt_list`
likewise holds the 1-based places of the faces that a subset keeps.
"""

import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np

from facedet.data.images import PICTURE_SUFFIXES
from facedet.data.readers.mat import cell_text, cells, load_mat
from facedet.data.readers.text import (
    MAX_DISTANCE,
    are_within,
    describe_numbers,
    parse_numbers,
    read_blocks,
    read_text,
)
from facedet.errors import FacedetError

log = logging.getLogger(__name__)

SUBSETS = ("easy", "medium", "hard")
# In the order of the text file's columns 5 to 10.
ATTRIBUTES = ("blur", "expression", "illumination", "invalid", "occlusion", "pose")

_COLUMNS = 4 + len(ATTRIBUTES)


class Entry(NamedTuple):
    """One picture as an annotation file lists it."""

    file: str  # "EVENT/IMAGE.jpg"
    rows: np.ndarray  # [G, 10] float64: x, y, w, h, then ATTRIBUTES

    @property
    def name(self) -> str:
        """The file without its suffix."""
        return str(PurePosixPath(self.file).with_suffix(""))


def annotation_files(root: str | Path, split: str) -> dict[str, Path]:
    """By kind ("list", "mat", "txt" or "labels"), the files that may hold a split's annotations.

    A list of the test pictures comes before the official .mat, which has no boxes of them. Label
    lists are where RetinaFace and SCRFD have them: SPLIT/label.txt, SPLIT/labelv2.txt or
    labelv2/SPLIT/labelv2.txt.
    """
    root = Path(root)
    stem = f"wider_face_split/wider_face_{split}"
    files = {"mat": root / f"{stem}.mat", "txt": root / f"{stem}_bbx_gt.txt"}
    if (names := root / f"{stem}_filelist.txt").is_file():
        files = {"list": names, **files}
    lists = (f"{split}/label.txt", f"{split}/labelv2.txt", f"labelv2/{split}/labelv2.txt")
    there = [root / file for file in lists if (root / file).is_file()]
    return {**files, "labels": there[0]} if there else files


def read_mat(path: Path) -> list[Entry]:
    """Reads `wider_face_{split}.mat`.

    Raises:
        FacedetError: the file is missing, broken or lists a picture twice, or an entry's arrays
            do not fit together; the message names the file and the entry.
    """
    labels = [f"{name}_label_list" for name in ATTRIBUTES]
    entries = []
    for file, (boxes, *values) in _walk_mat(path, ["face_bbx_list", *labels]):
        name = file.removesuffix(".jpg")
        if boxes.size and (boxes.ndim != 2 or boxes.shape[1] != 4):
            raise FacedetError(f"{path}: the boxes of {name} are {list(boxes.shape)}, not [G, 4]")
        boxes = boxes.reshape(-1, 4)
        for label, value in zip(labels, values, strict=True):
            if value.size != len(boxes):
                raise FacedetError(f"{path}: {name} has {len(boxes)} boxes, {value.size} {label}")
        rows = np.column_stack([boxes, *(value.ravel() for value in values)]).astype(np.float64)
        if not are_within(rows, MAX_DISTANCE):
            raise FacedetError(f"{path}: a box of {name} is not {describe_numbers(MAX_DISTANCE)}")
        entries.append(Entry(file, rows))
    return _unique(entries, path)


def read_txt(path: Path) -> list[Entry]:
    """Reads `wider_face_{split}_bbx_gt.txt`: name, count, then ten numbers per box, or four.

    A picture without a face says 0, and then has a dummy line of zeros. It is read as one box of
    zero size, which is what the .mat holds in its place.

    Raises:
        FacedetError: the file is missing, lists a picture twice, or a line is not what its place
            demands; the message names the file and the line.
    """
    texts = [(str(path), path.name, read_text(path))]
    entries = []
    for file, rows, _ in read_blocks(texts, (_COLUMNS, 4), MAX_DISTANCE, _check_file):
        attributes = np.zeros((len(rows), _COLUMNS - rows.shape[1]))
        entries.append(Entry(file, np.hstack([rows, attributes])))
    return _unique(entries, path)


def read_list(path: Path) -> list[Entry]:
    """Reads `wider_face_test_filelist.txt`: the test pictures, whose faces are not published.

    Raises:
        FacedetError: the file cannot be read, lists a picture twice, or a line is no picture.
    """
    lines = enumerate(read_text(path).splitlines(), start=1)
    files = [_check_file(line, f"{path}, line {number}") for number, line in lines if line.strip()]
    return _unique([Entry(file, np.zeros((0, _COLUMNS))) for file in files], path)


def read_labels(path: Path) -> list[Entry]:
    """Reads a label list of RetinaFace or SCRFD.

    A line `# IMAGE.jpg` is followed by a line of numbers per face: x y w h or, below a line
    `# IMAGE.jpg WIDTH HEIGHT`, x1 y1 x2 y2. Further numbers, such as landmarks and a confidence,
    are passed over, which is logged.

    Raises:
        FacedetError: the file cannot be read, lists a picture twice, or a line is malformed.
    """
    found: list[tuple[str, list[list[float]]]] = []
    extra, has_corners = 0, False
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        words, place = line.split(), f"{path}, line {number}"
        if line.startswith("#"):
            has_corners = len(words) > 3 and words[-1].isdecimal() and words[-2].isdecimal()
            name = " ".join(words[1:-2] if has_corners else words[1:]).replace("\\", "/")
            if PurePosixPath(name).suffix.lower() not in PICTURE_SUFFIXES or ".." in name:
                raise FacedetError(f"{place}: '{name[:80]}' is no picture's name")
            found.append((name.lstrip("/"), []))
        elif words:
            if not found:
                raise FacedetError(f"{place}: '{line[:80]}' comes before any '# IMAGE.jpg'")
            parse_numbers(words, (max(4, len(words)),), place)
            box = parse_numbers(words[:4], (4,), place, MAX_DISTANCE)
            if has_corners:
                box[2:] = box[2] - box[0], box[3] - box[1]
            found[-1][1].append(box)
            extra += len(words) > 4
    if extra:
        log.warning("%s: the numbers after the box are passed over in %s rows", path, f"{extra:,}")
    return _unique(
        [
            Entry(name, np.pad(np.array(rows).reshape(-1, 4), ((0, 0), (0, len(ATTRIBUTES)))))
            for name, rows in found
        ],
        path,
    )


def read_subsets(folder: Path, split: str, entries: Sequence[Entry]) -> list[np.ndarray] | None:
    """Reads wider_{easy,medium,hard}_{split}.mat in a folder.

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
        strange = {file.removesuffix(".jpg") for file, _ in listed} ^ masks.keys()
        if strange or len(listed) != len(masks):
            example = f", {min(strange)} is in one only" if strange else ""
            raise FacedetError(
                f"{path} lists {len(listed):,} pictures, the annotations {len(masks):,}{example}"
            )
        for file, (places,) in listed:
            name = file.removesuffix(".jpg")
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
    name, count = Counter(entry.name for entry in entries).most_common(1)[0]
    if count > 1:
        raise FacedetError(f"{path} lists {name} twice")
    return entries


def _check_file(text: str, place: str) -> str:
    """A picture's file EVENT/IMAGE.jpg."""
    path = PurePosixPath(text.replace("\\", "/"))
    is_picture = path.suffix.lower() in PICTURE_SUFFIXES
    if not is_picture or len(path.parts) != 2 or path.parts[0] in ("/", ".."):
        raise FacedetError(f"{place}: '{text[:80]}' is no EVENT/IMAGE.jpg")
    return str(path)


def _walk_mat(path: Path, variables: list[str]) -> Iterator[tuple[str, list[np.ndarray]]]:
    """Yields "EVENT/IMAGE.jpg" and one numeric array per variable for each picture of a .mat."""
    content = load_mat(path, ["event_list", "file_list", *variables])
    events = cells(content["event_list"], f"{path}: event_list")
    columns = {key: cells(content[key], f"{path}: {key}") for key in ["file_list", *variables]}
    for key, column in columns.items():
        if len(column) != len(events):
            raise FacedetError(f"{path}: {len(events)} events, but {key} has {len(column)}")
    for place, cell in enumerate(events):
        event = cell_text(cell, f"{path}: event {place + 1}")
        lists = [
            cells(column[place], f"{path}: {key} of {event}") for key, column in columns.items()
        ]
        sizes = dict(zip(columns, map(len, lists), strict=True))
        if len(set(sizes.values())) > 1:
            raise FacedetError(f"{path}: the lists of {event} differ in length: {sizes}")
        for name, *values in zip(*lists, strict=True):
            file = _check_file(f"{event}/{cell_text(name, f'{path}: {event}')}.jpg", str(path))
            if any(value.dtype.kind not in "iuf" for value in values):
                raise FacedetError(f"{path}: {file} holds something else than numbers")
            yield file, values
