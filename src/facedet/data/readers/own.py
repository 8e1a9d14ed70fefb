"""People's own data as records: which classes are faces, what is there, what is left out.

Alike for all formats; see `listing` for what goes in.
"""

import os
from collections.abc import Sequence
from itertools import compress
from typing import TypedDict

import numpy as np

from facedet.data.readers.listing import (
    IGNORE_CLASS,
    Complain,
    Listed,
    Listing,
    name_of,
    quoted,
    refuse,
)
from facedet.data.readers.number_rows import FARTHEST
from facedet.data.readers.selection import check_choice, require_pictures
from facedet.data.readers.wider_annotations import SUBSETS
from facedet.errors import FacedetError
from facedet.structures import Reading, Record


class Choices(TypedDict, total=False):
    """What `to_reading` leaves out; its arguments of these names."""

    images: str
    zero_size: str
    faceless: str


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
    known = [name.casefold() for name in listing.classes]
    if not known:
        return listing, 0
    given = [classes] if isinstance(classes, str | int) else classes
    names = {str(name).casefold() for name in given}
    faces = [name for name in known if name != IGNORE_CLASS]
    is_unnamed = len(faces) == 1 and faces[0].isdecimal()
    if "all" not in names and not is_unnamed:
        if faces and names.isdisjoint(faces):
            raise FacedetError(
                f"{listing.source}: none of its classes ({quoted(', '.join(listing.classes))}) is "
                f"named {' or '.join(sorted(names))}; data.reader.classes=all (--classes all) "
                "takes the boxes of every class"
            )
        faces = [name for name in faces if name in names]
    is_taken = np.array([name in faces or name == IGNORE_CLASS for name in known])
    is_ignore = np.array([name == IGNORE_CLASS for name in known])
    selected, others = [], 0
    for one in listing.pictures:
        taken = is_taken[one.kinds]
        others += len(taken) - int(taken.sum())
        selected.append(
            one._replace(
                boxes=one.boxes[taken],
                ignore=(one.ignore | is_ignore[one.kinds])[taken],
                kinds=np.zeros(int(taken.sum()), dtype=np.int64),
                places=one.places[taken],
            )
        )
    return listing._replace(pictures=selected, classes=()), others


def is_sound(boxes: np.ndarray) -> np.ndarray:
    """Whether boxes [G, 4] are finite, and within what a picture could have: [G] bool."""
    return (np.abs(boxes) <= FARTHEST).all(axis=1)  # of NaN no comparison is true


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
    """The pictures by name, where names and boxes are sound.

    Raises:
        FacedetError: names the annotations, the entry and the value.
    """
    boxes = np.concatenate([one.boxes for one in listing.pictures])
    if not is_sound(boxes).all():
        one = next(one for one in listing.pictures if not is_sound(one.boxes).all())
        row = int(is_sound(one.boxes).argmin())
        where = one.own_file or f"{listing.source}: {quoted(one.file)}"
        raise FacedetError(
            f"{where}, {listing.place.format(one.places[row])}: the box {one.boxes[row].tolist()} "
            "is not four finite numbers of pixels"
        )
    return name_pictures(listing, split)


def select_present(listing: Listing, images: str, advice: str) -> tuple[Listing, int]:
    """The listing with the pictures that are on disk, and the number of those that are not.

    Args:
        listing: of a split.
        images: "all" demands every picture, "present" uses those on disk.
        advice: how to ask for "present".

    Raises:
        FacedetError: there is no picture, or one is missing that is demanded.
    """
    pictures = listing.pictures
    if not pictures:
        raise FacedetError(f"{listing.source} lists no picture")
    is_there = [os.path.isfile(one.path) for one in pictures]
    names = [quoted(one.file) for one in pictures]
    missing = require_pictures(listing.folder, names, is_there, images, advice)
    return listing._replace(pictures=list(compress(pictures, is_there))), missing


def to_reading(
    listing: Listing,
    split: str,
    classes: str | Sequence[str] = "all",
    *,
    images: str = "all",
    zero_size: str = "drop",
    faceless: str = "drop",
) -> Reading:
    """Records of a listing, as `read_wider` gives them.

    Own data has no lists of easy, medium and hard faces. So that the metric of WIDER FACE can be
    computed, every face counts in all three, which makes the three numbers equal; boxes to be
    ignored and boxes of zero size count in none.

    Args:
        listing: of a split.
        split: its name.
        classes: see `select_faces`.
        images: "all" demands every picture, "present" uses those on disk.
        zero_size: "drop" or "keep" the boxes whose width or height is zero or less.
        faceless: "drop" or "keep" the pictures that have no face then; boxes to be ignored are
            no faces.

    Returns:
        Records in the listing's order. Tags: "event", and "subsets" [G, 3] bool. Counts: "images",
        "faces" and "ignored_boxes" used; "zero_size_boxes", "other_class_boxes",
        "faceless_images" and "missing_images" left out.

    Raises:
        FacedetError: a picture is missing, a box not finite, a name not unique, no class fits.
        UsageError: an argument is none of its choices.
    """
    check_choice("images", images, ("all", "present"))
    check_choice("zero_size", zero_size, ("drop", "keep"))
    check_choice("faceless", faceless, ("drop", "keep"))
    present, missing = select_present(listing, images, "data.images=present")
    faces, others = select_faces(present, classes)
    named = require_sound(faces, split)
    keys = ("images", "faces", "ignored_boxes", "zero_size_boxes", "other_class_boxes")
    counts = dict.fromkeys((*keys, "faceless_images", "missing_images"), 0)
    counts |= {"other_class_boxes": others, "missing_images": missing}
    records = []
    for name, one in named.items():
        has_size: np.ndarray = np.all(one.boxes[:, 2:] > one.boxes[:, :2], axis=1)
        used = has_size if zero_size == "drop" else np.ones_like(has_size)
        ignore, boxes = one.ignore[used], one.boxes[used].astype(np.float32)
        counts["zero_size_boxes"] += len(used) - int(used.sum())
        if faceless == "drop" and ignore.all():
            counts["faceless_images"] += 1
            continue
        counted = (has_size[used] & ~ignore)[:, None]
        tags = {"event": name.split("/")[0], "subsets": counted.repeat(len(SUBSETS), axis=1)}
        records.append(Record(name, one.path, boxes, ignore, tags))
        counts["images"] += 1
        counts["faces"] += len(boxes) - int(ignore.sum())
        counts["ignored_boxes"] += int(ignore.sum())
    return Reading(records, counts)
