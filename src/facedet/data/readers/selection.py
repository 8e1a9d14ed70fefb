"""Which annotated pictures and boxes a reading takes: what is on disk, and what has a size."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from facedet.errors import FacedetError, UsageError
from facedet.structures import Reading, Record


def find_folder(root: Path, names: Sequence[str]) -> Path:
    """The first of the subfolders `names` that exists, or `root` itself."""
    return next((root / name for name in names if (root / name).is_dir()), root)


def present(paths: Sequence[Path], folder: Path, images: str) -> list[bool]:
    """Which pictures are on disk: all of them, or with `images` "present" at least one.

    Raises:
        FacedetError: pictures are missing; `folder` is theirs, for the message.
    """
    if images not in ("all", "present"):
        raise UsageError(f"images={images} is none of all, present")
    # Of a name that is too long for a file, `Path.is_file` raises.
    is_there = [os.path.isfile(path) for path in paths]
    missing = is_there.count(False)
    if missing and (images == "all" or missing == len(paths)):
        path = paths[is_there.index(False)]
        first = str(path.relative_to(folder) if path.is_relative_to(folder) else path)
        hint = "; data.images=present (--images present) uses the rest"
        raise FacedetError(
            f"{folder}: {missing:,} of {len(paths):,} pictures are missing, the first is "
            f"{first if first.isprintable() else repr(first)}{hint * (missing < len(paths))}"
        )
    return is_there


def select(
    records: Sequence[Record],
    folder: Path | None,
    *,
    images: str = "all",
    zero_size: str = "drop",
    faceless: str = "drop",
) -> Reading:
    """The pictures on disk, with the boxes asked for.

    Args:
        records: all pictures of the annotations.
        folder: of the pictures, for messages; None: none needs to be on disk.
        images: "all" demands every picture, "present" uses those on disk, at least one.
        zero_size: "drop" or "keep" the boxes whose width or height is zero or less.
        faceless: "drop" or "keep" the pictures that have no face then; boxes to be ignored are
            no faces.

    Returns:
        Records in their order; tags that have a row per box are cut with the boxes. Counts:
        "images", "faces" and "ignored_boxes" used; "zero_size_boxes", "faceless_images" and
        "missing_images" left out.

    Raises:
        FacedetError: pictures are missing.
    """
    whole = list(records)
    if folder is not None:
        is_there = present([record.path for record in records], folder, images)
        whole = [record for record, taken in zip(records, is_there, strict=True) if taken]
    cut = [_with_size(record) for record in whole] if zero_size == "drop" else whole
    used = [one for one in cut if faceless == "keep" or not one.ignore.all()]
    ignored = sum(int(one.ignore.sum()) for one in used)
    counts = {
        "images": len(used),
        "faces": sum(len(one.boxes) for one in used) - ignored,
        "ignored_boxes": ignored,
        "zero_size_boxes": sum(len(one.boxes) for one in whole)
        - sum(len(one.boxes) for one in cut),
        "faceless_images": len(cut) - len(used),
        "missing_images": len(records) - len(whole),
    }
    return Reading(used, counts)


def read_test_set(
    title: str,
    read_truth: Callable[[str | Path], list[Record]],
    root: str | Path,
    split: str,
    **choices: Any,  # noqa: ANN401
) -> Reading:
    """The pictures of `read_truth` that `select` takes; raises `UsageError` where `split` is train.

    All of such a data set is for testing: `split` is "val".
    """
    if split != "val":
        raise UsageError(f"{title} has no {split} pictures: it is a test set, read as val")
    return select(read_truth(root), Path(root), **choices)


def _with_size(record: Record) -> Record:
    """The record without boxes of no area."""
    kept = (record.boxes[:, 2:] > record.boxes[:, :2]).all(axis=1)
    tags = {
        key: value[kept] if isinstance(value, np.ndarray) else value
        for key, value in record.tags.items()
    }
    return record._replace(boxes=record.boxes[kept], ignore=record.ignore[kept], tags=tags)
