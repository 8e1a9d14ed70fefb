"""Test sets whose annotations list pictures: which of them are on disk, and how large they are."""

import os
from collections.abc import Sequence
from itertools import compress
from pathlib import Path

import numpy as np

from facedet.data.readers.selection import check_choice, require_pictures
from facedet.errors import UsageError
from facedet.structures import Reading, Record


def find_folder(root: Path, names: Sequence[str]) -> Path:
    """The first of the subfolders `names` that exists, or `root` itself."""
    return next((root / name for name in names if (root / name).is_dir()), root)


def refuse_training(split: str, title: str) -> None:
    """Raises `UsageError` for the split "train": these data sets are for testing only."""
    if split != "val":
        raise UsageError(f"{title} has no {split} pictures: it is a test set, read as val")


def assemble(
    records: Sequence[Record], root: Path, *, images: str, zero_size: str, faceless: str
) -> Reading:
    """Keeps what a reader was asked for.

    Args:
        records: all pictures of the annotations.
        root: folder of the data set, for the message.
        images: "all" demands every picture, "present" uses those on disk.
        zero_size: "drop" or "keep" the faces whose box has no area.
        faceless: "drop" or "keep" the pictures that have no face then.

    Returns:
        The records, and counts as `read_wider` has them.

    Raises:
        FacedetError: pictures are missing.
        UsageError: an argument is none of its choices.
    """
    check_choice("images", images, ("all", "present"))
    check_choice("zero_size", zero_size, ("drop", "keep"))
    check_choice("faceless", faceless, ("drop", "keep"))
    # Of a name that is too long for a file, `Path.is_file` raises.
    is_there = [os.path.isfile(record.path) for record in records]
    missing = require_pictures(root, [str(record.path) for record in records], is_there, images)
    present = list(compress(records, is_there))
    cut = [_drop_zero_size(record) if zero_size == "drop" else record for record in present]
    used = [record for record in cut if len(record.boxes) or faceless == "keep"]
    counts = {
        "images": len(used),
        "faces": sum(len(record.boxes) for record in used),
        "zero_size_boxes": sum(len(record.boxes) for record in present)
        - sum(len(record.boxes) for record in cut),
        "faceless_images": len(cut) - len(used),
        "missing_images": missing,
    }
    return Reading(used, counts)


def _drop_zero_size(record: Record) -> Record:
    """The record without faces of no area; tags that have a row per face are cut with them."""
    kept = (record.boxes[:, 2:] > record.boxes[:, :2]).all(axis=1)
    tags = {
        key: value[kept] if isinstance(value, np.ndarray) else value
        for key, value in record.tags.items()
    }
    return record._replace(boxes=record.boxes[kept], ignore=record.ignore[kept], tags=tags)
