"""People's own data, whatever its format: what annotations list, and records made of it."""

import hashlib
import logging
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from facedet.data.readers.layout import UNSPLIT, name_of
from facedet.data.readers.listing import IGNORE_CLASS, Complain, Listed, Listing, quoted, refuse
from facedet.data.readers.selection import select
from facedet.data.readers.text import MAX_DISTANCE
from facedet.data.readers.wider_annotations import SUBSETS
from facedet.errors import FacedetError, UsageError
from facedet.structures import Reading, Record

log = logging.getLogger(__name__)


class Format(ABC):
    """One format of annotations: found in a folder, listed, read, and written."""

    title: str
    mark: str  # what a folder of this format holds, for messages
    needs_sizes = True  # of the pictures, to be written
    in_parts = False  # boxes are parts of the pictures' sides
    loses = ""  # what is not listed, and so is not in another format

    @abstractmethod
    def splits(self, root: Path) -> list[str]:
        """The splits of a data set; none where the folder holds something else."""

    @abstractmethod
    def list_pictures(self, root: str | Path, split: str, complain: Complain = refuse) -> Listing:
        """Lists the pictures and boxes of a split.

        Args:
            root: the data set's folder.
            split: "train", "val", "test", or "all" where the data has no splits.
            complain: called with each malformed entry, which is passed over.

        Raises:
            FacedetError: there are no annotations of the split, or they cannot be read.
        """

    @abstractmethod
    def write(self, root: Path, splits: Mapping[str, Sequence[Listed]]) -> list[str]:
        """Writes annotations.

        Args:
            root: the new data set's folder; pictures belong at `picture_place`.
            splits: by name, pictures (with their sizes, if needed); all boxes are faces.

        Returns:
            What the format could not hold, in words.
        """

    def picture_place(self, split: str, file: str) -> str:
        """Where the format keeps a picture, as it is written: a path below a root."""
        return f"images/{split}/{file}"

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
        images: str = "all",
        zero_size: str = "drop",
        faceless: str = "drop",
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
            images: "all" or "present", see `selection.select`.
            zero_size: "drop" or "keep" boxes of no area.
            faceless: "drop" or "keep" pictures without a face.

        Returns:
            Records in the listing's order. Tags: "event", and "subsets" [G, 3] bool. Counts: see
            `selection.select`; "other_class_boxes" are left out, too.

        Raises:
            FacedetError: a picture is missing, an annotation malformed, a name not unique, or no
                class fits.
            UsageError: an argument is none of its choices.
        """
        if not 0 <= val_share < 1:
            raise UsageError(f"data.val_share={val_share} is not a part of the pictures, 0 … 1")
        root = Path(root)
        found = self.splits(root) if val_share and split in ("train", "val") else ["val"]
        if "val" in found:
            listing = self.list_pictures(root, split)
        else:
            whole = self.list_pictures(root, "train" if "train" in found else UNSPLIT)
            listing = divide(whole, split, val_share)
        return to_reading(
            listing, split, classes, images=images, zero_size=zero_size, faceless=faceless
        )


def to_reading(
    listing: Listing,
    split: str,
    classes: str | Sequence[str] = "all",
    *,
    images: str = "all",
    zero_size: str = "drop",
    faceless: str = "drop",
) -> Reading:
    """Records of a listing; see `Format.read`."""
    for note in listing.notes:
        log.warning("%s", note)
    faces, others = select_faces(listing, classes)
    records = [_record(one, name) for name, one in require_sound(faces, split).items()]
    reading = select(records, listing.folder, images=images, zero_size=zero_size, faceless=faceless)
    return reading._replace(counts=reading.counts | {"other_class_boxes": others})


def divide(listing: Listing, split: str, val_share: float) -> Listing:
    """The pictures of "train" or of "val", where one listing holds both.

    Which ones are for validation depends on a hash of their names: it is the same in every run,
    and pictures that are added later change little.
    """
    count = max(1, round(val_share * len(listing.pictures)))
    if count >= len(listing.pictures):
        raise FacedetError(
            f"{listing.source}: its {len(listing.pictures)} pictures are too few to take "
            f"data.val_share={val_share} of them"
        )
    order = sorted(
        listing.pictures,
        key=lambda one: hashlib.sha256(one.file.encode(errors="surrogateescape")).digest(),
    )
    chosen = {one.file for one in order[:count]}
    is_val = split == "val"
    pictures = [one for one in listing.pictures if (one.file in chosen) == is_val]
    return listing._replace(pictures=pictures)


def select_faces(listing: Listing, classes: str | Sequence[str]) -> tuple[Listing, int]:
    """The listing with the boxes of some classes only.

    Args:
        listing: of a split.
        classes: names to take, in any case of letters, or "all". A single class without a name
            is taken whatever is asked for. A class named "ignore" is always taken, as such.

    Returns:
        The listing, without classes then, and the number of boxes left out.

    Raises:
        FacedetError: there are classes, and none of them is asked for.
    """
    if not listing.classes:
        return listing, 0
    given = [classes] if isinstance(classes, str | int) else classes
    names = {str(name).casefold() for name in given}
    ignored = [name for name in listing.classes if name.casefold() == IGNORE_CLASS]
    faces = [name for name in listing.classes if name not in ignored]
    is_unnamed = len(faces) == 1 and faces[0].isdecimal()
    if "all" not in names and not is_unnamed:
        if faces and names.isdisjoint(name.casefold() for name in faces):
            raise FacedetError(
                f"{listing.source}: none of its classes ({quoted(', '.join(listing.classes))}) is "
                f"named {' or '.join(sorted(names))}; data.reader.classes=all (--classes all) "
                "takes the boxes of every class"
            )
        faces = [name for name in faces if name.casefold() in names]
    selected, others = [], 0
    for one in listing.pictures:
        taken = np.isin(one.kinds, [*faces, *ignored])
        others += len(taken) - int(taken.sum())
        marked = one._replace(ignore=one.ignore | np.isin(one.kinds, ignored))
        selected.append(marked.take(taken))
    return listing._replace(pictures=selected, classes=()), others


def is_sound(boxes: np.ndarray) -> np.ndarray:
    """Whether boxes [G, 4] are finite, and within what a picture could have: [G] bool."""
    return (np.abs(boxes) <= MAX_DISTANCE).all(axis=1)  # of NaN no comparison is true


def looks_relative(listing: Listing) -> bool:
    """Whether the boxes seem to be parts of the pictures' sides, 0 … 1, in place of pixels."""
    boxes = np.concatenate([np.zeros((0, 4)), *(one.boxes for one in listing.pictures)])
    return bool(len(boxes) and boxes.any() and ((boxes >= 0) & (boxes <= 1)).all())


