"""Miners: which anchors enter the classification loss?"""

from dataclasses import dataclass

import torch
from torch import Tensor


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

    def __call__(self, losses: Tensor, positive: Tensor) -> Tensor:
        """Chooses negatives, per image.

        Args:
            losses: [B, A] classification loss of each anchor.
            positive: [B, A] bool.

        Returns:
            [B, A] bool, the chosen negatives; at most A - 1 of an image.
        """
        wanted = (positive.sum(dim=1) * self.ratio).long().clamp(min=self.minimum)
        wanted = torch.minimum(wanted, (~positive).sum(dim=1)).clamp(max=losses.shape[1] - 1)
        ranked = losses.detach().masked_fill(positive, float("-inf"))
        negative = torch.zeros_like(positive)
        most = int(wanted.max()) if len(wanted) else 0
        best = ranked.topk(most, dim=1).indices
        within = torch.arange(most, device=losses.device)[None, :] < wanted[:, None]
        return negative.scatter_(1, best, within)
