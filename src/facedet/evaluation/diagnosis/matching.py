"""What WIDER FACE's protocol says of every single detection and face of a set, and of an image.

The verdicts are those of `facedet.metrics.functional`, so their sums are the numbers of `WiderAP`.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from facedet import boxes as box_ops
from facedet.evaluation.detection_files import to_detections
from facedet.metrics.functional import (
    average_precision,
    image_average_precision,
    judge_detections,
    match_detections,
    normalise_scores,
    precision_recall,
)
from facedet.structures import Record

_QUIET_SECONDS = 3.0
_NOTHING = np.zeros((0, 5))


class Verdicts(NamedTuple):
    """What the protocol says of a set's D detections and F faces in I images, S subsets."""

    scores: Tensor  # [D] float64, as the files have them
    proposals: Tensor  # [D, S] bool: counts in the subset
    recalls: Tensor  # [D, S] bool: recalls a face of the subset
    means: Tensor  # [D] bool: means a face, one of the subset or not
    nearest: Tensor  # [D] the face of highest IoU, -1 where the image has none
    overlap: Tensor  # [D] float64, that IoU (sides + 1 px), 0 … 1
    kept: Tensor  # [F, S] bool: the faces of each subset
    best: Tensor  # [F] float64: the best score of those that mean the face, -inf for none
    reach: Tensor  # [F] float64: the highest IoU with any detection, 0 … 1
    image: Tensor  # [F] the image of a face
    firsts: Tensor  # [I + 1] image i owns the detections firsts[i] … firsts[i + 1] - 1


class PictureVerdicts(NamedTuple):
    """What is to be shown of one picture with G faces and N detections."""

    missed: np.ndarray  # [G] bool: faces of the subset that are not found
    right: np.ndarray  # [N] bool: detections that recall one
    wrong: np.ndarray  # [N] bool: those that count and recall none


def judge_records(
    records: Sequence[Record],
    found: Mapping[str, np.ndarray],
    iou: float = 0.5,
    integer_quirk: bool = True,
) -> Verdicts:
    """Matches the detections of a set with its faces, as the protocol does.

    Args:
        records: annotated pictures, boxes xyxy pixels, whose tags hold "subsets" [G, S].
        found: by record name, detections [N, 5] as x, y, w, h, score in pixels; no entry: none.
        iou: from which a detection means a face.
        integer_quirk: see `match_detections`.
    """
    parts: list[tuple[Tensor, ...]] = []
    faces_before = 0
    for place, record in enumerate(
        tqdm(records, desc="matching", delay=_QUIET_SECONDS, disable=None, leave=False)
    ):
        boxes, scores = to_detections(found.get(record.name, _NOTHING))[:2]
        faces = torch.from_numpy(record.boxes).double()
        kept = kept_faces(record)
        match = match_detections(boxes, faces, iou, integer_quirk)
        proposals, recalls = judge_detections(match, scores, kept)
        # A column and a row of no overlap stand for "no face" and "no detection".
        overlaps = torch.zeros(len(boxes) + 1, len(faces) + 1, dtype=torch.float64)
        overlaps[:-1, :-1] = box_ops.iou(boxes, faces, plus_one=1.0)
        overlap, nearest = overlaps[:-1].max(dim=1)
        reach = overlaps[:, :-1].amax(dim=0)
        best = torch.full((len(faces) + 1,), -torch.inf, dtype=torch.float64)
        best = best.scatter_reduce(0, match % (len(faces) + 1), scores, "amax")[:-1]
        parts.append(
            (
                *(scores, proposals, recalls, match >= 0),
                torch.where(nearest == len(faces), -1, nearest + faces_before),
                *(overlap, kept, best, reach),
                torch.full((len(faces),), place),
                torch.tensor([len(boxes)]),
            )
        )
        faces_before += len(faces)
    *columns, sizes = (torch.cat(column) for column in zip(*parts, strict=True))
    return Verdicts._make([*columns, torch.cat([sizes.new_zeros(1), sizes]).cumsum(0)])


def kept_faces(record: Record) -> Tensor:
    """Which faces of a record count in each subset: [G, S] bool."""
    return torch.from_numpy(record.tags["subsets"] & ~record.ignore[:, None])


def subset_ap(verdicts: Verdicts, subset: int, lowest: float = -np.inf) -> float:
    """The AP of a subset as `WiderAP` has it, from the detections with at least a score.

    Scores are stretched to 0 … 1 over what is left, as they would be if the files held no more.

    Args:
        verdicts: of the set.
        subset: its column.
        lowest: detections with a lower score are left out.
    """
    left = verdicts.scores >= lowest
    return plain_ap(
        normalise_scores(verdicts.scores[left]),
        verdicts.proposals[left, subset],
        verdicts.recalls[left, subset],
        int(verdicts.kept[:, subset].sum()),
    )


