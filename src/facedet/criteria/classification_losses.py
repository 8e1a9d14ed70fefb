"""Classification losses: how wrong is the score of each anchor?"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from facedet.errors import UsageError


@dataclass(frozen=True)
class CrossEntropy:
    """Softmax cross-entropy (SSD, S3FD, EXTD); the background outnumbers faces, so it is mined."""

    def __call__(self, logits: Tensor, positive: Tensor) -> Tensor:
        """Losses [B, A] of logits [B, A, 2] (background, face) for positives [B, A] bool."""
        return F.cross_entropy(logits.transpose(1, 2), positive.long(), reduction="none")


@dataclass(frozen=True)
class Focal:
    """Focal loss (Lin et al., arXiv 1708.02002): -w (1 - p)^gamma ln p, p the right class's score.

    Args:
        alpha: w of faces; background has 1 - alpha.
        gamma: 0 gives the weighted cross-entropy.

    Raises:
        UsageError: `alpha` lies outside 0 … 1, or `gamma` is negative.
    """

    alpha: float = 0.25
    gamma: float = 2.0

    def __post_init__(self) -> None:
        if not 0 <= self.alpha <= 1 or self.gamma < 0:
            raise UsageError(
                f"classification_loss.alpha={self.alpha}, classification_loss.gamma={self.gamma}: "
                "0 … 1, and at least 0 are needed"
            )

    def __call__(self, logits: Tensor, positive: Tensor) -> Tensor:
        """Losses [B, A] of logits [B, A, 2] (background, face) for positives [B, A] bool."""
        losses = F.cross_entropy(logits.transpose(1, 2), positive.long(), reduction="none")
        weight = torch.where(positive, self.alpha, 1 - self.alpha)
        # 1 - p; the difference of a score that rounds to 1 is exact this way.
        return weight * (-torch.expm1(-losses)).pow(self.gamma) * losses
