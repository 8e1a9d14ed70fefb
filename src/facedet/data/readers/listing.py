"""What the annotations of people's own data say, whatever their format: pictures and boxes."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from facedet.errors import FacedetError

# A class of this name marks what is neither a face nor a false alarm.
IGNORE_CLASS = "ignore"

# Called with one line on a malformed entry, which is then passed over.
Complain = Callable[[str], None]


class Row(NamedTuple):
    """One box as the annotations list it."""

    box: Sequence[float]  # xyxy pixels, as they stand: perhaps not even finite
    place: int  # where it stands in the annotations, see `Listing.place`
    kind: str = ""  # its class, "" without one
    is_ignored: bool = False


class Listed(NamedTuple):
    """One picture as the annotations list it."""

    file: str  # path below the folder of pictures, with "/" and suffix
    path: Path  # of the picture, which need not exist
    boxes: np.ndarray  # [G, 4] float64 xyxy pixels, as they stand
    ignore: np.ndarray  # [G] bool
    kinds: np.ndarray  # [G] texts: the boxes' classes
    places: np.ndarray  # [G] int64: where a box stands in the annotations, see `Listing.place`
    size: tuple[int, int] | None = None  # (height, width) that the annotations say
    own_file: Path | None = None  # annotations of this picture alone; None: see `Listing.source`

    def take(self, taken: np.ndarray) -> "Listed":
        """The picture with some of its boxes, by a mask [G]."""
        parts = (self.boxes, self.ignore, self.kinds, self.places)
        boxes, ignore, kinds, places = (part[taken] for part in parts)
        return self._replace(boxes=boxes, ignore=ignore, kinds=kinds, places=places)


def listed(
    file: str,
    path: Path,
    rows: Sequence[Row],
    size: tuple[int, int] | None = None,
    own_file: Path | None = None,
) -> Listed:
    """A picture of rows; the arguments are the attributes of `Listed`."""
    return Listed(
        file,
        path,
        np.array([row.box for row in rows], dtype=np.float64).reshape(-1, 4),
        np.array([row.is_ignored for row in rows], dtype=bool),
        np.array([row.kind for row in rows], dtype=np.str_),
        np.array([row.place for row in rows], dtype=np.int64),
        size,
        own_file,
    )


class Listing(NamedTuple):
    """What the annotations of a split say."""

    pictures: list[Listed]
    source: Path  # the annotations: a file or a folder
    folder: Path  # of the pictures
    place: str  # a pattern that says where a box stands: "line {}"
    classes: tuple[str, ...] = ()  # names; numbers where they have none; (): boxes without a class
    notes: tuple[str, ...] = ()  # what was passed over, or is strange, in one line each


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