def recall(verdicts: Verdicts, subset: int, lowest: float = -np.inf) -> float:
    """The recall in [0, 1] of the detections with at least the score `lowest`; 0 without faces.

    Without `lowest` it is the ceiling that no order of the detections passes.
    """
    kept = verdicts.kept[:, subset]
    return int((kept & is_found(verdicts, lowest)).sum()) / max(int(kept.sum()), 1)


def is_found(verdicts: Verdicts, lowest: float = -np.inf) -> Tensor:
    """Which faces a detection with at least the score `lowest` means: [F] bool."""
    return verdicts.best.isfinite() & (verdicts.best >= lowest)


def precision(verdicts: Verdicts, subset: int, lowest: float) -> float:
    """The precision in [0, 1] of the detections with at least a score; 0 where none counts."""
    proposed = verdicts.proposals[:, subset] & (verdicts.scores >= lowest)
    return int(verdicts.recalls[proposed, subset].sum()) / max(int(proposed.sum()), 1)


def best_f1_score(verdicts: Verdicts, subset: int) -> float:
    """The score from which detections should be kept for the best F1 on a subset.

    F1 is 2 TP / (detections that count + faces). Of several such scores it is the highest; 0
    where nothing is recalled.
    """
    proposals = verdicts.proposals[:, subset]
    scores, order = verdicts.scores[proposals].sort(descending=True)
    hits = verdicts.recalls[proposals, subset][order].double().cumsum(0)
    if not len(scores) or not hits[-1]:
        return 0.0
    f1 = hits / (torch.arange(1, len(scores) + 1) + verdicts.kept[:, subset].sum())
    # Equal scores pass a threshold together: only the last of them is a choice.
    is_last = torch.cat([scores[:-1] != scores[1:], torch.ones(1, dtype=torch.bool)])
    return float(scores[torch.where(is_last, f1, -1.0).argmax()])


def image_faces(verdicts: Verdicts, subset: int) -> np.ndarray:
    """How many faces of each image count in a subset: [I] int64."""
    images = verdicts.image[verdicts.kept[:, subset]]
    return images.bincount(minlength=len(verdicts.firsts) - 1).numpy()


def image_aps(
    records: Sequence[Record],
    found: Mapping[str, np.ndarray],
    subset: int,
    iou: float = 0.5,
    integer_quirk: bool = True,
) -> np.ndarray:
    """The AP of every image alone (arXiv 1811.11662, figure 1); see `image_average_precision`.

    Args:
        records: annotated pictures, as for `judge_records`.
        found: by record name, detections [N, 5]; scores in [0, 1].
        subset: column of the faces that count.
        iou: from which a detection means a face.
        integer_quirk: see `match_detections`.

    Returns:
        [I] float64 in [0, 1], not a number where no face of an image counts.
    """
    values = []
    for record in records:
        boxes, scores = to_detections(found.get(record.name, _NOTHING))[:2]
        faces, kept = torch.from_numpy(record.boxes), kept_faces(record)[:, subset]
        value = image_average_precision(boxes, scores, faces, kept, iou, integer_quirk)
        values.append(value.item())
    return np.array(values, dtype=np.float64)


def judge_picture(verdicts: Verdicts, place: int, subset: int, score: float) -> PictureVerdicts:
    """The verdicts on one picture of the set, with the detections from a score on.

    Args:
        verdicts: of the set.
        place: the picture's, in the set.
        subset: column of the faces that count; others are neither missed nor found.
        score: the operating score.
    """
    own = slice(int(verdicts.firsts[place]), int(verdicts.firsts[place + 1]))
    faces = verdicts.image == place
    missed = verdicts.kept[faces, subset] & ~is_found(verdicts, score)[faces]
    shown = verdicts.scores[own] >= score
    right = verdicts.recalls[own, subset]
    wrong = verdicts.proposals[own, subset] & ~right
    return PictureVerdicts(missed.numpy(), (shown & right).numpy(), (shown & wrong).numpy())


def plain_ap(scores: Tensor, proposals: Tensor, recalls: Tensor, faces: int) -> float:
    """The AP in [0, 1] of scores [N] in 0 … 1, see `precision_recall`."""
    return average_precision(*precision_recall(scores, proposals, recalls, faces)).item()
