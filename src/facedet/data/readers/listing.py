"""What the annotations of people's own data say, whatever their format: pictures and boxes.

Each format has a module that lists (`coco`, `yolo`, `voc`, `csv_boxes`); `own_data` makes records
of it, `converting` another format, `checking` a report.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from facedet.data.images import PICTURE_SUFFIXES
from facedet.errors import FacedetError

# A class of this name marks what is neither a face nor a false alarm.
IGNORE_CLASS = "ignore"

# Called with one line on a malformed entry, which is then passed over.
Complain = Callable[[str], None]


class Listed(NamedTuple):
    """One picture as the annotations list it."""

    file: str  # path below the folder of pictures, with "/" and suffix
    path: Path  # of the picture, which need not exist
    boxes: np.ndarray  # [G, 4] float64 xyxy pixels, as they stand: perhaps not even finite
    ignore: np.ndarray  # [G] bool
    kinds: np.ndarray  # [G] int64: places in `Listing.classes`
    places: np.ndarray  # [G] int64: where a box stands in the annotations, see `Listing.place`
    size: tuple[int, int] | None = None  # (height, width) that the annotations say
    own_file: Path | None = None  # annotations of this picture alone; None: see `Listing.source`


class Listing(NamedTuple):
    """What the annotations of a split say."""

    pictures: list[Listed]
    source: Path  # the annotations: a file or a folder
    folder: Path  # of the pictures
    place: str  # a pattern that says where a box stands: "line {}"
    classes: tuple[str, ...] = ()  # names; numbers where they have none; (): boxes without a class


def refuse(text: str) -> None:
    """Complains by raising: nothing malformed gets into a training."""
    raise FacedetError(text)


def quoted(value: object) -> str:
    """A value out of a file for a message of one line."""
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}…'"


def decimal(value: float) -> str:
    """A coordinate in pixels with up to four decimals, none where it is whole."""
    return f"{round(value, 4) + 0.0:.4f}".rstrip("0").rstrip(".")  # -0.0 + 0.0 is written 0


def clean_path(text: str) -> str:
    """A picture's path as annotations give it, as one that stays below a folder.

    Of an absolute path, or of one that climbs, the last folder and the name are left.
    """
    given = text.replace("\\", "/").split("/")
    is_foreign = given[0] == "" or given[0].endswith(":") or ".." in given
    parts = [part for part in given if part not in ("", ".", "..")]
    return "/".join(parts[-2:] if is_foreign else parts)


def name_of(file: str, split: str) -> str:
    """The name EVENT/IMAGE of a picture, which detection files need.

    Folders are joined by "--"; a picture in none has its split for an event.
    """
    folders, _, image = file.rpartition("/")
    stem, suffix = os.path.splitext(image)
    while suffix.lower() in PICTURE_SUFFIXES:
        image = stem
        stem, suffix = os.path.splitext(image)
    return f"{folders.replace('/', '--') or split}/{image}"


def stem_of(file: str) -> str:
    """A path below a folder without its suffix, by which picture and annotation find each other."""
    return os.path.splitext(file)[0]
