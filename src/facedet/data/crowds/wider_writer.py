"""Writes annotations in WIDER FACE's official layout, for a data set made elsewhere.

The files have the nesting that the official evaluation scripts index: cells of events, of
images, of arrays.
"""

from collections.abc import Iterable, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from scipy.io import savemat

from facedet.data.readers.wider_annotations import ATTRIBUTES, SUBSETS
from facedet.files import replacing
from facedet.structures import Record

# The first 116 bytes of a .mat are free text, where scipy puts the time of day.
_MAT_HEADER = b"MATLAB 5.0 MAT-file, written by facedet".ljust(116)


def write_wider(root: str | Path, split: str, records: Sequence[Record]) -> None:
    """Writes the annotations of a split: text form, .mat and, given subsets, the four lists.

    Pictures are the caller's: they belong at `root/WIDER_{split}/images/{name}.jpg`. Equal
    records give equal bytes.

    Args:
        root: the data set's folder; files go to wider_face_split and ground_truth inside.
        split: the split's name.
        records: named "EVENT/IMAGE", with boxes in whole pixels, since the format holds
            integers. Their tags may hold the arrays that `read_wider` gives; a missing attribute
            is written as 0. Lists are written where every record has "subsets" [G, 3]. Pictures
            of one event are written together, in the order in which the events first appear.

    Raises:
        FacedetError: a file cannot be written.
    """
    root = Path(root)
    events: dict[str, list[tuple[str, np.ndarray, Record]]] = {}
    for record in records:
        event, _, image = record.name.partition("/")
        events.setdefault(event, []).append((image, _rows(record), record))
    split_folder = root / "wider_face_split"
    with replacing(split_folder / f"wider_face_{split}_bbx_gt.txt") as temporary:
        temporary.write_text("".join(_text_lines(events)), encoding="utf-8")
    variables = _variables(events)
    _write_mat(split_folder / f"wider_face_{split}.mat", variables)
    if not all("subsets" in record.tags for record in records):
        return
    _write_mat(root / "ground_truth" / f"wider_face_{split}.mat", variables)
    for column, subset in enumerate(SUBSETS):
        kept = [
            [
                _column(np.flatnonzero(record.tags["subsets"][:, column]) + 1, np.uint16)
                for *_, record in images
            ]
            for images in events.values()
        ]
        variables["gt_list"] = _cells(map(_cells, kept))
        _write_mat(root / "ground_truth" / f"wider_{subset}_{split}.mat", variables)


def _rows(record: Record) -> np.ndarray:
    """Rows [G, 10] int32 of a record, as the text form orders them; one dummy row if G = 0."""
    boxes = record.boxes
    none = np.zeros(len(boxes))
    columns = [record.tags.get(key, none) for key in ATTRIBUTES]
    rows = np.column_stack([boxes[:, :2], boxes[:, 2:] - boxes[:, :2], *columns]).astype(np.int32)
    return rows if len(rows) else np.zeros((1, 4 + len(ATTRIBUTES)), dtype=np.int32)


def _text_lines(events: dict[str, list[tuple[str, np.ndarray, Record]]]) -> Iterable[str]:
    for event, images in events.items():
        for image, rows, record in images:
            yield f"{event}/{image}.jpg\n{len(record.boxes)}\n"
            for row in rows.tolist():
                yield " ".join(map(str, row)) + "\n"


def _variables(events: dict[str, list[tuple[str, np.ndarray, Record]]]) -> dict[str, Any]:
    images = list(events.values())
    variables = {
        "event_list": _cells(events),
        "file_list": _cells(_cells(image for image, _, _ in group) for group in images),
        "face_bbx_list": _cells(_cells(rows[:, :4] for _, rows, _ in group) for group in images),
    }
    for at, key in enumerate(ATTRIBUTES, start=4):
        variables[f"{key}_label_list"] = _cells(
            _cells(_column(rows[:, at], np.uint8) for _, rows, _ in group) for group in images
        )
    return variables


def _cells(values: Iterable[Any]) -> np.ndarray:
    """A cell array [n, 1], whatever the shapes of its cells."""
    items = list(values)
    cells = np.empty((len(items), 1), dtype=object)
    for at, item in enumerate(items):
        cells[at, 0] = item
    return cells


def _column(values: np.ndarray, dtype: type) -> np.ndarray:
    """The values as a MATLAB column [n, 1]."""
    return values.astype(dtype).reshape(-1, 1)


def _write_mat(path: Path, variables: dict[str, Any]) -> None:
    """Writes a .mat whose bytes depend on the variables alone."""
    buffer = BytesIO()
    savemat(buffer, variables, do_compression=True)
    with replacing(path) as temporary:
        temporary.write_bytes(_MAT_HEADER + buffer.getvalue()[len(_MAT_HEADER) :])
