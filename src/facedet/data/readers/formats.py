"""The formats of annotations that are read and written, as values."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from facedet.data.readers.coco import coco_splits, list_coco, read_coco, write_coco
from facedet.data.readers.csv import csv_splits, list_csv, read_csv, write_csv
from facedet.data.readers.listing import Complain, Listed, Listing
from facedet.data.readers.voc import list_voc, read_voc, voc_splits, write_voc
from facedet.data.readers.wider_layout import (
    list_wider,
    read_wider_form,
    wider_place,
    wider_splits,
    write_wider_form,
)
from facedet.data.readers.yolo import list_yolo, read_yolo, write_yolo, yolo_splits
from facedet.errors import FacedetError, UsageError
from facedet.structures import Reading


class Format(NamedTuple):
    """How one form of annotations is found, read and written."""

    title: str
    mark: str  # what a folder of this form holds, for messages
    splits: Callable[[Path], list[str]]  # none: the folder holds something else
    read: Callable[..., Reading]  # (root, split, classes=…, images=…, zero_size=…, faceless=…)
    list_pictures: Callable[[Path, str, Complain], Listing]  # (root, split, complain)
    write: Callable[[Path, Mapping[str, Sequence[Listed]]], list[str]]  # gives what was lost
    picture_place: Callable[[str, str], str]  # (split, file) to the path below a root, as written
    needs_sizes: bool  # to be written
    loses: str = ""  # what is not listed, and so is not in another form


def _under(pattern: str) -> Callable[[str, str], str]:
    """A picture's place by a pattern of split and file."""
    return lambda split, file: pattern.format(split=split, file=file)


_IMAGES = _under("images/{split}/{file}")
_JPEG_IMAGES = _under("JPEGImages/{split}/{file}")

FORMATS = {
    "wider": Format(
        "WIDER FACE", "wider_face_split/", wider_splits, read_wider_form,
        list_wider, write_wider_form, wider_place, needs_sizes=False,
        loses="the attributes of faces and the easy, medium and hard lists",
    ),
    "coco": Format(
        "COCO", "annotations/*.json", coco_splits, read_coco,
        list_coco, write_coco, _IMAGES, needs_sizes=True,
    ),
    "yolo": Format(
        "YOLO", "labels/ beside images/", yolo_splits, read_yolo,
        list_yolo, write_yolo, _IMAGES, needs_sizes=True,
    ),
    "voc": Format(
        "Pascal VOC", "Annotations/*.xml", voc_splits, read_voc,
        list_voc, write_voc, _JPEG_IMAGES, needs_sizes=True,
    ),
    "csv": Format(
        "CSV", "*.csv", csv_splits, read_csv,
        list_csv, write_csv, _IMAGES, needs_sizes=False,
    ),
}  # fmt: skip


def find_format(root: Path, name: str | None) -> tuple[str, list[str]]:
    """The format of a data set, and its splits.

    Args:
        root: the data set's folder.
        name: a key of `FORMATS`; None: it is guessed from the folder.

    Raises:
        FacedetError: the folder is missing, or holds nothing of that form (of any).
        UsageError: it holds several forms.
    """
    if not root.is_dir():
        raise FacedetError(f"{root}: no such folder")
    if name is not None:
        splits = FORMATS[name].splits(root)
        if not splits:
            one = FORMATS[name]
            raise FacedetError(f"{root}: holds no {one.title} data set; looked for {one.mark}")
        return name, splits
    found, broken = {}, []
    for key, one in FORMATS.items():
        try:
            found[key] = one.splits(root)
        except FacedetError as error:  # of this form perhaps, but something is wrong with it
            broken.append(error)
    fitting = [key for key, splits in found.items() if splits]
    if not fitting and broken:
        raise broken[0]
    if not fitting:
        marks = ", ".join(f"{one.mark} ({key})" for key, one in FORMATS.items())
        raise FacedetError(f"{root}: is no data set of a known form; looked for {marks}")
    if len(fitting) > 1:
        raise UsageError(f"{root}: may be {' or '.join(fitting)}; say which")
    return fitting[0], found[fitting[0]]
