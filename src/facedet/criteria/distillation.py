"""Distillation: a trained detector's answers as targets (Hinton et al., arXiv 1503.02531)."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from facedet.structures import Predictions


class Distilled(NamedTuple):
    """How far a detector is from its teacher."""

    classification: Tensor  # scalar
    box: Tensor  # scalar
    total: Tensor  # scalar, the confident anchors that both are divided by


def distillation_losses(
    predictions: Predictions, taught: Predictions, confident: float = 0.5
) -> Distilled:
    """Compares every anchor's score, and the boxes where the teacher sees a face.

    The scores' loss is the sum over all anchors of |p - q| KL(q || p), p the student's face score
    and q the teacher's; both sums are divided by the number of confident anchors (at least 1). The
    first factor, which has no gradient, stands for mining: a detector that learnt from mined
    negatives gives most of the background a score that is low but has no meaning, and there are
    thousands of such anchors for one on a face.

    Args:
        predictions: of the student.
        taught: of the teacher on the same images, with the same anchors and code of boxes.
        confident: the teacher's face score from which an anchor's box is learnt.
    """
    own = predictions.logits.float().log_softmax(dim=2)
    target = taught.logits.float().log_softmax(dim=2)
    divergence = (target.exp() * (target - own)).sum(dim=2)
    distance = (target[..., 1].exp() - own[..., 1].detach().exp()).abs()
    chosen = target[..., 1].exp() >= confident
    total = chosen.sum()
    divisor = total.clamp(min=1)
    box = F.smooth_l1_loss(
        predictions.deltas[chosen].float(), taught.deltas[chosen].float(), reduction="sum"
    )
    return Distilled((distance * divergence).sum() / divisor, box / divisor, total)


def coarser(taught: Predictions, number: int) -> Predictions:
    """The first `number` levels of a teacher as maps of twice the stride: means over 2 x 2 cells.

    The anchors keep their sides, and lie where those of a network with half as fine maps and
    anchors of the same sides do: `backbone.first_stride=8 anchors.scale=2` instead of 4 and 4. The
    mean of four codes is the code of their mean box relative to the mean anchor.

    Args:
        taught: with `levels` of one anchor per cell and even numbers of rows and columns.
        number: levels of the student.
    """
    levels = taught.levels[:number]
    tops = taught.anchors[: sum(levels), 1].split(levels)
    rows = [len(level.unique_consecutive()) for level in tops]

    def means(values: Tensor) -> Tensor:
        """[B, A, K] → [B, A / 4, K], of the levels that are used."""
        parts = values[:, : sum(levels)].split(levels, dim=1)
        maps = [x.unflatten(1, (n, -1)).movedim(3, 1) for x, n in zip(parts, rows, strict=True)]
        return torch.cat([F.avg_pool2d(x, 2).flatten(2) for x in maps], dim=2).mT

    logits, deltas = means(taught.logits), means(taught.deltas)
    return taught._replace(logits=logits, deltas=deltas, anchors=means(taught.anchors[None])[0])
