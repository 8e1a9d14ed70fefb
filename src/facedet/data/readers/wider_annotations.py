"""WIDER FACE's annotation files: the .mat, the same as text, label lists, and the subset lists.

The .mat nests cells: `face_bbx_list{event}{image}` is [G, 4] int32 x, y, w, h, and `gt_list`
likewise holds the 1-based places of the faces that a subset keeps.
"""

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

import numpy as np

from facedet.data.images import PICTURE_SUFFIXES
from facedet.data.readers.mat import load_mat
from facedet.data.readers.text import (
    MAX_DISTANCE,
    are_within,
    describe_numbers,
    parse_numbers,
    read_blocks,
    read_text,
)
from facedet.errors import FacedetError
from facedet.structures import Record

log = logging.getLogger(__name__)

SUBSETS = ("easy", "medium", "hard")
# In the order of the text file's columns 5 to 10.
ATTRIBUTES = ("blur", "expression", "illumination", "invalid", "occlusion", "pose")
_COLUMNS = 4 + len(ATTRIBUTES)

# A picture's file "EVENT/IMAGE.jpg" and its rows [G, 10] float64: x, y, w, h, then ATTRIBUTES.
Entry = tuple[str, np.ndarray]


def annotation_files(root: Path, split: str) -> list[Path]:
    """The files that may hold a split's annotations, the preferred one first.

    A list of the test pictures comes before the official .mat, which has no boxes of them. Label
    lists are where RetinaFace and SCRFD have them.
    """
    return [
        root / "wider_face_split" / f"wider_face_{split}_filelist.txt",
        root / "wider_face_split" / f"wider_face_{split}.mat",
        root / "wider_face_split" / f"wider_face_{split}_bbx_gt.txt",
        root / split / "label.txt",
        root / split / "labelv2.txt",
        root / "labelv2" / split / "labelv2.txt",
    ]


def read_annotations(path: Path) -> list[Entry]:
    """Reads one of `annotation_files`.

    Raises:
        FacedetError: the file is missing, broken or lists no picture, or an entry is malformed;
            the message names the file, and the line or the entry.
    """
    if path.suffix == ".mat":
        entries = read_mat(path)
    elif path.name.startswith("label"):
        entries = read_labels(path)
    else:
        entries = read_list(path) if path.stem.endswith("filelist") else read_txt(path)
    if not entries:
        raise FacedetError(f"{path} lists no picture")
    return entries


def read_mat(path: Path) -> list[Entry]:
    """Reads `wider_face_{split}.mat`."""
    entries = []
    labels = [f"{name}_label_list" for name in ATTRIBUTES]
    for file, (boxes, *values) in _walk_mat(path, ["face_bbx_list", *labels]):
        columns = [value.reshape(-1, 1) for value in values]
        try:
            rows = np.hstack([boxes.reshape(-1, 4), *columns]).astype(np.float64)
        except ValueError as error:
            raise FacedetError(
                f"{path}: the boxes of {file} are not numbers [G, 4] with G of each attribute"
            ) from error
        if not are_within(rows, MAX_DISTANCE):
            raise FacedetError(f"{path}: a box of {file} is not {describe_numbers(MAX_DISTANCE)}")
        entries.append((file, rows))
    return entries


def read_txt(path: Path) -> list[Entry]:
    """Reads `wider_face_{split}_bbx_gt.txt`: name, count, then ten numbers per box, or four.

    A picture without a face says 0, and then has a dummy line of zeros. It is read as one box of
    zero size, which is what the .mat holds in its place.
    """
    texts = [(str(path), path.name, read_text(path))]
    return [
        (file, np.pad(rows, ((0, 0), (0, _COLUMNS - rows.shape[1]))))
        for file, rows, _ in read_blocks(texts, (_COLUMNS, 4), MAX_DISTANCE, _check_file)
    ]


