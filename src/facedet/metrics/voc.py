"""The protocol of AFW and Pascal Faces (Mathias et al., 2014): average precision at an IoU of 0.5.

Annotators and detectors do not agree on how much of a head a box holds. So after a first matching
all detections are moved and scaled by what the matched ones lack on average, and matched again.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torchmetrics import Metric

from facedet import boxes as box_ops
from facedet.errors import UsageError
from facedet.metrics.functional import average_precision, judge_detections
from facedet.metrics.states import first_places, stack_rows, to_state
from facedet.structures import Detections, Target


class PictureSet(NamedTuple):
    """Detections and faces of all pictures in one row each, the pictures one after the other."""

    boxes: Tensor  # [D, 4] float64 xyxy px
    scores: Tensor  # [D] float64
    detections: list[int]  # of each picture
    faces: Tensor  # [F, 4] float64 xyxy px
    ignore: Tensor  # [F] bool
    face_counts: list[int]  # of each picture


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


def match_pictures(pictures: PictureSet, threshold: float) -> Tensor:
    """The face [D] that each detection of the set matches, an index into all faces, or -1."""
    matches, first = [], 0
    for boxes, faces in zip(
        pictures.boxes.split(pictures.detections),
        pictures.faces.split(pictures.face_counts),
        strict=True,
    ):
        match = match_faces(boxes, faces, threshold)
        matches.append(torch.where(match >= 0, match + first, -1))
        first += len(faces)
    return torch.cat(matches) if matches else torch.zeros(0, dtype=torch.long)


def rank_pictures(pictures: PictureSet, match: Tensor) -> tuple[Ranked, Tensor]:
    """Counts a matched set, over all pictures at once.

    A detection that matches a face to ignore does not count. Of those that match the same face,
    the best-scored one has found it and the others are false positives; equal scores count in the
    order of the rows.

    Returns:
        The curve, and whether each detection [D] is the one that found its face.
    """
    counts = ~pictures.ignore[:, None]
    counted, found = (flags[:, 0] for flags in judge_detections(match, pictures.scores, counts))
    order = pictures.scores.argsort(descending=True, stable=True)
    order = order[counted[order]]
    hits = found[order].double().cumsum(dim=0)
    faces = int(counts.sum())
    precision = hits / torch.arange(1, len(order) + 1, dtype=torch.float64)
    return Ranked(pictures.scores[order], precision, hits / max(faces, 1), faces), found


def refine_boxes(boxes: Tensor, own: Tensor, faces: Tensor) -> Tensor:
    """Moves and scales all detections as the matched ones want it on average.

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


def refined_curves(pictures: PictureSet, threshold: float, rounds: int) -> list[Ranked]:
    """The curve of each round: matched, then refined and matched again.

    Args:
        pictures: the set.
        threshold: see `match_faces`.
        rounds: matchings; with 1 nothing is refined.
    """
    curves: list[Ranked] = []
    for _ in range(rounds):
        match = match_pictures(pictures, threshold)
        curve, found = rank_pictures(pictures, match)
        curves.append(curve)
        moved = refine_boxes(pictures.boxes, pictures.boxes[found], pictures.faces[match[found]])
        pictures = pictures._replace(boxes=moved)
    return curves


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


class VocAP(Metric):
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

    is_differentiable = False
    higher_is_better = True
    full_state_update = False

    found: list[Tensor]
    faces: list[Tensor]
    pictures: list[Tensor]

    def __init__(
        self,
        name: str = "voc",
        iou: float = 0.5,
        rounds: int = 5,
        min_face: float = 30,
        min_detection: float = 21,
    ) -> None:
        super().__init__()
        self.name = name
        self.iou = iou
        if rounds < 1:
            raise UsageError(f"rounds={rounds}: expected at least 1, which refines nothing")
        self.rounds = rounds
        self.min_face = min_face
        self.min_detection = min_detection
        self.set_dtype(torch.float64)
        self.add_state("found", default=[], dist_reduce_fx="cat")  # [D · 5] x1, y1, x2, y2, score
        self.add_state("faces", default=[], dist_reduce_fx="cat")  # [F · 5] x1, y1, x2, y2, ignore
        # Per image: index, detections that are large enough, faces, all detections.
        self.add_state("pictures", default=[], dist_reduce_fx="cat")  # [I · 4]

    def update(self, detections: Sequence[Detections], targets: Sequence[Target]) -> None:
        """Adds images; one that is seen again, by its `index`, counts once.

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
            listed = torch.cat([boxes, ignore], dim=1)
            counts = torch.tensor([target.index, int(large.sum()), len(boxes), len(rows)])
            self.found.append(to_state(rows[large].flatten(), self.device))
            self.faces.append(to_state(listed.flatten(), self.device))
            self.pictures.append(to_state(counts, self.device))

    def compute(self) -> dict[str, Tensor]:
        """Average precisions in [0, 1]: "NAME/ap", "NAME/ap_11" (11 points), "NAME/ap_unrefined".

        0 where there is no face.
        """
        curves = self.curves()
        first, last = curves[0], curves[-1]
        values = {
            "ap": average_precision(last.precision, last.recall),
            "ap_11": eleven_point_precision(last.precision, last.recall),
            "ap_unrefined": average_precision(first.precision, first.recall),
        }
        return {f"{self.name}/{key}": to_state(value, self.device) for key, value in values.items()}

    def curves(self) -> list[Ranked]:
        """The curve of each round over all images seen."""
        table = stack_rows(self.pictures, 4).long()
        places = first_places(table[:, 0])
        found = stack_rows(self.found, 5).split(table[:, 1].tolist())
        faces = stack_rows(self.faces, 5).split(table[:, 2].tolist())
        rows = torch.cat([found[place] for place in places] or [torch.zeros(0, 5)]).double()
        listed = torch.cat([faces[place] for place in places] or [torch.zeros(0, 5)]).double()
        pictures = PictureSet(
            rows[:, :4],
            rows[:, 4],
            table[places, 1].tolist(),
            listed[:, :4],
            listed[:, 4].bool(),
            table[places, 2].tolist(),
        )
        return refined_curves(pictures, self.iou, self.rounds)

    @property
    def images(self) -> int:
        """Images seen, each counted once."""
        return len(self._seen())

    @property
    def detections(self) -> int:
        """Detections in them, with those that are too small to count."""
        return int(self._seen()[:, 3].sum())

    def settings(self) -> dict[str, Any]:
        """What the values depend on, for a report."""
        return {
            "iou": self.iou,
            "rounds": self.rounds,
            "min_face": self.min_face,
            "min_detection": self.min_detection,
        }

    def _seen(self) -> Tensor:
        """The rows [I, 4] of the images, without repetitions."""
        table = stack_rows(self.pictures, 4)
        return table[first_places(table[:, 0])]
