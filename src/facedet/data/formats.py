"""The formats of annotations: which one a folder holds, and any written as COCO or YOLO."""

import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from tqdm import tqdm

from facedet.data.images import read_orientation, read_size
from facedet.data.readers.coco import Coco, write_coco
from facedet.data.readers.csv import Csv
from facedet.data.readers.own import Format, Listed, require_sound, select_faces
from facedet.data.readers.selection import present
from facedet.data.readers.voc import Voc
from facedet.data.readers.wider import Wider
from facedet.data.readers.yolo import Yolo, write_yolo
from facedet.errors import FacedetError, UsageError
from facedet.files import new_folder

FORMATS: dict[str, Format] = {
    "wider": Wider(), "coco": Coco(), "yolo": Yolo(), "voc": Voc(), "csv": Csv(),
}  # fmt: skip
# Both have their pictures in images/SPLIT.
WRITERS = {"coco": write_coco, "yolo": write_yolo}


class Converted(NamedTuple):
    """What was written."""

    pictures: dict[str, int]  # by split
    boxes: dict[str, int]
    left_out: dict[str, int]  # by reason
    notes: list[str]  # what the new format could not hold


def find_format(root: Path, name: str | None) -> tuple[str, list[str]]:
    """The format of a data set, of that name or guessed from its folder, and its splits.

    Raises:
        FacedetError: the folder is missing, or holds nothing of that format (of any).
        UsageError: it holds several formats.
    """
    if not root.is_dir():
        raise FacedetError(f"{root}: no such folder")
    keys = list(FORMATS) if name is None else [name]
    fitting, broken = {}, []
    for key in keys:
        try:
            fitting[key] = FORMATS[key].splits(root)
        except FacedetError as error:  # of this format perhaps, but something is wrong with it
            broken.append(error)
    fitting = {key: splits for key, splits in fitting.items() if splits}
    if not fitting and broken:
        raise broken[0]
    if not fitting:
        marks = ", ".join(f"{FORMATS[key].mark} ({key})" for key in keys)
        there = sorted(path.name for path in root.glob("[!.]*"))
        held = f"holds {', '.join(there[:5])}{' …' * (len(there) > 5)}" if there else "is empty"
        title = "a known format" if name is None else FORMATS[name].title
        raise FacedetError(f"{root}: is no data set of {title}; looked for {marks}; it {held}")
    if len(fitting) > 1:
        raise UsageError(f"{root}: may be {' or '.join(fitting)}; --format says which")
    return fitting.popitem()


def convert(
    source: Path,
    target: Path,
    format: str,
    new_format: str,
    splits: Sequence[str],
    *,
    classes: str | Sequence[str] = "face",
    images: str = "all",
    copy: bool = False,
) -> Converted:
    """Writes a data set in another format; boxes keep within 1e-3 px but where a note says so.

    Boxes of zero size and pictures without a face stay. The pictures keep their bytes. Boxes of
    pictures as stored (WIDER FACE) are turned as EXIF asks, for COCO and YOLO are read so.

    Args:
        source: folder of the data set.
        target: folder to make; it must be absent or empty.
        format: of `source`, a key of `FORMATS`.
        new_format: of `target`, a key of `WRITERS`.
        splits: to take.
        classes: whose boxes are faces; see `own.select_faces`.
        images: "all" demands every picture, "present" leaves the missing ones out.
        copy: copy the pictures; otherwise they are hard links where the disk allows, which take
            no room but change with their originals.

    Raises:
        FacedetError: something is malformed or missing, or the target cannot be written.
    """
    reader = FORMATS[format]
    left_out = {"missing pictures": 0, "boxes of other classes": 0}
    places: dict[Path, Path] = {}
    written: dict[str, Sequence[Listed]] = {}
    with new_folder(target) as folder:
        notes = [f"without {reader.loses}"] if reader.loses else []
        for split in splits:
            whole = reader.list_pictures(source, split)
            is_there = present([one.path for one in whole.pictures], whole.folder, images)
            kept = [one for one, there in zip(whole.pictures, is_there, strict=True) if there]
            if not reader.upright:
                kept = [_turned(one) for one in kept]
            listing, others = select_faces(whole._replace(pictures=kept), classes)
            left_out["missing pictures"] += is_there.count(False)
            left_out["boxes of other classes"] += others
            notes += listing.notes
            written[split] = require_sound(listing, split).pictures
            for one in kept:
                places[folder / "images" / split / one.file] = one.path
        notes += WRITERS[new_format](folder, written)
        for place, path in tqdm(places.items(), "pictures", delay=2, disable=None):
            place.parent.mkdir(parents=True, exist_ok=True)
            _place(path, place, copy)
    return Converted(
        {split: len(pictures) for split, pictures in written.items()},
        {split: sum(len(one.rows) for one in pictures) for split, pictures in written.items()},
        {reason: count for reason, count in left_out.items() if count},
        notes,
    )


def _turned(one: Listed) -> Listed:
    """A picture whose boxes are of it as stored, with those of it turned as EXIF asks."""
    orientation = read_orientation(one.path)
    if orientation == 1:
        return one
    height, width = read_size(one.path, upright=False)
    rows = []
    for row in one.rows:
        x1, y1, x2, y2 = row.box
        # EXIF mirrors first, then exchanges x and y.
        if orientation in (2, 3, 7, 8):
            x1, x2 = width - x2, width - x1
        if orientation in (3, 4, 6, 7):
            y1, y2 = height - y2, height - y1
        box = (y1, x1, y2, x2) if orientation >= 5 else (x1, y1, x2, y2)
        rows.append(row._replace(box=box))
    return one._replace(rows=rows)


def _place(path: Path, place: Path, copy: bool) -> None:
    try:
        if not copy:
            os.link(path.resolve(), place)
            return
    except OSError:  # another disk, or one without links
        pass
    try:
        shutil.copy2(path, place)
    except OSError as error:
        # Of the source and the target only one is to blame; the system says which.
        raise FacedetError(f"{error.filename or place}: {error.strerror or error}") from error
