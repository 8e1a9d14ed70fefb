"""WIDER FACE in its official layout (Yang et al., 2016): a folder becomes records.

ROOT/WIDER_val/images/EVENT/IMAGE.jpg
ROOT/wider_face_split/wider_face_val.mat, or wider_face_val_bbx_gt.txt
ROOT/ground_truth/wider_{easy,medium,hard}_val.mat     the evaluation subsets, of val only
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from facedet.data.readers.selection import check_choice, require_pictures
from facedet.data.readers.wider_annotations import (
    ATTRIBUTES,
    SUBSETS,
    Entry,
    read_mat,
    read_subsets,
    read_txt,
)
from facedet.errors import FacedetError
from facedet.structures import Reading, Record


def read_wider(
    root: str | Path,
    split: str,
    *,
    annotations: str = "auto",
    images: str = "all",
    zero_size: str = "drop",
    faceless: str = "drop",
) -> Reading:
    """Reads a split of WIDER FACE whose pictures are on disk.

    The pictures are not opened, so nothing is known of boxes that reach outside them; x and y
    may be negative. Some boxes of the official files have a width or height of zero or less:
    those are the "zero-size" boxes. Dropping them and the pictures they leave empty is EXTD's
    training list: 12,876 of 12,880 pictures, 159,393 of 159,424 boxes.

    Args:
        root: the folder that holds WIDER_{split} and wider_face_split.
        split: "train" or "val".
        annotations: "mat", "txt", or "auto", which prefers the .mat.
        images: "all" demands every picture, "present" uses those on disk.
        zero_size: "drop" or "keep" the boxes of zero size. A picture without a face holds one
            dummy box of zero size in both official files.
        faceless: "drop" or "keep" the pictures that have no box then.

    Returns:
        Records in the file's order, boxes xyxy with x2 = x + w. Tags: "event", one int array [G]
        per name of `ATTRIBUTES`, and "subsets" [G, 3] bool (easy, medium, hard) where the split
        has lists. Counts: "images" and "faces" used; "zero_size_boxes", "faceless_images" and
        "missing_images" left out.

    Raises:
        FacedetError: a picture or file is missing, or an annotation is malformed.
        UsageError: an argument is none of its choices.
    """
    check_choice("images", images, ("all", "present"))
    entries, subsets = _read_annotations(root, split, annotations)
    folder = _pictures(root, split)
    files = [f"{entry.name}.jpg" for entry in entries]
    # Of a name that is too long for a file, `Path.is_file` raises.
    is_there = [os.path.isfile(folder / file) for file in files]
    missing = require_pictures(folder, files, is_there, images)
    used = np.flatnonzero(is_there).tolist()
    reading = _assemble(
        [entries[place] for place in used],
        None if subsets is None else [subsets[place] for place in used],
        folder,
        zero_size,
        faceless,
    )
    reading.counts["missing_images"] = missing
    return reading


def read_wider_annotations(
    root: str | Path,
    split: str,
    *,
    annotations: str = "auto",
    zero_size: str = "drop",
    faceless: str = "drop",
) -> Reading:
    """Reads a split's annotations as `read_wider` does, whether or not the pictures are there."""
    entries, subsets = _read_annotations(root, split, annotations)
    return _assemble(entries, subsets, _pictures(root, split), zero_size, faceless)


def read_ground_truth(folder: str | Path, split: str = "val") -> list[Record]:
    """Reads what the WIDER FACE protocol scores against.

    Args:
        folder: holds wider_face_{split}.mat and wider_{easy,medium,hard}_{split}.mat, itself or
            in its subfolder ground_truth.
        split: the split's name.

    Returns:
        Every listed picture with all its boxes, those of zero size too, as the official toolbox
        has them; tags as of `read_wider`. The pictures need not exist.

    Raises:
        FacedetError: a file is missing, broken, or disagrees with another.
    """
    folder = Path(folder)
    if (folder / "ground_truth").is_dir():
        folder = folder / "ground_truth"
    entries = read_mat(folder / f"wider_face_{split}.mat")
    subsets = read_subsets(folder, split, entries)
    if subsets is None:
        raise FacedetError(
            f"{folder} holds no wider_easy_{split}.mat beside wider_face_{split}.mat"
        )
    return _assemble(entries, subsets, _pictures(folder.parent, split), "keep", "keep").records


