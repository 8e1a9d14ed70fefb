"""SimOTA: which anchors serve a face is decided by what the network answers there."""

from dataclasses import dataclass

import torch
from torch import Tensor

from facedet.boxes import iou, to_cxcywh
from facedet.criteria.matchers import BACKGROUND
from facedet.errors import UsageError

# Added to the cost of an anchor far from the face: it is taken only where nothing else is left.
_FAR = 1e5
_SMALLEST = 1e-7  # score or IoU whose logarithm is taken


@dataclass(frozen=True)
class SimOtaMatcher:
    """YOLOX's matching (arXiv 2107.08430, §2.1), as YuNet has it.

    A face takes the k anchors of the least cost, -log(score) - `iou_weight` log(IoU), where the
    IoU is that of the box which the network predicts there. Candidates are the anchors whose
    centre lies in the face or at most `radius` of their own sides from its centre, along both
    axes. k is the sum of the `top` largest IoUs of the candidates, rounded down, and at least 1.
    An anchor that two faces take serves the one it costs less.
    """

    top: int = 10
    iou_weight: float = 3.0
    radius: float = 0.625

    def __post_init__(self) -> None:
        if self.top < 1:
            raise UsageError(f"matcher.top={self.top}: at least 1 is needed")

    def __call__(self, faces: Tensor, anchors: Tensor, scores: Tensor, boxes: Tensor) -> Tensor:
        """The face index [A] that each anchor serves, or `BACKGROUND`.

        Args:
            faces: [G, 4] xyxy pixels.
            anchors: [A, 4] xyxy pixels.
            scores: [A] face scores in 0 … 1.
            boxes: [A, 4] predicted, xyxy pixels.
        """
        match = torch.full((len(anchors),), BACKGROUND, device=anchors.device)
        if len(faces) == 0 or len(anchors) == 0:
            return match
        near = self._near(faces, anchors)
        overlaps = iou(faces, boxes)
        cost = -scores.clamp(min=_SMALLEST).log() - self.iou_weight * (
            overlaps.clamp(min=_SMALLEST).log()
        )
        cost = cost + _FAR * ~near
        best = (overlaps * near).topk(min(self.top, len(anchors)), dim=1).values
        counts = best.sum(dim=1).int().clamp(min=1)
        taken = torch.zeros_like(near)
        for face, count in enumerate(counts.tolist()):
            taken[face, cost[face].topk(count, largest=False).indices] = True
        cheapest = cost.masked_fill(~taken, torch.inf).argmin(dim=0)
        return torch.where(taken.any(dim=0), cheapest, match)

    def _near(self, faces: Tensor, anchors: Tensor) -> Tensor:
        """Candidates [G, A]: bool."""
        points, sides = to_cxcywh(anchors).split(2, dim=1)
        low, high = points - faces[:, None, :2], faces[:, None, 2:] - points
        inside = (low > 0).all(dim=2) & (high > 0).all(dim=2)
        distance = (points - to_cxcywh(faces)[:, None, :2]).abs()
        return inside | (distance <= self.radius * sides).all(dim=2)
