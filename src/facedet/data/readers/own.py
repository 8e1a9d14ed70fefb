"""People's own data, whatever its format: what annotations list, and records made of it."""

import hashlib
import logging
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from facedet.data.readers.layout import (
    UNSPLIT,
    describe_places,
    find_annotations,
    name_of,
    splits_by,
)
from facedet.data.readers.selection import select
from facedet.data.readers.text import MAX_DISTANCE, are_within
from facedet.data.readers.wider_annotations import SUBSETS
from facedet.errors import FacedetError, UsageError
from facedet.structures import Reading, Record

log = logging.getLogger(__name__)

IGNORE_CLASS = "ignore"  # its boxes are neither faces nor false alarms


class Row(NamedTuple):
    """One box as the annotations list it."""

    box: Sequence[float]  # xyxy pixels, see `box_of`
    place: str  # where it stands in the annotations: "line 3"
    kind: str = ""  # its class, "" without one
    is_ignored: bool = False


class Listed(NamedTuple):
    """One picture as the annotations list it."""

    file: str  # path below the folder of pictures, with "/" and suffix
    path: Path  # of the picture, which need not exist
    rows: Sequence[Row] = ()
    size: tuple[int, int] | None = None  # (height, width) that the annotations say

    @property
    def boxes(self) -> np.ndarray:
        """[G, 4] float64 xyxy pixels."""
        return np.array([row.box for row in self.rows], dtype=np.float64).reshape(-1, 4)

    @property
    def ignore(self) -> np.ndarray:
        """[G] bool."""
        return np.array([row.is_ignored for row in self.rows], dtype=bool)


class Listing(NamedTuple):
    """What the annotations of a split say."""

    pictures: list[Listed]
    source: Path  # the annotations: a file or a folder
    folder: Path  # of the pictures
    classes: Sequence[str] = ()  # names; numbers where they have none; (): boxes without a class
    problems: Sequence[str] = ()  # malformed entries, which are left out, in one line each
    notes: Sequence[str] = ()  # what is ignored, or looks strange, in one line each


class Format(ABC):
    """One format of annotations: found in a folder, listed and read."""

    title: str
    mark: str  # what a folder of this format holds, for messages
    is_relative = False  # boxes are parts of the pictures' sides
    upright = True  # boxes are of the pictures turned as their EXIF orientation asks
    loses = ""  # what is not listed, and so is not in another format
    suffix = ""  # of the file of annotations, where a split has one; see `find_annotations`

    def splits(self, root: Path) -> list[str]:
        """The splits of a data set; none where the folder holds something else."""
        return splits_by(lambda split: find_annotations(root, split, self.suffix))

    def source(self, root: Path, split: str) -> Path:
        """The file of annotations of a split; raises `FacedetError` where there is none."""
        source = find_annotations(root, split, self.suffix)
        if source is None:
            raise self.no_annotations(root, split, describe_places(root, split, self.suffix))
        return source

    @abstractmethod
    def list_pictures(self, root: str | Path, split: str) -> Listing:
        """Lists a split; raises `FacedetError` where there is none or a file cannot be read."""

    def no_annotations(self, root: Path, split: str, expected: str) -> FacedetError:
        """The error for a split that is not there."""
        found = self.splits(root)
        hint = ""
        if found and (split == "val" or found == [UNSPLIT]):
            hint = f"; data.val_share=0.1 takes a tenth of '{found[0]}' for validation"
        return FacedetError(f"{root}: no annotations of {split}; looked for {expected}{hint}")

    def read(
        self,
        root: str | Path,
        split: str,
        *,
        classes: str | Sequence[str] = "face",
        val_share: float = 0.0,
        **choices: Any,  # noqa: ANN401
    ) -> Reading:
        """Reads a split; of the pictures at most the headers are read.

        Own data has no lists of easy, medium and hard faces. So that the metric of WIDER FACE can
        be computed, every face counts in all three, which makes the three numbers equal; boxes to
        be ignored and boxes of zero size count in none.

        Args:
            root: the data set's folder.
            split: "train", "val", "test", or "all" where the data has no splits.
            classes: names of the classes that are faces, or "all"; see `select_faces`.
            val_share: the part of the training pictures that is for validation, 0 … 1, where the
                data set has no "val". Which ones depends on their names alone.
            **choices: images, zero_size and faceless, see `selection.select`.

        Returns:
            Records in the listing's order. Tags: "event", and "subsets" [G, 3] bool. Counts: see
            `selection.select`; "other_class_boxes" are left out, too.

        Raises:
            FacedetError: a picture is missing, an annotation malformed, or no class fits.
        """
        if not 0 <= val_share < 1:
            raise UsageError(f"data.val_share={val_share}, expected a part of the pictures, 0 … 1")
        root = Path(root)
        found = self.splits(root) if val_share and split in ("train", "val") else ["val"]
        if "val" in found:
            listing = self.list_pictures(root, split)
        else:
            whole = self.list_pictures(root, "train" if "train" in found else UNSPLIT)
            listing = _divide(whole, split, val_share)
        for note in listing.notes:
            log.warning("%s", note)
        listing, others = select_faces(require_sound(listing, split), classes)
        reading = select(
            [_record(one, split) for one in listing.pictures], listing.folder, **choices
        )
        return reading._replace(counts=reading.counts | {"other_class_boxes": others})


