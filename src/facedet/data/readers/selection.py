"""Which annotated pictures and boxes a reading takes: what is on disk, and what has a size."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from facedet.errors import FacedetError, UsageError
from facedet.structures import Reading, Record


def check_choice(key: str, value: str, choices: Sequence[str]) -> None:
    """Refuses a misspelt choice, which would otherwise act as the last one."""
    if value not in choices:
        raise UsageError(f"{key}={value} is none of {', '.join(choices)}")


def find_folder(root: Path, names: Sequence[str]) -> Path:
    """The first of the subfolders `names` that exists, or `root` itself."""
    return next((root / name for name in names if (root / name).is_dir()), root)


def refuse_training(split: str, title: str) -> None:
    """Raises `UsageError` for the split "train" of data sets that are for testing only."""
    if split != "val":
        raise UsageError(f"{title} has no {split} pictures: it is a test set, read as val")


def present(
    paths: Sequence[Path], folder: Path, images: str, advice: str = "data.images=present"
) -> np.ndarray:
    """Which pictures are on disk: [N] bool.

    Args:
        paths: of the N pictures that the annotations list.
        folder: of the pictures, for the message.
        images: "all" demands every picture, "present" uses those on disk, at least one.
        advice: how to ask for "present".

    Raises:
        FacedetError: pictures are missing that are demanded.
    """
    check_choice("images", images, ("all", "present"))
    # Of a name that is too long for a file, `Path.is_file` raises.
    is_there = np.array([os.path.isfile(path) for path in paths], dtype=bool)
    missing = int((~is_there).sum())
    if missing and (images == "all" or missing == len(paths)):
        path = paths[int(is_there.argmin())]
        first = str(path.relative_to(folder) if path.is_relative_to(folder) else path)
        rest = "" if missing == len(paths) else f"; {advice} uses the rest"
        raise FacedetError(
            f"{folder}: {missing:,} of {len(paths):,} pictures are missing, the first is "
            f"{first if first.isprintable() else repr(first)}{rest}"
        )
    return is_there


def select(
    records: Sequence[Record], folder: Path, *, images: str, zero_size: str, faceless: str
) -> Reading:
    """The pictures on disk, with the boxes asked for.

    Args:
        records: all pictures of the annotations.
        folder: of the pictures, for messages.
        images: "all" demands every picture, "present" uses those on disk.
        zero_size: "drop" or "keep" the boxes whose width or height is zero or less.
        faceless: "drop" or "keep" the pictures that have no face then; boxes to be ignored are
            no faces.

    Returns:
        Records in their order; see `drop`. "missing_images" is counted too.

    Raises:
        FacedetError: pictures are missing.
        UsageError: an argument is none of its choices.
    """
    is_there = present([record.path for record in records], folder, images)
    used = [record for record, taken in zip(records, is_there, strict=True) if taken]
    reading = drop(used, zero_size, faceless)
    reading.counts["missing_images"] = len(records) - len(used)
    return reading


def drop(records: Sequence[Record], zero_size: str, faceless: str) -> Reading:
    """Leaves out boxes of no area, and pictures without a face; see `select`.

    Returns:
        The other records. Tags that have a row per box are cut with the boxes. Counts: "images",
        "faces" and "ignored_boxes" used; "zero_size_boxes" and
        "faceless_images" left out.
    """
    check_choice("zero_size", zero_size, ("drop", "keep"))
    check_choice("faceless", faceless, ("drop", "keep"))
    cut = [_with_size(record) for record in records] if zero_size == "drop" else list(records)
    used = [one for one in cut if faceless == "keep" or not one.ignore.all()]
    ignored = sum(int(one.ignore.sum()) for one in used)
    counts = {
        "images": len(used),
        "faces": sum(len(one.boxes) for one in used) - ignored,
        "ignored_boxes": ignored,
        "zero_size_boxes": sum(len(one.boxes) for one in records)
        - sum(len(one.boxes) for one in cut),
        "faceless_images": len(cut) - len(used),
        "missing_images": 0,
    }
    return Reading(used, counts)


def _with_size(record: Record) -> Record:
    """The record without boxes of no area."""
    kept = (record.boxes[:, 2:] > record.boxes[:, :2]).all(axis=1)
    if kept.all():
        return record
    tags = {
        key: value[kept] if isinstance(value, np.ndarray) else value
        for key, value in record.tags.items()
    }
    return record._replace(boxes=record.boxes[kept], ignore=record.ignore[kept], tags=tags)