def read_list(path: Path) -> list[Entry]:
    """Reads `wider_face_test_filelist.txt`: the test pictures, whose faces are not published."""
    lines = enumerate(read_text(path).splitlines(), start=1)
    files = [_check_file(line.strip(), f"{path}, line {at}") for at, line in lines if line.strip()]
    return [(file, np.zeros((0, _COLUMNS))) for file in files]


def read_labels(path: Path) -> list[Entry]:
    """Reads a label list of RetinaFace or SCRFD.

    A line `# IMAGE.jpg` is followed by a line of numbers per face: x y w h or, below a line
    `# IMAGE.jpg WIDTH HEIGHT`, x1 y1 x2 y2. Further numbers, such as landmarks and a confidence,
    are ignored, which is logged.
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
            x, y, w, h = parse_numbers(words, (max(4, len(words)),), place, MAX_DISTANCE)[:4]
            found[-1][1].append([x, y, w - x, h - y] if has_corners else [x, y, w, h])
            extra += len(words) > 4
    if extra:
        log.warning("%s: the numbers after the box are ignored in %s rows", path, f"{extra:,}")
    margin = ((0, 0), (0, len(ATTRIBUTES)))
    return [(name, np.pad(np.array(rows).reshape(-1, 4), margin)) for name, rows in found]


def add_subsets(folder: Path, split: str, records: Sequence[Record]) -> bool:
    """Reads wider_{easy,medium,hard}_{split}.mat in a folder, where there is one of them.

    Puts "subsets" [G, 3] bool into the records' tags: the faces that easy, medium and hard keep.

    Returns:
        Whether there are lists.

    Raises:
        FacedetError: one of the three lists is missing, or a list disagrees with the records.
    """
    paths = [folder / f"wider_{subset}_{split}.mat" for subset in SUBSETS]
    if not any(path.is_file() for path in paths):
        return False
    masks = {one.name: np.zeros((len(one.boxes), len(SUBSETS)), bool) for one in records}
    for column, path in enumerate(paths):
        listed = {
            file.removesuffix(".jpg"): places.ravel().astype(np.int64)
            for file, (places,) in _walk_mat(path, ["gt_list"])
        }
        strange = listed.keys() ^ masks.keys()
        if strange:
            raise FacedetError(
                f"{path} lists {len(listed):,} pictures, the annotations {len(masks):,}, "
                f"{min(strange)} is in one only"
            )
        for name, places in listed.items():
            if ((places < 1) | (places > len(masks[name]))).any():
                raise FacedetError(
                    f"{path}: {name} keeps faces {places.min()} to {places.max()}, "
                    f"but has {len(masks[name])} boxes"
                )
            masks[name][places - 1, column] = True
    for record in records:
        record.tags["subsets"] = masks[record.name]
    return True


def _check_file(text: str, place: str) -> str:
    """A picture's file EVENT/IMAGE.jpg."""
    path = PurePosixPath(text.replace("\\", "/"))
    is_picture = path.suffix.lower() in PICTURE_SUFFIXES
    if not is_picture or len(path.parts) != 2 or path.parts[0] in ("/", ".."):
        raise FacedetError(f"{place}: '{text[:80]}' is no EVENT/IMAGE.jpg")
    return str(path)


def _walk_mat(path: Path, variables: list[str]) -> Iterator[tuple[str, list[np.ndarray]]]:
    """Yields "EVENT/IMAGE.jpg" and one array per variable for each picture of a .mat."""
    keys = ["event_list", "file_list", *variables]
    content = load_mat(path, keys)
    place = "the list of events"
    try:
        for event, *lists in zip(*(content[key].ravel() for key in keys), strict=True):
            place = event.item()
            for name, *values in zip(*(one.ravel() for one in lists), strict=True):
                yield _check_file(f"{place}/{name.item()}.jpg", str(path)), values
    except (ValueError, AttributeError) as error:  # no cells, or not as many as of another list
        raise FacedetError(f"{path}: {place} is not as WIDER FACE has it: {error}") from error
