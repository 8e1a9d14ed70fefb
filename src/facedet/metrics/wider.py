"""The average precision of WIDER FACE's protocol as a torchmetrics class."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from facedet.metrics.functional import (
    average_precision,
    is_rounded,
    judge_detections,
    match_detections,
    normalise_scores,
    precision_recall,
)
from facedet.metrics.states import PictureMetric
from facedet.structures import Detections, Target


class Curve(NamedTuple):
    """Precision over recall in one subset, at the score thresholds 1 - t / T, t = 1 … T."""

    precision: Tensor  # [T] float64
    recall: Tensor  # [T] float64
    faces: int  # that the recall refers to


class WiderAP(PictureMetric):
    """Average precision of the WIDER FACE protocol (Yang et al., 2016): IoU 0.5, 1,000 thresholds.

    Scores are normalised over the whole set, so nothing is known before `compute`. Every process
    keeps two numbers per detection and four to six per image.

    Two things differ from the official toolbox. Detections in an image without any box are false
    positives; the toolbox skips such an image (its own lists have none: a dummy box of zero size
    stands in). And results do not depend on the order of detections.

    Args:
        integer_quirk: round every IoU to 0 or 1, as the official MATLAB toolbox does with its
            int32 boxes; published numbers come from it. At another `iou` than 0.5 nothing is
            rounded, and `settings` says so.
        subsets: names of the columns of `Target.subsets`.
        iou: from which a detection matches a face.
        thresholds: points on the curve.
    """

    def __init__(
        self,
        integer_quirk: bool = True,
        subsets: Sequence[str] = ("easy", "medium", "hard"),
        iou: float = 0.5,
        thresholds: int = 1000,
    ) -> None:
        # Per image: index, detections, rows of `found`, then the faces of each subset. Per
        # detection: score, and bits: s, counts in subset s; S + s, recalls a face of subset s.
        super().__init__(3 + len(subsets), found=2)
        self.integer_quirk = is_rounded(integer_quirk, iou)
        self.subsets = tuple(subsets)
        self.iou = iou
        self.thresholds = thresholds

    def update(self, detections: Sequence[Detections], targets: Sequence[Target]) -> None:
        """Adds images.

        Args:
            detections: per image, boxes [N, 4] xyxy pixels of the file (x2 = x + w) in any float
                type, and scores [N].
            targets: per image, all its faces; `subsets` [G, S] says which count where, and faces
                to `ignore` count in none.

        Raises:
            ValueError: the lists differ in length, or a target's subsets do not fit its boxes.
        """
        for found, target in zip(detections, targets, strict=True):
            expected = (len(target.boxes), len(self.subsets))
            if target.subsets.shape != expected:
                raise ValueError(
                    f"subsets {list(target.subsets.shape)} of image {target.index}, "
                    f"expected {list(expected)} (faces, {'/'.join(self.subsets)})"
                )
            boxes, scores = found.boxes.detach().cpu(), found.scores.detach().cpu().double()
            in_subset = target.subsets.cpu().bool() & ~target.ignore.cpu().bool()[:, None]
            match = match_detections(boxes, target.boxes.cpu(), self.iou, self.integer_quirk)
            flags = torch.cat(judge_detections(match, scores, in_subset), dim=1)
            bits = (flags * 2 ** torch.arange(flags.shape[1])).sum(dim=1)
            counts = [target.index, len(scores), len(scores), *in_subset.sum(dim=0).tolist()]
            self.add(pictures=torch.tensor(counts), found=torch.stack([scores, bits], dim=1))

    def make_curves(self, pictures: Tensor, *tables: Tensor) -> dict[str, Curve]:
        """The curve of each subset."""
        scores, bits = normalise_scores(tables[0][:, 0]), tables[0][:, 1].long()
        curves = {}
        for place, name in enumerate(self.subsets):
            faces = int(pictures[:, 3 + place].sum())
            proposals = (bits >> place & 1).bool()
            recalls = (bits >> len(self.subsets) + place & 1).bool()
            points = precision_recall(scores, proposals, recalls, faces, self.thresholds)
            curves[name] = Curve(*points, faces)
        return curves

    def values(self, curves: dict[str, Curve]) -> dict[str, Tensor]:
        """The average precisions, as "wider/{subset}"."""
        return {
            f"wider/{name}": average_precision(curve.precision, curve.recall)
            for name, curve in curves.items()
        }

    def settings(self) -> dict[str, Any]:
        """What the values depend on, for a report."""
        return {key: getattr(self, key) for key in ("iou", "thresholds", "integer_quirk")}