def count_all_faces(records: Sequence[Record]) -> None:
    """Puts the faces of a split that has no lists, but for those of zero size, in one subset.

    Args:
        records: changed in place; "subsets" [G, 1] where a record has none.
    """
    for record in records:
        sides = record.boxes[:, 2:] - record.boxes[:, :2]
        record.tags.setdefault("subsets", (sides > 0).all(axis=1, keepdims=True))


def require_subsets(records: Sequence[Record], root: Path) -> None:
    """Raises `FacedetError` where a record does not say which faces are easy, medium and hard."""
    if any("subsets" not in record.tags for record in records):
        raise FacedetError(
            f"{root}: its faces are in no lists, expected "
            "ground_truth/wider_{easy,medium,hard}_val.mat of the WIDER FACE evaluation tools"
        )


def subset_names(records: Sequence[Record]) -> tuple[str, ...]:
    """The names of the columns of the records' "subsets": those of the lists, or "all"."""
    return SUBSETS if records[0].tags["subsets"].shape[1] == len(SUBSETS) else ("all",)


def _pictures(root: str | Path, split: str) -> Path:
    """The folder of a split's event folders."""
    return Path(root) / f"WIDER_{split}" / "images"


def _read_annotations(
    root: str | Path, split: str, annotations: str
) -> tuple[list[Entry], list[np.ndarray] | None]:
    """The entries of the file that `annotations` chooses, and their subset masks."""
    check_choice("annotations", annotations, ("auto", "mat", "txt"))
    folder = Path(root) / "wider_face_split"
    mat, txt = folder / f"wider_face_{split}.mat", folder / f"wider_face_{split}_bbx_gt.txt"
    if annotations == "auto":
        if not (mat.is_file() or txt.is_file()):
            raise FacedetError(f"{folder} holds neither {mat.name} nor {txt.name}")
        annotations = "mat" if mat.is_file() else "txt"
    entries = read_mat(mat) if annotations == "mat" else read_txt(txt)
    return entries, read_subsets(Path(root) / "ground_truth", split, entries)


def _assemble(
    entries: list[Entry],
    subsets: list[np.ndarray] | None,
    folder: Path,
    zero_size: str,
    faceless: str,
) -> Reading:
    """Turns entries into records, leaving out and counting what the arguments say."""
    check_choice("zero_size", zero_size, ("drop", "keep"))
    check_choice("faceless", faceless, ("drop", "keep"))
    counts = dict.fromkeys(
        ("images", "faces", "zero_size_boxes", "faceless_images", "missing_images"), 0
    )
    records = []
    for place, (name, listed) in enumerate(entries):
        has_size = (listed[:, 2:4] > 0).all(axis=1) | (zero_size == "keep")
        rows = listed[has_size]
        counts["zero_size_boxes"] += len(listed) - len(rows)
        if faceless == "drop" and not len(rows):
            counts["faceless_images"] += 1
            continue
        tags: dict[str, Any] = {
            key: rows[:, 4 + at].astype(np.int64) for at, key in enumerate(ATTRIBUTES)
        }
        tags["event"] = name.split("/")[0]
        if subsets is not None:
            # The lists count all boxes of the file, so their masks are cut down with the boxes.
            tags["subsets"] = subsets[place][has_size]
        boxes = np.hstack([rows[:, :2], rows[:, :2] + rows[:, 2:4]]).astype(np.float32)
        ignore = np.zeros(len(rows), dtype=bool)
        records.append(Record(name, folder / f"{name}.jpg", boxes, ignore, tags))
        counts["images"] += 1
        counts["faces"] += len(rows)
    return Reading(records, counts)