def _divide(listing: Listing, split: str, val_share: float) -> Listing:
    """The pictures of "train" or of "val", where one listing holds both.

    A hash of their names decides: it is the same in every run, and pictures that are added later
    change little.
    """

    def key(one: Listed) -> bytes:
        return hashlib.sha256(one.file.encode(errors="surrogateescape")).digest()

    pictures = listing.pictures
    count = max(1, round(val_share * len(pictures)))
    if count >= len(pictures):
        raise FacedetError(
            f"{listing.source}: its {len(pictures)} pictures are too few to take "
            f"data.val_share={val_share} of them"
        )
    chosen = {one.file for one in sorted(pictures, key=key)[:count]}
    is_val = split == "val"
    if is_val:
        text = "%s: there is no val: %d of %d pictures validate, none of them trains"
        log.info(text, listing.source, count, len(pictures))
    return listing._replace(pictures=[one for one in pictures if (one.file in chosen) == is_val])


def select_faces(listing: Listing, classes: str | Sequence[str]) -> tuple[Listing, int]:
    """The listing with the boxes of some classes only, and the number of boxes left out.

    Args:
        listing: of a split.
        classes: names to take, in any case of letters, or "all". A single class without a name
            is always taken; so is one named "ignore", as such.

    Raises:
        FacedetError: there are classes, and none of them is asked for.
    """
    if not listing.classes:
        return listing, 0
    names = {str(name).casefold() for name in np.atleast_1d(classes)}
    known = {name for name in listing.classes if name.casefold() != IGNORE_CLASS}
    faces = {name for name in known if name.casefold() in names}
    if "all" in names or (len(known) == 1 and min(known).isdecimal()):
        faces = known
    elif known and not faces:
        raise FacedetError(
            f"{listing.source}: none of its classes ({quoted(', '.join(listing.classes))}) is "
            f"named {' or '.join(sorted(names))}; data.reader.classes=all (--classes all) "
            "takes the boxes of every class"
        )
    pictures, others = [], 0
    for one in listing.pictures:
        marked = [
            row._replace(is_ignored=row.is_ignored or row.kind not in faces)
            for row in one.rows
            if row.kind in faces or row.kind.casefold() == IGNORE_CLASS
        ]
        others += len(one.rows) - len(marked)
        pictures.append(one._replace(rows=marked))
    return listing._replace(pictures=pictures, classes=()), others


def problems_of(listing: Listing, split: str) -> list[str]:
    """What is malformed in a listing, in one line each."""
    source, problems = listing.source, list(listing.problems)
    boxes = np.concatenate([np.zeros((0, 4)), *(one.boxes for one in listing.pictures)])
    if boxes.any() and ((boxes >= 0) & (boxes <= 1)).all():
        problems.append(
            f"{source}: all boxes lie within 1 px: they look like parts of the pictures' sides, "
            "expected are pixels (x times the width, y times the height); YOLO's files hold parts"
        )
    names: dict[str, str] = {}
    for one in listing.pictures:
        name = name_of(one.file, split)
        if name in names:
            both = f"{quoted(names[name])} and {quoted(one.file)}"
            problems.append(f"{source} lists {both}, which would both be named {quoted(name)}")
        names.setdefault(name, one.file)
    return problems if names or problems else [f"{source} lists no picture"]


def require_sound(listing: Listing, split: str) -> Listing:
    """The listing; raises `FacedetError` with the first of its `problems_of`."""
    for problem in problems_of(listing, split):
        raise FacedetError(problem)
    return listing


def _record(one: Listed, split: str) -> Record:
    name, boxes, ignore = name_of(one.file, split), one.boxes, one.ignore
    is_face = (boxes[:, 2:] > boxes[:, :2]).all(axis=1) & ~ignore
    tags = {"event": name.split("/")[0], "subsets": np.tile(is_face[:, None], len(SUBSETS))}
    return Record(name, one.path, boxes.astype(np.float32), ignore, tags)


def box_of(values: Iterable[Any]) -> list[float] | None:
    """Four numbers that a box may have; None where the values are something else."""
    try:
        numbers = np.array(list(values), dtype=np.float64)
    except (ValueError, TypeError, OverflowError):
        return None
    is_box = numbers.shape == (4,) and are_within(numbers, MAX_DISTANCE)
    return numbers.tolist() if is_box else None


def quoted(value: object) -> str:
    """A value out of a file for a message of one line."""
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}…'"


def decimal(value: float) -> str:
    """A coordinate in pixels with up to four decimals, none where it is whole."""
    return f"{round(value, 4) + 0.0:.4f}".rstrip("0").rstrip(".")  # -0.0 + 0.0 is written 0