RELATIVE = (
    "all boxes lie within 1 px: they look like parts of the pictures' sides, expected are pixels "
    "(x times the width, y times the height); YOLO's files hold parts"
)


def name_pictures(listing: Listing, split: str, complain: Complain = refuse) -> dict[str, Listed]:
    """The pictures by name; of two that share one, the second is complained about."""
    names: dict[str, Listed] = {}
    for one in listing.pictures:
        name = name_of(one.file, split)
        if name in names:
            complain(
                f"{listing.source} lists {quoted(names[name].file)} and {quoted(one.file)}, which "
                f"would both be named {quoted(name)}"
            )
        names.setdefault(name, one)
    return names


def require_sound(listing: Listing, split: str) -> dict[str, Listed]:
    """The pictures by name, where there are any, and where names and boxes are sound.

    Raises:
        FacedetError: names the annotations, the entry and the value.
    """
    if not listing.pictures:
        raise FacedetError(f"{listing.source} lists no picture")
    for one in listing.pictures:
        if not is_sound(one.boxes).all():
            row = int(is_sound(one.boxes).argmin())
            where = one.own_file or f"{listing.source}: {quoted(one.file)}"
            raise FacedetError(
                f"{where}, {listing.place.format(one.places[row])}: the box "
                f"{one.boxes[row].tolist()} is not four finite numbers of pixels"
            )
    if looks_relative(listing):
        raise FacedetError(f"{listing.source}: {RELATIVE}")
    return name_pictures(listing, split)


def _record(one: Listed, name: str) -> Record:
    """The record of a picture; see `Format.read`."""
    has_size: np.ndarray = np.all(one.boxes[:, 2:] > one.boxes[:, :2], axis=1)
    subsets = (has_size & ~one.ignore)[:, None].repeat(len(SUBSETS), axis=1)
    tags = {"event": name.split("/")[0], "subsets": subsets}
    return Record(name, one.path, one.boxes.astype(np.float32), one.ignore, tags)
