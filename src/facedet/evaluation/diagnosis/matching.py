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
    judge_detections,
    match_detections,
    normalise_scores,
    precision_recall,
)
from facedet.structures import Record


class Verdicts(NamedTuple):
    """What the protocol says of a set's D detections and F faces in I images, S subsets.

    AP, recall and precision are in [0, 1], of the detections with at least the score `lowest`.
    """

    scores: Tensor  # [D] float64, as the files have them
    proposals: Tensor  # [D, S] bool: counts in the subset
    recalls: Tensor  # [D, S] bool: recalls a face of the subset
    matched: Tensor  # [D] bool: matches a face, one of the subset or not
    nearest: Tensor  # [D] the face of highest IoU, -1 where the image has none
    overlap: Tensor  # [D] float64, that IoU (sides + 1 px), 0 … 1
    in_subset: Tensor  # [F, S] bool: the faces of each subset
    best_score: Tensor  # [F] float64: of the detections that match the face, -inf for none
    best_iou: Tensor  # [F] float64: the highest IoU with any detection, 0 … 1
    image: Tensor  # [F] the image of a face
    sizes: Tensor  # [I] detections of each image

    def ap(self, subset: int, lowest: float = -np.inf) -> float:
        """As `WiderAP` has it for files of no more detections: scores are stretched over these."""
        left = self.scores >= lowest
        points = self.proposals[left, subset], self.recalls[left, subset]
        faces = int(self.in_subset[:, subset].sum())
        return plain_ap(normalise_scores(self.scores[left]), *points, faces)

    def false(self, subset: int) -> Tensor:
        """Which detections count in a subset and recall no face: [D] bool."""
        return self.proposals[:, subset] & ~self.recalls[:, subset]

    def found(self, lowest: float = -np.inf) -> Tensor:
        """Which faces a detection matches: [F] bool."""
        return self.best_score.isfinite() & (self.best_score >= lowest)

    def recall(self, subset: int, lowest: float = -np.inf) -> float:
        """Of all detections it is the ceiling that no order of them passes; 0 without faces."""
        faces = self.in_subset[:, subset]
        return int((faces & self.found(lowest)).sum()) / max(int(faces.sum()), 1)

    def precision(self, subset: int, lowest: float) -> float:
        """0 where no detection counts."""
        proposed = self.proposals[:, subset] & (self.scores >= lowest)
        return int(self.recalls[proposed, subset].sum()) / max(int(proposed.sum()), 1)

    def best_f1_score(self, subset: int) -> float:
        """The score from which detections should be kept for the best F1 on a subset.

        F1 is 2 TP / (detections that count + faces). Of several such scores it is the highest; 0
        where nothing is recalled.
        """
        proposals = self.proposals[:, subset]
        scores, order = self.scores[proposals].sort(descending=True)
        hits = self.recalls[proposals, subset][order].double().cumsum(0)
        if not len(scores) or not hits[-1]:
            return 0.0
        f1 = hits / (torch.arange(1, len(scores) + 1) + self.in_subset[:, subset].sum())
        # Equal scores pass a threshold together: only the last of them is a choice.
        is_last = torch.cat([scores[:-1] != scores[1:], torch.ones(1, dtype=torch.bool)])
        return float(scores[torch.where(is_last, f1, -1.0).argmax()])

    def image_aps(self, subset: int) -> tuple[np.ndarray, np.ndarray]:
        """How hard each image is alone (arXiv 1811.11662, figure 1).

        The scores, in [0, 1], are taken as they are: the worst detection of an image is not the
        worst of the set, over which a set's scores are stretched.

        Returns:
            AP [I] float64, not a number where no face of an image counts, and the number of faces
            [I] that count.
        """
        faces = self.image[self.in_subset[:, subset]].bincount(minlength=len(self.sizes))
        columns = (self.scores, self.proposals[:, subset], self.recalls[:, subset])
        parts = (column.split(self.sizes.tolist()) for column in columns)
        images = zip(*parts, faces.tolist(), strict=True)
        values = [plain_ap(*image) if image[-1] else np.nan for image in images]
        return np.array(values), faces.numpy()


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
        iou: from which a detection matches a face.
        integer_quirk: see `match_detections`.
    """
    parts: list[tuple[Tensor, ...]] = []
    faces_before = 0
    bar = tqdm(records, desc="matching", delay=3.0, disable=None, leave=False)
    for place, record in enumerate(bar):
        boxes, scores = to_detections(found.get(record.name, np.zeros((0, 5))))[:2]
        faces = torch.from_numpy(record.boxes).double()
        in_subset = torch.from_numpy(record.tags["subsets"] & ~record.ignore[:, None])
        match = match_detections(boxes, faces, iou, integer_quirk)
        # A column and a row of no overlap stand for "no face" and "no detection".
        overlaps = torch.zeros(len(boxes) + 1, len(faces) + 1, dtype=torch.float64)
        overlaps[:-1, :-1] = box_ops.iou(boxes, faces, plus_one=1.0)
        overlap, nearest = overlaps[:-1].max(dim=1)
        best = torch.full((len(faces) + 1,), -torch.inf, dtype=torch.float64)
        best = best.scatter_reduce(0, match % (len(faces) + 1), scores, "amax")[:-1]
        parts.append(
            (
                *(scores, *judge_detections(match, scores, in_subset), match >= 0),
                torch.where(nearest == len(faces), -1, nearest + faces_before),
                *(overlap, in_subset, best, overlaps[:, :-1].amax(dim=0)),
                torch.full((len(faces),), place),
                torch.tensor([len(boxes)]),
            )
        )
        faces_before += len(faces)
    return Verdicts._make(torch.cat(column) for column in zip(*parts, strict=True))


def plain_ap(scores: Tensor, proposals: Tensor, recalls: Tensor, faces: int) -> float:
    """The AP in [0, 1] of scores [N] in 0 … 1, see `precision_recall`."""
    return average_precision(*precision_recall(scores, proposals, recalls, faces)).item()
