"""The multibox criterion: matching, mining, and two losses, by default those of SSD and EXTD."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from facedet.box_coder import FasterRcnnBoxCoder, SsdBoxCoder
from facedet.boxes import iou
from facedet.criteria.box_losses import OverlapLoss, SmoothL1
from facedet.criteria.classification_losses import CrossEntropy, Focal
from facedet.criteria.difficulty import hardest_positive, near_anchors
from facedet.criteria.dynamic_matcher import SimOtaMatcher
from facedet.criteria.matchers import BACKGROUND
from facedet.structures import Losses, Predictions, Target


class MultiBoxLoss:
    """A box loss on the positives and a classification loss on positives and mined negatives.

    Both are sums over the batch divided by the number of its positive anchors (at least 1), so a
    batch without any face gives a finite loss. EXTD divides by the positives of an update's whole
    batch (§3): that number travels along as `total`, for the module to put the parts together.

    Args:
        matcher: IoU [G, A] to the face index [A] of each anchor, or a code below 0; or a
            `SimOtaMatcher`, which goes by the predictions.
        miner: classification losses, positives and negatives [B, A] to anchors that count [B, A].
        box_coder: makes the regression targets.
        box_weight: factor of the box loss.
        classification_loss: logits [B, A, 2] and positives [B, A] to losses [B, A]; the miner
            ranks by them.
        box_loss: codes, boxes and anchors [P, 4] of the P positives of an image and the box coder
            to losses [P].
        difficulty_iou: an image's difficulty is that of the positives whose IoU reaches this.
    """

    def __init__(
        self,
        matcher: Callable[[Tensor], Tensor] | SimOtaMatcher,
        miner: Callable[[Tensor, Tensor, Tensor], Tensor],
        box_coder: SsdBoxCoder | FasterRcnnBoxCoder,
        box_weight: float = 1.0,
        classification_loss: CrossEntropy | Focal = CrossEntropy(),  # noqa: B008, frozen
        box_loss: SmoothL1 | OverlapLoss = SmoothL1(),  # noqa: B008, frozen
        difficulty_iou: float = 0.5,
    ) -> None:
        self.matcher = matcher
        self.miner = miner
        self.box_coder = box_coder
        self.box_weight = box_weight
        self.classification_loss = classification_loss
        self.box_loss = box_loss
        self.difficulty_iou = difficulty_iou

    def __call__(self, predictions: Predictions, targets: Sequence[Target]) -> Losses:
        """Losses of a batch of B images.

        Args:
            predictions: of the detector, on the same images.
            targets: B targets; their boxes are pixels of the network's input.
        """
        with torch.no_grad():
            matches = self.match(predictions, targets)
            near = near_anchors(matches, targets, predictions.anchors, self.difficulty_iou)
        positive = matches >= 0
        total = positive.sum()
        divisor = total.clamp(min=1)
        anchor_losses = self.classification_loss(predictions.logits, positive)
        counted = self.miner(anchor_losses, positive, matches == BACKGROUND)
        classification = anchor_losses[counted].sum() / divisor
        box = self._box_loss(predictions, targets, matches) / divisor
        hardest = hardest_positive(predictions.logits, near)
        return Losses(classification, self.box_weight * box, total, hardest)

    def match(self, predictions: Predictions, targets: Sequence[Target]) -> Tensor:
        """The face index [B, A] that each anchor serves; faces to ignore are background."""
        anchors, matches = predictions.anchors, []
        for logits, deltas, target in zip(
            predictions.logits.float(), predictions.deltas.float(), targets, strict=True
        ):
            kept = (~target.ignore).nonzero().flatten()
            faces = target.boxes[kept]
            if isinstance(self.matcher, SimOtaMatcher):
                scores, boxes = logits.softmax(dim=1)[:, 1], self.box_coder.decode(deltas, anchors)
                match = self.matcher(faces, anchors, scores, boxes)
            else:
                match = self.matcher(iou(faces, anchors))
            if len(kept):
                match = torch.where(match >= 0, kept[match.clamp(min=0)], match)
            matches.append(match)
        return torch.stack(matches)

    def _box_loss(
        self, predictions: Predictions, targets: Sequence[Target], matches: Tensor
    ) -> Tensor:
        losses = [predictions.deltas.sum() * 0]
        for deltas, target, match in zip(predictions.deltas, targets, matches, strict=True):
            chosen = match >= 0
            boxes, anchors = target.boxes[match[chosen]], predictions.anchors[chosen]
            losses.append(self.box_loss(deltas[chosen], boxes, anchors, self.box_coder).sum())
        return torch.stack(losses).sum()
