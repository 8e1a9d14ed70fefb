"""FDDB's discrete and continuous ROC curves (Jain and Learned-Miller, 2010).

At every score, the detections that reach it are assigned one to one to the faces, such that the
assigned pairs are as similar as possible in sum. The arithmetic is in numpy, in float64.
"""

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from facedet.errors import UsageError
from facedet.metrics.regions import similarities
from facedet.metrics.states import PictureMetric
from facedet.structures import Detections

Ellipses = Literal["masks", "boxes"]


class EllipseTarget(NamedTuple):
    """The faces of one picture of FDDB."""

    boxes: Tensor  # [G, 4] xyxy pixels, around the ellipses
    ellipses: Tensor  # [G, 5] half axes ra and rb px, angle of ra rad, centre x and y px
    index: int  # type: ignore[assignment]  # position of its record in the data set
    size: tuple[int, int] | None = None  # (height, width); None: not known


class EllipseDetections(NamedTuple):
    """Elliptical faces found in one picture."""

    boxes: Tensor  # [N, 4] xyxy pixels, around the ellipses
    scores: Tensor  # [N]
    ellipses: Tensor  # [N, 5] as of `EllipseTarget`


class Roc(NamedTuple):
    """Both curves of a set, a row per distinct score, rising: false positives fall."""

    threshold: np.ndarray  # [T] detections with at least this score count
    false_positives: np.ndarray  # [T]
    discrete: np.ndarray  # [T] faces found with a similarity above the threshold, of all faces
    continuous: np.ndarray  # [T] sum of the assigned pairs' similarities, over all faces
    precision: np.ndarray  # [T] discrete true positives, of all detections that count
    faces: int


def picture_steps(similarity: np.ndarray, scores: np.ndarray, threshold: float = 0.5) -> np.ndarray:
    """What one picture adds to the curves' counts at each of its distinct scores.

    Args:
        similarity: [G, N] in [0, 1] of faces and detections.
        scores: [N] of the detections.
        threshold: a pair is a true positive where its similarity is above this.

    Returns:
        Rows [K, 4] float64 by falling score: the score, and what is added there to true positives
        (a better assignment may take one away), to false positives and to the similarities' sum.
    """
    levels = np.unique(scores)[::-1]
    touching = np.flatnonzero(similarity.any(axis=0))
    # Nothing but a detection that touches a face can change the assignment.
    changes = np.unique(scores[touching])[::-1]
    hits, sums = np.zeros(len(changes) + 1), np.zeros(len(changes) + 1)
    for place, level in enumerate(changes, start=1):
        pairs = similarity[:, touching[scores[touching] >= level]]
        values = pairs[linear_sum_assignment(pairs, maximize=True)]
        hits[place], sums[place] = (values > threshold).sum(), values.sum()
    current = np.searchsorted(-changes, -levels, side="right")
    detections = np.searchsorted(np.sort(-scores), -levels, side="right")
    totals = np.column_stack([hits[current], detections - hits[current], sums[current]])
    return np.column_stack([levels, np.diff(totals, axis=0, prepend=0)])


def merge_steps(steps: np.ndarray, faces: int) -> Roc:
    """The curves of a set from the rows [K, 4] of `picture_steps` of all its pictures.

    Args:
        steps: in any order.
        faces: of all pictures, also of those without a detection.
    """
    threshold, place = np.unique(steps[:, 0], return_inverse=True)
    added = np.stack([np.bincount(place, column, len(threshold)) for column in steps[:, 1:].T])
    hits, false, sums = added[:, ::-1].cumsum(axis=1)[:, ::-1]
    rates = hits / max(faces, 1), sums / max(faces, 1)
    return Roc(threshold, false, *rates, hits / np.maximum(hits + false, 1), faces)


def rate_below(false_positives: np.ndarray, rates: np.ndarray, limit: int) -> Tensor:
    """The rate, of `rates` [T], at the lowest threshold with fewer false positives than `limit`.

    A float64 scalar; 0 if no threshold leaves so few.
    """
    places = np.flatnonzero(false_positives < limit)
    return torch.tensor(rates[places[0]] if len(places) else 0.0, dtype=torch.float64)


class FddbRoc(PictureMetric):
    """True positive rates of FDDB's protocol, its ten folds taken together.

    Regions are cut at the picture's border, as the official tool does, where the size of the
    picture is known. Where it is not, they are cut at its left and upper border, and to the right
    and below at `side` pixels, which no picture of FDDB exceeds.

    Args:
        false_positives: numbers of false positives below which the rates are given.
        threshold: a detection has found a face where their similarity is above this.
        side: largest width and height of a picture of unknown size, px.
        ellipses: `masks`: drawn as the official tool draws them; `boxes`: replaced by the boxes
            around them, faster and not comparable with published numbers.

    Raises:
        UsageError: `ellipses` is none of these.
    """

    def __init__(
        self,
        false_positives: Sequence[int] = (1000, 2000),
        threshold: float = 0.5,
        side: int = 450,
        ellipses: Ellipses = "masks",
    ) -> None:
        # Per image: index, detections, steps, faces, whether its size is known.
        super().__init__(5, steps=4)
        if ellipses not in get_args(Ellipses):
            raise UsageError(f"ellipses={ellipses!r} is none of {', '.join(get_args(Ellipses))}")
        self.false_positives = tuple(false_positives)
        self.threshold = threshold
        self.side = side
        self.ellipses = ellipses

    def update(
        self,
        detections: Sequence[Detections | EllipseDetections],
        targets: Sequence[EllipseTarget],
    ) -> None:
        """Adds images.

        Args:
            detections: per image, as rectangles (x2 = x + w) or as ellipses, in pixels of the
                file and in any float type.
            targets: per image, all its faces.

        Raises:
            ValueError: the lists differ in length.
        """
        for found, target in zip(detections, targets, strict=True):
            size = target.size or (self.side, self.side)
            faces, shapes = target.boxes, found.boxes
            if self.ellipses == "masks":
                faces = target.ellipses
                shapes = found.ellipses if isinstance(found, EllipseDetections) else shapes
            similarity = similarities(_array(faces), _array(shapes), size)
            steps = torch.from_numpy(
                picture_steps(similarity, _array(found.scores), self.threshold)
            )
            known = target.size is not None
            counts = [target.index, len(found.scores), len(steps), len(faces), known]
            self.add(pictures=torch.tensor(counts), steps=steps)

    def make_curves(self, pictures: Tensor, *tables: Tensor) -> Roc:
        """Both curves."""
        return merge_steps(tables[0].numpy(), int(pictures[:, 3].sum()))

    def values(self, curves: Roc) -> dict[str, Tensor]:
        """Both rates below each number, as "fddb/discrete_1000" and "fddb/continuous_1000"."""
        return {
            f"fddb/{name}_{limit}": rate_below(curves.false_positives, getattr(curves, name), limit)
            for limit in self.false_positives
            for name in ("discrete", "continuous")
        }

    def settings(self) -> dict[str, Any]:
        """What the values depend on, for a report; `border` tells how many sizes are known."""
        known = int(self.seen()[:, 4].sum())
        return {
            "similarity": self.threshold,
            "ellipses": self.ellipses,
            "border": f"{known:,} pictures' own, {self.images - known:,} at {self.side} px",
        }


def _array(values: Tensor) -> np.ndarray:
    return values.detach().cpu().double().numpy()
