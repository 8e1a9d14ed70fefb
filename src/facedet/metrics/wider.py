"""The average precision of WIDER FACE's protocol as a torchmetrics class."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities.prints import rank_zero_warn

from facedet.metrics.functional import (
    average_precision,
    judge_detections,
    match_detections,
    normalise_scores,
    precision_recall,
)
from facedet.metrics.states import first_places, stack_rows, to_state
from facedet.structures import Detections, Target


class Curve(NamedTuple):
    """Precision over recall in one subset, at the score thresholds 1 - t / T, t = 1 … T."""

    precision: Tensor  # [T] float64
    recall: Tensor  # [T] float64
    faces: int  # that the recall refers to


class _Summary(NamedTuple):
    curves: dict[str, Curve]
    images: int
    detections: int


class WiderAP(Metric):
    """Average precision of the WIDER FACE protocol (Yang et al., 2016): IoU 0.5, 1,000 thresholds.

    Scores are normalised over the whole set, so nothing is known before `compute`. An image
    counts once however often it is seen, by its `Target.index`, since distributed samplers fill
    up their last round with repetitions. Every process keeps one number per detection and three
    to five per image.

    Two things differ from the official toolbox. Detections in an image without any box are false
    positives; the toolbox skips such an image (its own lists have none: a dummy box of zero size
    stands in). And results do not depend on the order of detections.

    Args:
        integer_quirk: round every IoU to 0 or 1, as the official MATLAB toolbox does with its
            int32 boxes; published numbers come from it.
        subsets: names of the columns of `Target.subsets`.
        expected_images: images in the whole set; a warning follows where fewer were seen.
        iou: from which a detection matches a face.
        thresholds: points on the curve.
    """

    is_differentiable = False
    higher_is_better = True
    full_state_update = False

    scores: list[Tensor]
    verdicts: list[Tensor]
    pictures: list[Tensor]

    def __init__(
        self,
        integer_quirk: bool = True,
        subsets: Sequence[str] = ("easy", "medium", "hard"),
        expected_images: int | None = None,
        iou: float = 0.5,
        thresholds: int = 1000,
    ) -> None:
        super().__init__()
        self.integer_quirk = integer_quirk
        self.subsets = tuple(subsets)
        self.expected_images = expected_images
        self.iou = iou
        self.thresholds = thresholds
        self._summary: _Summary | None = None
        self.set_dtype(torch.float64)
        self.add_state("scores", default=[], dist_reduce_fx="cat")  # [D]
        # Bits per detection: s, counts in subset s; S + s, recalls a face of subset s.
        self.add_state("verdicts", default=[], dist_reduce_fx="cat")  # [D]
        # Per image: index, detections, then the faces of each subset.
        self.add_state("pictures", default=[], dist_reduce_fx="cat")  # [I · (2 + S)]

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
        self._summary = None
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
            counts = torch.tensor([target.index, len(scores), *in_subset.sum(dim=0).tolist()])
            self.scores.append(to_state(scores, self.device))
            self.verdicts.append(to_state(bits, self.device))
            self.pictures.append(to_state(counts, self.device))

    def compute(self) -> dict[str, Tensor]:
        """Average precisions of all images seen by all processes, as "wider/{subset}" in [0, 1].

        A subset without a face has 0.
        """
        self._summary = self._summarise()
        seen, expected = self._summary.images, self.expected_images
        if expected is not None and seen < expected:
            rank_zero_warn(
                f"WIDER AP over {seen:,} of {expected:,} images: the others' faces are not counted"
            )
        return {
            f"wider/{name}": to_state(average_precision(curve.precision, curve.recall), self.device)
            for name, curve in self._summary.curves.items()
        }

    def forward(
        self, detections: Sequence[Detections], targets: Sequence[Target]
    ) -> dict[str, Tensor]:
        """Adds images as `update` does and gives their own average precisions."""
        values = super().forward(detections, targets)
        self._summary = None  # it was the batch's
        return values

    def reset(self) -> None:
        """Forgets all images."""
        super().reset()
        self._summary = None

    def curves(self) -> dict[str, Curve]:
        """The curve of each subset; like the counts below, computed if `compute` was not called.

        In a distributed run, call `compute` in every process first.
        """
        return self._computed_summary().curves

    @property
    def images(self) -> int:
        """Images seen, each counted once."""
        return self._computed_summary().images

    @property
    def detections(self) -> int:
        """Detections in them."""
        return self._computed_summary().detections

    @property
    def missing_images(self) -> int:
        """Images expected but not seen."""
        return max(0, (self.expected_images or 0) - self.images)

    def settings(self) -> dict[str, Any]:
        """What the values depend on, for a report."""
        return {
            "iou": self.iou,
            "thresholds": self.thresholds,
            "integer_quirk": self.integer_quirk,
        }

    def _computed_summary(self) -> _Summary:
        if self._summary is None:
            self.compute()
        assert self._summary is not None
        return self._summary

    def _summarise(self) -> _Summary:
        """Counts what the states hold, each image once."""
        table = stack_rows(self.pictures, 2 + len(self.subsets)).long()
        is_new = torch.zeros(len(table), dtype=torch.bool)
        is_new[first_places(table[:, 0])] = True
        is_used = is_new.repeat_interleave(table[:, 1])
        scores = normalise_scores(stack_rows(self.scores, 1)[is_used, 0])
        bits = stack_rows(self.verdicts, 1)[is_used, 0].long()
        faces = table[is_new, 2:].sum(dim=0).tolist()
        curves = {}
        for place, name in enumerate(self.subsets):
            proposals = (bits >> place & 1).bool()
            recalls = (bits >> len(self.subsets) + place & 1).bool()
            points = precision_recall(scores, proposals, recalls, faces[place], self.thresholds)
            curves[name] = Curve(*points, faces[place])
        return _Summary(curves, int(is_new.sum()), len(scores))
