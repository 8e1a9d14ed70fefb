"""SmallHardFace's criterion (arXiv 1811.11662): sampled anchors, and the boxes of all near ones."""

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from facedet.box_coder import FasterRcnnBoxCoder, SsdBoxCoder
from facedet.boxes import iou
from facedet.criteria.box_losses import OverlapLoss, SmoothL1
from facedet.criteria.classification_losses import CrossEntropy, Focal
from facedet.criteria.difficulty import hardest_positive, near_anchors
from facedet.criteria.matchers import BACKGROUND, NEITHER
from facedet.errors import UsageError
from facedet.structures import Losses, Predictions, Target


class SampledLoss:
    """Cross-entropy on the anchors a miner samples, smooth-L1 on every anchor near a face.

    As the release computes it, for each image and each level of the detector by itself: anchors
    that reach beyond the image (before padding) take no part, unless all of a level do; the
    cross-entropy is averaged over the sampled anchors, the box loss, summed over its four codes,
    over the regressed ones. The levels' losses are added and the images' averaged, so that a
    batch is the mean of its images.

    The IoU counts sides in whole pixels. A face to ignore is neither found nor a false alarm: the
    anchors that would not be background if it counted are left out, unless they serve a face.

    Args:
        matcher: IoU [G, A] to the face index [A] of each anchor, or a code below 0.
        miner: classification losses, positives and negatives [B, A] to anchors that count [B, A].
        box_coder: makes the regression targets.
        box_threshold: IoU from which an anchor learns the box of its best face, sampled or not.
        sigma: the smooth-L1 is 0.5 (sigma x)² below 1 / sigma² and |x| - 0.5 / sigma² above.
        box_weight: factor of the box loss.
        difficulty_iou: an image's difficulty is that of the positives whose IoU reaches this.
        classification_loss: what the config chooses; only cross-entropy is there.
        box_loss: what the config chooses; only smooth L1 is there, and `sigma` shapes it.

    Raises:
        UsageError: `sigma` is not above 0, or another loss is chosen.
    """

    def __init__(
        self,
        matcher: Callable[[Tensor], Tensor],
        miner: Callable[[Tensor, Tensor, Tensor], Tensor],
        box_coder: SsdBoxCoder | FasterRcnnBoxCoder,
        box_threshold: float = 0.3,
        sigma: float = 3.0,
        box_weight: float = 1.0,
        difficulty_iou: float = 0.5,
        classification_loss: CrossEntropy | Focal = CrossEntropy(),  # noqa: B008, frozen
        box_loss: SmoothL1 | OverlapLoss = SmoothL1(),  # noqa: B008, frozen
    ) -> None:
        if not sigma > 0:
            raise UsageError(f"criterion.sigma={sigma}: a number above 0 is expected")
        # Otherwise a sweep over losses would compare equal trainings.
        if classification_loss != CrossEntropy():
            key, only = f"classification_loss={classification_loss}", "cross-entropy only"
            raise UsageError(f"{key}: criterion=sampled has {only}")
        if box_loss != SmoothL1():
            only = "smooth L1 only, shaped by criterion.sigma"
            raise UsageError(f"box_loss={box_loss}: criterion=sampled has {only}")
        self.matcher = matcher
        self.miner = miner
        self.box_coder = box_coder
        self.box_threshold = box_threshold
        self.beta = sigma**-2
        self.box_weight = box_weight
        self.difficulty_iou = difficulty_iou

    def __call__(self, predictions: Predictions, targets: Sequence[Target]) -> Losses:
        """Losses of a batch of B images, in float32 or better.

        Args:
            predictions: of the detector, on the same images. Their `levels` say how many anchors
                each level has; () stands for one level.
            targets: B targets; their boxes are pixels of the network's input.
        """
        precision = torch.promote_types(predictions.logits.dtype, torch.float32)
        logits, deltas = predictions.logits.to(precision), predictions.deltas.to(precision)
        levels = list(predictions.levels) or [len(predictions.anchors)]
        with torch.no_grad():
            anchors = predictions.anchors
            assigned = [self.assign(anchors, levels, target) for target in targets]
            matches, boxed = (torch.stack(parts) for parts in zip(*assigned, strict=True))
            near = near_anchors(matches, targets, anchors, self.difficulty_iou, plus_one=1.0)
        positive = matches >= 0
        anchor_losses = F.cross_entropy(logits.transpose(1, 2), positive.long(), reduction="none")
        roles = (anchor_losses, positive, matches == BACKGROUND)
        by_level = zip(*(role.split(levels, dim=1) for role in roles), strict=True)
        counted = torch.cat([self.miner(*level) for level in by_level], dim=1)
        classification = _mean_by_level(anchor_losses, counted, levels)
        box_losses = self._box_losses(deltas, anchors, targets, boxed)
        box = _mean_by_level(box_losses, boxed >= 0, levels)
        images = torch.tensor(len(targets), device=logits.device)
        return Losses(classification, self.box_weight * box, images, hardest_positive(logits, near))

    def assign(
        self, anchors: Tensor, levels: Sequence[int], target: Target
    ) -> tuple[Tensor, Tensor]:
        """What each anchor of one image learns.

        Args:
            anchors: [A, 4] xyxy pixels.
            levels: anchors of each level; their sum is A.
            target: of the image.

        Returns:
            The face [A] that it is to be classified as, `BACKGROUND` or `NEITHER`; and the face
            [A] whose box it is to give, or `NEITHER`.
        """
        used = torch.cat(
            [_inside(level, target.size) for level in anchors.split(list(levels))]
        ).nonzero()[:, 0]
        kept = (~target.ignore).nonzero()[:, 0]
        overlaps = iou(target.boxes[kept], anchors[used], plus_one=1.0)
        match = self.matcher(overlaps)
        ignored = iou(target.boxes[target.ignore], anchors[used], plus_one=1.0)
        beside = (match == BACKGROUND) & (self.matcher(ignored) != BACKGROUND)
        classified = torch.full((len(anchors),), NEITHER, device=anchors.device)
        boxed = classified.clone()
        if len(kept):
            best_overlap, best_face = overlaps.max(dim=0)
            match = torch.where(match >= 0, kept[match.clamp(min=0)], match)
            boxed[used] = kept[best_face].masked_fill(best_overlap < self.box_threshold, NEITHER)
        classified[used] = match.masked_fill(beside, NEITHER)
        return classified, boxed

    def _box_losses(
        self, deltas: Tensor, anchors: Tensor, targets: Sequence[Target], boxed: Tensor
    ) -> Tensor:
        """Smooth L1 [B, A] of each anchor's code; 0 where it learns none."""
        losses = deltas.new_zeros(boxed.shape)
        for image, (target, face) in enumerate(zip(targets, boxed, strict=True)):
            chosen = (face >= 0).nonzero()[:, 0]
            code = self.box_coder.encode(target.boxes[face[chosen]], anchors[chosen])
            own = deltas[image, chosen]
            errors = F.smooth_l1_loss(own, code, reduction="none", beta=self.beta)
            losses[image, chosen] = errors.sum(dim=1)
        return losses


def _inside(anchors: Tensor, size: tuple[int, int]) -> Tensor:
    """Which of a level's anchors [A, 4] lie inside an image of `size`; all [A] if none does."""
    height, width = size
    low, high = anchors[:, :2] >= 0, anchors[:, 2:] < anchors.new_tensor([width, height])
    inside = (low & high).all(dim=1)
    return inside if inside.any() else torch.ones_like(inside)


def _mean_by_level(losses: Tensor, counted: Tensor, levels: Sequence[int]) -> Tensor:
    """Mean of the counted [B, A] of an image and level; summed over levels, averaged over B."""
    kept = losses.masked_fill(~counted, 0.0).split(list(levels), dim=1)
    counts = counted.split(list(levels), dim=1)
    means = [
        loss.sum(dim=1) / count.sum(dim=1).clamp(min=1)
        for loss, count in zip(kept, counts, strict=True)
    ]
    return torch.stack(means).sum(dim=0).mean()
