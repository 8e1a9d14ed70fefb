"""The protocol of AFW and Pascal Faces (Mathias et al., 2014): average precision at an IoU of 0.5.

Annotators and detectors do not agree on how much of a head a box holds. So after a first matching
all detections are moved and scaled by what the matched ones lack on average, and matched again.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from facedet import boxes as box_ops
from facedet.errors import UsageError
from facedet.metrics.functional import average_precision, judge_detections
from facedet.metrics.states import PictureMetric
from facedet.structures import Detections, Target


class Ranked(NamedTuple):
    """Precision and recall after each detection that counts, best first."""

    threshold: Tensor  # [P] its score
    precision: Tensor  # [P] float64
    recall: Tensor  # [P] float64
    faces: int  # that the recall refers to


def match_faces(boxes: Tensor, faces: Tensor, threshold: float = 0.5) -> Tensor:
    """Finds the face of highest IoU for each detection of one picture, the last among equals.

    Args:
        boxes: detections [N, 4], xyxy pixels.
        faces: [G, 4].
        threshold: a detection matches a face where the IoU is above this. Sides are counted as
            x2 - x1 + 1, but boxes that only touch have none.

    Returns:
        Index [N] int64 into `faces`, or -1 for none.
    """
    if not len(boxes) or not len(faces):
        return torch.full((len(boxes),), -1)
    overlap = box_ops.iou(boxes, faces, plus_one=1.0)
    overlap[box_ops.intersection(boxes, faces) <= 0] = 0
    best = len(faces) - 1 - overlap.flip(1).argmax(dim=1)
    reached = overlap.gather(1, best[:, None])[:, 0] > threshold
    return torch.where(reached, best, -1)


def match_pictures(
    boxes: Tensor, sizes: list[int], faces: Tensor, face_sizes: list[int], threshold: float
) -> Tensor:
    """Matches a set, see `match_faces`, of which each picture has so many boxes and faces.

    Returns:
        Index [D] int64 into the faces [F, 4] of all pictures, or -1, for each of the boxes [D, 4].
    """
    matches, first = [torch.zeros(0, dtype=torch.long)], 0
    for own, own_faces in zip(boxes.split(sizes), faces.split(face_sizes), strict=True):
        match = match_faces(own, own_faces, threshold)
        matches.append(torch.where(match >= 0, match + first, -1))
        first += len(own_faces)
    return torch.cat(matches)


def rank_pictures(scores: Tensor, match: Tensor, counts: Tensor) -> tuple[Ranked, Tensor]:
    """Counts a matched set, over all pictures at once.

    A detection that matches a face to ignore does not count. Of those that match the same face,
    the best-scored one has found it and the others are false positives; equal scores count in the
    order of the rows.

    Args:
        scores: [D] of the detections.
        match: the face [D] of each, -1 for none.
        counts: [F, 1] bool, the faces that are not to be ignored.

    Returns:
        The curve, and whether each detection [D] is the one that found its face.
    """
    counted, found = (flags[:, 0] for flags in judge_detections(match, scores, counts))
    order = scores.argsort(descending=True, stable=True)
    order = order[counted[order]]
    hits = found[order].double().cumsum(dim=0)
    faces = int(counts.sum())
    precision = hits / torch.arange(1, len(order) + 1, dtype=torch.float64)
    return Ranked(scores[order], precision, hits / max(faces, 1), faces), found


def refine_boxes(boxes: Tensor, own: Tensor, faces: Tensor) -> Tensor:
    """Moves and scales all detections by what the matched ones lack on average.

    Args:
        boxes: all detections [D, 4], xyxy.
        own: those that found a face [M, 4].
        faces: what they found [M, 4].

    Returns:
        Boxes [D, 4]. With d = (centre of the face - centre of the detection) / its sides and
        f = sides of the face / its sides, in the mean over M: centre + d * sides, and f * sides.
    """
    if not len(own):
        return boxes
    ours, theirs = box_ops.to_cxcywh(own), box_ops.to_cxcywh(faces)
    shift = ((theirs[:, :2] - ours[:, :2]) / ours[:, 2:]).mean(dim=0)
    factor = (theirs[:, 2:] / ours[:, 2:]).mean(dim=0)
    every = box_ops.to_cxcywh(boxes)
    centre = every[:, :2] + shift * every[:, 2:]
    return box_ops.from_cxcywh(torch.cat([centre, factor * every[:, 2:]], dim=1))


def eleven_point_precision(precision: Tensor, recall: Tensor) -> Tensor:
    """PASCAL VOC's average precision before 2010, a float64 scalar.

    The mean, over the recalls 0, 0.1 … 1, of the best precision at that recall or a higher one.

    Args:
        precision: [P].
        recall: [P].
    """
    levels = torch.from_numpy(np.linspace(0, 1, 11))
    reached = recall[None, :] >= levels[:, None]
    best = torch.where(reached, precision[None, :], 0.0)
    return best.amax(dim=1).mean() if len(precision) else torch.zeros((), dtype=torch.float64)


class VocAP(PictureMetric):
    """Average precision of AFW and Pascal Faces, with the boxes of the set refined as a whole.

    Args:
        name: of the data set, before the values' names.
        iou: a detection has found a face where their IoU is above this.
        rounds: matchings; all detections are refined before each but the first.
        min_face: faces narrower or lower than this are neither to be found nor false, px.
        min_detection: detections count where width or height is above this, px. The protocol's
            21 is the side of a square of half the area of the smallest face.

    Raises:
        UsageError: there are less than one round.
    """

    def __init__(
        self,
        name: str = "voc",
        iou: float = 0.5,
        rounds: int = 5,
        min_face: float = 30,
        min_detection: float = 21,
    ) -> None:
        # Per image: index, all detections, those that are large enough, faces. Per detection: its
        # corners and score; per face: its corners and whether it is to be ignored.
        super().__init__(4, found=5, faces=5)
        if rounds < 1:
            raise UsageError(f"rounds={rounds}: expected at least 1, which refines nothing")
        self.name = name
        self.iou = iou
        self.rounds = rounds
        self.min_face = min_face
        self.min_detection = min_detection

    def update(self, detections: Sequence[Detections], targets: Sequence[Target]) -> None:
        """Adds images.

        Args:
            detections: per image, boxes [N, 4] xyxy pixels of the file in any float type.
            targets: per image, all its faces; `ignore` as the annotators set it.

        Raises:
            ValueError: the lists differ in length.
        """
        for found, target in zip(detections, targets, strict=True):
            scores = found.scores.detach().cpu().double()[:, None]
            rows = torch.cat([found.boxes.detach().cpu().double(), scores], dim=1)
            large = ((rows[:, 2:4] - rows[:, :2]) > self.min_detection).any(dim=1)
            boxes = target.boxes.cpu().double()
            small = ((boxes[:, 2:] - boxes[:, :2]) < self.min_face).any(dim=1)
            ignore = (target.ignore.cpu().bool() | small).double()[:, None]
            counts = torch.tensor([target.index, len(rows), int(large.sum()), len(boxes)])
            faces = torch.cat([boxes, ignore], dim=1)
            self.add(pictures=counts, found=rows[large], faces=faces)

    def make_curves(self, pictures: Tensor, *tables: Tensor) -> list[Ranked]:
        """The curve of each round: matched, then refined and matched again."""
        found, faces = tables
        scores, listed = found[:, 4], faces[:, :4]
        counts = ~faces[:, 4:].bool()
        sizes, face_sizes = pictures[:, 2].tolist(), pictures[:, 3].tolist()
        boxes = found[:, :4]
        curves = []
        for _ in range(self.rounds):
            match = match_pictures(boxes, sizes, listed, face_sizes, self.iou)
            curve, is_hit = rank_pictures(scores, match, counts)
            curves.append(curve)
            boxes = refine_boxes(boxes, boxes[is_hit], listed[match[is_hit]])
        return curves

    def values(self, curves: list[Ranked]) -> dict[str, Tensor]:
        """The APs as "NAME/ap", "NAME/ap_11" (11 points) and "NAME/ap_unrefined"."""
        first, last = curves[0], curves[-1]
        return {
            f"{self.name}/ap": average_precision(last.precision, last.recall),
            f"{self.name}/ap_11": eleven_point_precision(last.precision, last.recall),
            f"{self.name}/ap_unrefined": average_precision(first.precision, first.recall),
        }

    def settings(self) -> dict[str, Any]:
        """What the values depend on, for a report."""
        return {key: getattr(self, key) for key in ("iou", "rounds", "min_face", "min_detection")}
