"""Miners: which anchors enter the classification loss?"""

from dataclasses import dataclass

import torch
from torch import Tensor

from facedet.errors import UsageError


@dataclass(frozen=True)
class HardNegativeRatio:
    """Keeps all positives and, per image, the negatives that the detector gets most wrong.

    Args:
        ratio: negatives per positive (SSD, S3FD and EXTD: 3).
        minimum: negatives of an image at the least. 0 as published, where an image without a
            face adds nothing to the loss; a positive number lets such images teach.
    """

    ratio: float = 3.0
    minimum: int = 0

    def __call__(self, losses: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
        """Chooses anchors, per image.

        Args:
            losses: [B, A] classification loss of each anchor.
            positive: [B, A] bool, anchors that serve a face.
            negative: [B, A] bool, background; what is neither is never chosen.

        Returns:
            [B, A] bool: all positives, and at most A - 1 negatives of an image.
        """
        count = (positive.sum(dim=1) * self.ratio).long().clamp(min=self.minimum)
        return positive | hardest(losses, negative, count.clamp(max=losses.shape[1] - 1))


@dataclass(frozen=True)
class AllAnchors:
    """Keeps every anchor that is positive or background: for losses that weigh by themselves."""

    def __call__(self, losses: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
        """Chooses anchors; arguments and result as of `HardNegativeRatio`."""
        return positive | negative


@dataclass(frozen=True)
class OnlineHardExamples:
    """Keeps a fixed number of anchors per image, those that the detector gets most wrong.

    SmallHardFace's anchor-level mining, as released: the positives of lowest face score up to
    their share, then the negatives of highest face score until the number is full.

    Args:
        count: anchors of an image (at each level of the detector).
        positive_share: of them positive at the most; where there are fewer, negatives fill up.

    Raises:
        UsageError: `count` is below 1, or the share is not one.
    """

    count: int = 256
    positive_share: float = 0.25

    def __post_init__(self) -> None:
        if self.count < 1 or not 0 <= self.positive_share <= 1:
            raise UsageError(
                f"miner.count={self.count}, miner.positive_share={self.positive_share}: "
                "expected are at least 1, and 0 … 1"
            )

    def __call__(self, losses: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
        """Chooses anchors, per image; arguments and result as of `HardNegativeRatio`."""
        most = torch.full_like(positive.sum(dim=1), int(self.count * self.positive_share))
        chosen = hardest(losses, positive, most)
        return chosen | hardest(losses, negative, self.count - chosen.sum(dim=1))


def hardest(losses: Tensor, candidates: Tensor, count: Tensor) -> Tensor:
    """The candidates of highest loss, per image; among equal losses the earlier anchor.

    Args:
        losses: [B, A] of each anchor. A cross-entropy ranks as the score does, but still tells
            apart scores that round to 1.
        candidates: [B, A] bool.
        count: [B] how many; where there are fewer candidates, all of them.

    Returns:
        [B, A] bool.
    """
    count = torch.minimum(count, candidates.sum(dim=1)).clamp(min=0)
    most = int(count.max()) if len(count) else 0
    ranked = losses.detach().masked_fill(~candidates, float("-inf"))
    best = ranked.argsort(dim=1, descending=True, stable=True)[:, :most]
    within = torch.arange(most, device=losses.device)[None, :] < count[:, None]
    return torch.zeros_like(candidates).scatter_(1, best, within)
