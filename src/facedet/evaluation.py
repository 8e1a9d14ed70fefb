"""Runs a detector over annotated pictures and writes down what it found and missed."""

import logging
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from facedet.boxes import iou
from facedet.data.detection_files import write_detections
from facedet.data.images import read_rgb
from facedet.errors import FacedetError
from facedet.plots import FALSE_ALARM, FOUND, MISSED, Box, draw_boxes, save_picture, sheet
from facedet.structures import Detections, Record

log = logging.getLogger(__name__)

# Pictures are decoded while the network works on the one before.
_AHEAD = 2
# What a sheet shows; the AP counts every score.
_SHOWN_SCORE = 0.5


def detect_records(
    detect: Callable[[np.ndarray], Detections],
    records: Sequence[Record],
    folder: Path,
    **layout: int,
) -> dict[str, str]:
    """Writes `folder/EVENT/IMAGE.txt` for every record, in WIDER FACE's layout.

    Args:
        detect: RGB image uint8 [H, W, 3] to detections in its pixels.
        records: of the pictures.
        folder: for the detections.
        **layout: rounding of the files, see `write_detections`.

    Returns:
        By record name, the notes of pictures that were not processed plainly.

    Raises:
        FacedetError: a file cannot be written; or pictures cannot be read: each is named on
            stderr, and the others are done first.
    """
    notes = {}
    unreadable = 0
    bar = tqdm(_decoded(records), total=len(records), unit="picture", disable=None)
    for record, rgb in bar:
        if isinstance(rgb, FacedetError):
            unreadable += 1
            tqdm.write(str(rgb), file=sys.stderr)
            continue
        found = detect(rgb)
        write_detections(folder, record.name, found, **layout)
        if found.note:
            notes[record.name] = found.note
    if unreadable:
        raise FacedetError(
            f"{unreadable:,} of {len(records):,} pictures cannot be read; the detections in the "
            f"others are in {folder}: mend the pictures, or see what `facedet score` says of them"
        )
    return notes


def _decoded(records: Sequence[Record]) -> Iterator[tuple[Record, np.ndarray | FacedetError]]:
    with ThreadPoolExecutor(1) as pool:
        waiting = [pool.submit(_read, record.path) for record in records[:_AHEAD]]
        for position, record in enumerate(records):
            rgb = waiting.pop(0).result()
            if position + _AHEAD < len(records):
                waiting.append(pool.submit(_read, records[position + _AHEAD].path))
            yield record, rgb


def _read(path: Path) -> np.ndarray | FacedetError:
    try:
        return read_rgb(path)
    except FacedetError as error:
        return error


def judge(found: np.ndarray, record: Record) -> list[Box]:
    """Boxes to draw: found faces with their scores, missed faces, false alarms.

    Args:
        found: [N, 5] detections as x, y, w, h, score.
        record: the annotated picture. Faces that count in no subset are neither missed nor drawn.
    """
    shown = found[found[:, 4] >= _SHOWN_SCORE]
    boxes = torch.from_numpy(np.hstack([shown[:, :2], shown[:, :2] + shown[:, 2:4]]))
    faces = torch.from_numpy(record.boxes.astype(np.float64))
    overlaps = iou(boxes, faces) if len(boxes) else torch.zeros(0, len(faces))
    subsets = record.tags.get("subsets")
    counts = subsets.any(axis=1) if subsets is not None else np.ones(len(faces), dtype=bool)
    hit: np.ndarray = (overlaps >= 0.5).numpy()
    drawn = [
        Box(box, MISSED)
        for box, is_missed in zip(record.boxes, counts & ~np.any(hit, axis=0), strict=True)
        if is_missed
    ]
    is_face = np.any(hit, axis=1).tolist()
    for box, score, is_hit in zip(boxes.tolist(), shown[:, 4], is_face, strict=True):
        drawn.append(Box(box, FOUND if is_hit else FALSE_ALARM, f"{score:.2f}"))
    return drawn


def save_sheet(
    path: Path, records: Sequence[Record], found: dict[str, np.ndarray], pictures: int = 12
) -> None:
    """Writes a sheet of pictures, evenly drawn from `records`, with found and missed faces.

    Green: found, with its score; red: missed; yellow: a false alarm.

    Args:
        path: of the picture to write.
        records: the annotated pictures.
        found: by record name, detections [N, 5] as x, y, w, h, score.
        pictures: on the sheet.
    """
    chosen = np.linspace(0, len(records) - 1, min(pictures, len(records))).round().astype(int)
    drawn = []
    for position in chosen:
        record = records[position]
        drawn.append(draw_boxes(read_rgb(record.path), judge(found[record.name], record)))
    save_picture(path, sheet(drawn, columns=4, cell=420))
