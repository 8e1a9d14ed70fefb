"""Runs a detector over annotated pictures, and shows what it found and missed."""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from facedet.allocator import give_back_above
from facedet.data.images import read_rgb
from facedet.errors import FacedetError
from facedet.evaluation.detection_writers import DetectionWriter
from facedet.plots import Box, draw_boxes, fitted, judge_boxes, save_picture, sheet
from facedet.structures import Detections, Record

# Pictures are decoded while the network works on the one before.
_AHEAD = 2


def detect_records(
    detect: Callable[[np.ndarray], Detections],
    records: Sequence[Record],
    writer: DetectionWriter,
    resume: bool = False,
    kept: Path | None = None,
) -> dict[str, str]:
    """Writes the detections in every record's picture into files.

    `detect` takes an RGB image uint8 [H, W, 3]; `resume` leaves out the pictures whose detections
    are there already, and takes their notes from the file `kept`, where each is put at once.

    Returns:
        By record name, the notes of pictures that were not processed plainly.

    Raises:
        FacedetError: a file cannot be written; or pictures cannot be read: each is named on
            stderr, and the others are done first.
    """
    unreadable = 0
    waiting = [record for record in records if not (resume and writer.has(record.name))]
    earlier = {record.name for record in records} - {record.name for record in waiting}
    notes = {name: note for name, note in _read_notes(kept) if name in earlier}
    bar = tqdm(_decoded(waiting), total=len(waiting), unit="picture", disable=None)
    try:
        for record, rgb in bar:
            if isinstance(rgb, FacedetError):
                unreadable += 1
                tqdm.write(str(rgb), file=sys.stderr)
                continue
            found = detect(rgb)
            give_back_above()
            if found.note:
                notes[record.name] = found.note
                if kept is not None:
                    with kept.open("a", encoding="utf-8", errors="surrogateescape") as stream:
                        stream.write(f"{record.name}\t{found.note}\n")
            writer.add(record.name, found)
    finally:
        # What was found before an interruption is worth its time.
        writer.close()
    if unreadable:
        raise FacedetError(
            f"{unreadable:,} of {len(records):,} pictures cannot be read; the detections in the "
            "others are written: replace the pictures, or see what `facedet score` says of them"
        )
    return notes


def _read_notes(path: Path | None) -> list[tuple[str, str]]:
    """Names and notes; a line that was cut off has none."""
    if path is None or not path.is_file():
        return []
    lines = path.read_text(encoding="utf-8", errors="surrogateescape").split("\n")
    parts = [line.partition("\t") for line in lines]
    return [(name, note) for name, _, note in parts if note]


def _decoded(records: Sequence[Record]) -> Iterator[tuple[Record, np.ndarray | FacedetError]]:
    with ThreadPoolExecutor(1) as pool:
        waiting = [pool.submit(_read, record) for record in records[:_AHEAD]]
        for position, record in enumerate(records):
            rgb = waiting.pop(0).result()
            if position + _AHEAD < len(records):
                waiting.append(pool.submit(_read, records[position + _AHEAD]))
            yield record, rgb


def _read(record: Record) -> np.ndarray | FacedetError:
    try:
        return read_rgb(record.path, record.upright)
    except FacedetError as error:
        return error


def judge(found: np.ndarray, record: Record, score: float = 0.5) -> list[Box]:
    """Boxes to draw: found faces with their scores, missed faces, false alarms.

    Of detections [N, 5] as x, y, w, h, score those from `score` on are shown. Faces to ignore, and
    those that count in no subset, are neither missed nor drawn.
    """
    shown = found[found[:, 4] >= score]
    boxes = torch.from_numpy(np.hstack([shown[:, :2], shown[:, :2] + shown[:, 2:4]]))
    faces = torch.from_numpy(record.boxes.astype(np.float64))
    subsets = record.tags.get("subsets")
    counts = ~record.ignore if subsets is None else ~record.ignore & subsets.any(axis=1)
    return judge_boxes(boxes, shown[:, 4].tolist(), faces, torch.from_numpy(counts))


def save_sheet(
    path: Path,
    records: Sequence[Record],
    found: Mapping[str, np.ndarray],
    score: float = 0.5,
    captions: Sequence[str] = (),
    columns: int = 4,
    cell: int = 420,
) -> None:
    """Writes a sheet of pictures with found (green), missed (red) faces, false alarms (yellow).

    Args:
        path: of the picture to write.
        records: the annotated pictures to show.
        found: by record name, detections [N, 5] as x, y, w, h, score; no entry: none.
        score: see `judge`.
        captions: a text for the upper left corner of each picture.
        columns: pictures in a row.
        cell: px of a picture's longer side.
    """
    drawn = []
    for place, record in enumerate(records):
        rgb, scale = fitted(read_rgb(record.path, record.upright), cell - 4)
        judged = judge(found.get(record.name, np.zeros((0, 5))), record, score)
        boxes = [box._replace(corners=[scale * side for side in box.corners]) for box in judged]
        if captions:
            boxes.append(Box((0, 0, 1, 1), (255, 255, 255), captions[place]))
        drawn.append(draw_boxes(rgb, boxes))
    save_picture(path, sheet(drawn, columns, cell))
