"""WIDER FACE's form as one among the others: listed, and written from any of them.

Training and evaluation read it by `wider`, which keeps its attributes and lists.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

import numpy as np

from facedet.data.crowds.wider_writer import write_wider
from facedet.data.readers.listing import Complain, Listed, Listing, name_of, quoted, refuse
from facedet.data.readers.own_folders import SPELLINGS, UNSPLIT
from facedet.data.readers.wider import read_wider, read_wider_annotations
from facedet.data.readers.wider_annotations import SUBSETS
from facedet.errors import FacedetError
from facedet.structures import Reading, Record

_ANNOTATIONS = ("wider_face_{}.mat", "wider_face_{}_bbx_gt.txt")


def read_wider_form(
    root: Path, split: str, *, classes: str | Sequence[str] = "face", **choices: str
) -> Reading:
    """`read_wider`; the form has no classes, so any are its faces."""
    return read_wider(root, split, **choices)


def wider_splits(root: Path) -> list[str]:
    """The splits of a data set in WIDER FACE's form; none where it holds something else."""
    folder = root / "wider_face_split"
    return [
        split
        for split in (*SPELLINGS, UNSPLIT)
        if any((folder / name.format(split)).is_file() for name in _ANNOTATIONS)
    ]


def list_wider(root: Path, split: str, complain: Complain = refuse) -> Listing:
    """Lists a split of WIDER FACE; faces in none of its three lists are to be ignored.

    So the protocol takes them. The dummy box of a picture without a face is left out.

    Args:
        root: the data set's folder.
        split: its name.
        complain: never called; nothing is passed over.

    Raises:
        FacedetError: a file is missing, or anything in it is malformed.
    """
    folder = root / f"WIDER_{split}" / "images"
    pictures = []
    reading = read_wider_annotations(root, split, zero_size="keep", faceless="keep")
    for record in reading.records:
        boxes = record.boxes.astype(np.float64)
        kept = boxes.any(axis=1) if len(boxes) == 1 else np.ones(len(boxes), dtype=bool)
        subsets = record.tags.get("subsets")
        ignore = np.zeros(len(boxes), bool) if subsets is None else ~subsets.any(axis=1)
        kinds = np.zeros(int(kept.sum()), dtype=np.int64)
        places = np.flatnonzero(kept) + 1
        file = f"{record.name}.jpg"
        pictures.append(Listed(file, record.path, boxes[kept], ignore[kept], kinds, places))
    return Listing(pictures, root / "wider_face_split", folder, "box {}")


def write_wider_form(root: Path, splits: Mapping[str, Sequence[Listed]]) -> list[str]:
    """Writes wider_face_split, and ground_truth with lists of all faces but those to be ignored.

    Args:
        root: the new data set's folder.
        splits: by name, pictures; all boxes are faces.

    Returns:
        What the format could not hold, in words.
    """
    moved, farthest, ignored = 0, 0.0, 0
    for split, pictures in splits.items():
        records = []
        for one in pictures:
            whole, has_size = np.rint(one.boxes), one.boxes[:, 2:] > one.boxes[:, :2]
            # A face of half a pixel may not become empty.
            floor = np.where(has_size, whole[:, :2] + 1, whole[:, 2:])
            whole[:, 2:] = np.maximum(whole[:, 2:], floor)
            shifts = np.abs(whole - one.boxes).max(axis=1, initial=0.0)
            moved += int((shifts > 1e-3).sum())
            farthest = max(farthest, float(shifts.max(initial=0.0)))
            ignored += int(one.ignore.sum())
            tags = {"subsets": np.repeat(~one.ignore[:, None], len(SUBSETS), axis=1)}
            boxes = whole.astype(np.float32)
            records.append(Record(name_of(one.file, split), one.path, boxes, one.ignore, tags))
        write_wider(root, split, records)
    notes = {
        f"{moved:,} boxes are rounded to whole pixels, by at most {farthest:.2f} px": moved,
        f"{ignored:,} boxes to be ignored are left out of the lists that scores are taken on, but "
        "a training has them as faces": ignored,
    }
    return [note for note, number in notes.items() if number]


def wider_place(split: str, file: str) -> str:
    """Where the form keeps a picture.

    Raises:
        FacedetError: the picture is no JPEG by its name.
    """
    if PurePosixPath(file).suffix.lower() not in (".jpg", ".jpeg"):
        raise FacedetError(f"{quoted(file)} is no .jpg, and WIDER FACE's form holds only those")
    return f"WIDER_{split}/images/{name_of(file, split)}.jpg"
