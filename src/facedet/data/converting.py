"""A data set of one form written in another: annotations anew, pictures linked or copied."""

import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from tqdm import tqdm

from facedet.data.images import read_size
from facedet.data.new_folder import new_folder
from facedet.data.readers.formats import FORMATS
from facedet.data.readers.listing import Listed, Listing, refuse
from facedet.data.readers.own import require_sound, select_faces, select_present
from facedet.data.readers.selection import check_choice
from facedet.errors import FacedetError

_BAR_AFTER = 2.0  # seconds


class Converted(NamedTuple):
    """What was written."""

    pictures: dict[str, int]  # by split
    boxes: dict[str, int]
    left_out: dict[str, int]  # by reason
    notes: list[str]  # what the new form could not hold


def convert(
    source: Path,
    target: Path,
    form: str,
    new_form: str,
    splits: Sequence[str],
    *,
    classes: str | Sequence[str] = "face",
    images: str = "all",
    copy: bool = False,
) -> Converted:
    """Writes a data set in another form; boxes keep within 1e-3 px but where a note says so.

    Boxes of zero size and pictures without a face stay. The pictures keep their bytes.

    Args:
        source: folder of the data set.
        target: folder to make; it must be absent or empty.
        form: of `source`, a key of `FORMATS`.
        new_form: of `target`, a key of `FORMATS`.
        splits: names of the splits to take.
        classes: whose boxes are faces; see `own_data.select_faces`.
        images: "all" demands every picture, "present" leaves the missing ones out.
        copy: copy the pictures; otherwise they are hard links where the disk allows, which take
            no room but change with their originals.

    Raises:
        FacedetError: something is malformed or missing, or the target cannot be written.
        UsageError: `images` is none of its choices.
    """
    check_choice("images", images, ("all", "present"))
    writer = FORMATS[new_form]
    left_out = {"missing pictures": 0, "boxes of other classes": 0}
    places: dict[Path, Path] = {}
    written: dict[str, Sequence[Listed]] = {}
    with new_folder(target) as folder:
        for split in splits:
            listing = FORMATS[form].list_pictures(source, split, refuse)
            listing, missing = select_present(listing, images, "--images present")
            listing, others = select_faces(listing, classes)
            require_sound(listing, split)
            left_out["missing pictures"] += missing
            left_out["boxes of other classes"] += others
            if writer.needs_sizes:
                listing = _with_sizes(listing)
            written[split] = listing.pictures
            for one in written[split]:
                places[folder / writer.picture_place(split, one.file)] = one.path
        notes = [f"without {FORMATS[form].loses}"] if FORMATS[form].loses else []
        notes += writer.write(folder, written)
        for place, path in tqdm(places.items(), "pictures", delay=_BAR_AFTER, disable=None):
            _place(path, place, copy)
    return Converted(
        {split: len(pictures) for split, pictures in written.items()},
        {split: sum(len(one.boxes) for one in pictures) for split, pictures in written.items()},
        {reason: count for reason, count in left_out.items() if count},
        notes,
    )


def _with_sizes(listing: Listing) -> Listing:
    """The listing with the sizes that the pictures' own headers say, which annotations may not."""
    bar = tqdm(listing.pictures, "picture sizes", delay=_BAR_AFTER, disable=None)
    return listing._replace(pictures=[one._replace(size=read_size(one.path)) for one in bar])


def _place(path: Path, place: Path, copy: bool) -> None:
    """Puts a picture at a new place."""
    place.parent.mkdir(parents=True, exist_ok=True)
    if not copy:
        try:
            os.link(path.resolve(), place)
            return
        except OSError:  # another disk, or one without links
            pass
    try:
        shutil.copy2(path, place)
    except OSError as error:
        # Of the source and the target only one is to blame; the system says which.
        raise FacedetError(f"{error.filename or place}: {error.strerror or error}") from error
