"""Box losses: how far is a positive anchor's box from its face's?"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from facedet.box_coder import FasterRcnnBoxCoder, SsdBoxCoder
from facedet.boxes import paired_overlap, to_cxcywh
from facedet.errors import UsageError

_LEAST = 1e-7  # of an area or a squared length that is divided by, px²
# The code of a side counts as at most so far from the face's: of a new network exp overflows.
_FARTHEST = 20.0


@dataclass(frozen=True)
class SmoothL1:
    """Smooth L1 of the four codes, summed (SSD, S3FD, EXTD).

    Args:
        beta: where the square turns into a line.
    """

    beta: float = 1.0

    def __call__(
        self,
        deltas: Tensor,
        boxes: Tensor,
        anchors: Tensor,
        box_coder: SsdBoxCoder | FasterRcnnBoxCoder,
    ) -> Tensor:
        """Losses [P] of the codes `deltas` [P, 4] for `boxes` [P, 4] on `anchors` [P, 4]."""
        code = box_coder.encode(boxes, anchors)
        return F.smooth_l1_loss(deltas, code, reduction="none", beta=self.beta).sum(dim=1)


@dataclass(frozen=True)
class OverlapLoss:
    """1 - IoU of the decoded box, plus a term that also moves boxes which do not touch.

    GIoU (Rezatofighi et al., arXiv 1902.09630): the share of the smallest box around both that
    neither covers. DIoU (Zheng et al., arXiv 1911.08287): the squared distance of the centres over
    the squared diagonal of that box.

    Args:
        penalty: `giou` or `diou`.
    """

    penalty: str = "diou"

    def __post_init__(self) -> None:
        if self.penalty not in ("giou", "diou"):
            raise UsageError(f"box_loss.penalty={self.penalty} is none of giou, diou")

    def __call__(
        self,
        deltas: Tensor,
        boxes: Tensor,
        anchors: Tensor,
        box_coder: SsdBoxCoder | FasterRcnnBoxCoder,
    ) -> Tensor:
        """Losses [P] in 0 … 2 of the codes `deltas` [P, 4] for `boxes` on `anchors` [P, 4]."""
        code = box_coder.encode(boxes, anchors)
        bounded = code[:, 2:] + (deltas[:, 2:] - code[:, 2:]).clamp(-_FARTHEST, _FARTHEST)
        own = box_coder.decode(torch.cat([deltas[:, :2], bounded], dim=1), anchors)
        shared, union = paired_overlap(own, boxes)
        sides = torch.maximum(own[:, 2:], boxes[:, 2:]) - torch.minimum(own[:, :2], boxes[:, :2])
        overlap = shared / union.clamp(min=_LEAST)
        if self.penalty == "giou":
            around = sides.prod(dim=1)
            return 1 - overlap + (around - union) / around.clamp(min=_LEAST)
        apart = (to_cxcywh(own)[:, :2] - to_cxcywh(boxes)[:, :2]).square().sum(dim=1)
        return 1 - overlap + apart / sides.square().sum(dim=1).clamp(min=_LEAST)
