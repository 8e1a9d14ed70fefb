"""What `facedet diagnose` works on: which annotated pictures, and which of their faces."""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from facedet.data.readers.wider import (
    count_all_faces,
    read_ground_truth,
    read_wider_annotations,
    subset_names,
)
from facedet.errors import FacedetError, UsageError
from facedet.evaluation.diagnosis.errors import NEAR
from facedet.structures import Record


def read_metrics(folder: Path) -> dict[str, Any]:
    """What an evaluation says of itself; {} where it says nothing."""
    path = folder / "metrics.json"
    if not path.is_file():
        say(f"{folder} holds no metrics.json: the report cannot tell of weights and protocol")
        return {}
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise FacedetError(f"{path} cannot be read: {error}") from error
    if not isinstance(told, dict):
        raise FacedetError(f"{path} holds no report of facedet evaluate")
    return told


def read_truth(args: argparse.Namespace) -> list[Record]:
    """All annotated pictures; where there are no lists, every face of any size is in "all"."""
    lists = args.ground_truth or args.data / "ground_truth"
    if args.ground_truth or (lists / f"wider_face_{args.split}.mat").is_file():
        folder = args.data / f"WIDER_{args.split}" / "images"
        records = read_ground_truth(lists, args.split)
        return [record._replace(path=folder / f"{record.name}.jpg") for record in records]
    reading = read_wider_annotations(args.data, args.split, zero_size="keep", faceless="keep")
    count_all_faces(reading.records)
    return reading.records


def select_records(
    args: argparse.Namespace, truth: list[Record], found: dict[str, np.ndarray]
) -> list[Record]:
    """The pictures to judge; tells of those without detections and of unknown ones."""
    present = [record for record in truth if record.name in found]
    if not present:
        raise FacedetError(
            f"{args.detections or args.run}: none of its {len(found):,} images is in {args.data}"
            + (f", the first is {min(found)}" if found else "")
        )
    is_whole = (args.images or ("present" if args.run else "all")) == "all"
    missing, unknown = len(truth) - len(present), len(found) - len(present)
    if missing:
        fate = "their faces count as missed" if is_whole else "they are left out"
        say(f"{missing:,} of {len(truth):,} pictures have no detection file: {fate}")
    if unknown:
        name = min(found.keys() - {record.name for record in truth})
        say(f"{unknown:,} of {len(found):,} detection files are of unknown images, such as {name}")
    records = truth if is_whole else present
    _check_scores(records, found)
    return records


def _check_scores(records: list[Record], found: dict[str, np.ndarray]) -> None:
    """Refuses scores that neither a threshold in 0 … 1 nor a single picture's AP suits."""
    for record in records:
        scores = found.get(record.name, np.zeros((0, 5)))[:, 4]
        odd = (scores < 0) | (scores > 1)
        if odd.any():
            raise FacedetError(f"{record.name} has a score of {scores[odd][0]:g}, wanted 0 to 1")


def choose_subset(args: argparse.Namespace, records: list[Record]) -> tuple[tuple[str, ...], int]:
    """The names of the subsets, and the place of the one that is asked for."""
    names = subset_names(records)
    wanted = args.subset or names[-1]
    if wanted not in names:
        raise UsageError(f"--subset {wanted}: the data has {', '.join(names)}")
    subset = names.index(wanted)
    if not any((record.tags["subsets"][:, subset] & ~record.ignore).any() for record in records):
        raise FacedetError(
            f"{args.data}: none of the {len(records):,} pictures has a {wanted} face"
        )
    return names, subset


def rounds_iou(args: argparse.Namespace, told: dict[str, Any]) -> bool:
    """Whether the IoU is rounded to 0 or 1, which makes any threshold 0.5."""
    if args.iou <= NEAR:
        raise UsageError(
            f"--iou {args.iou:g}: wanted above {NEAR}, from which a box is near a face"
        )
    if args.integer_quirk is False or args.iou != 0.5:
        return False
    return bool(told.get("integer_quirk", True))


def say(text: str) -> None:
    """Tells the user on stderr."""
    print(f"facedet diagnose: {text}", file=sys.stderr)
