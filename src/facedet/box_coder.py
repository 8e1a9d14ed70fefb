"""Box coders: boxes to regression targets and back, relative to anchors."""

from dataclasses import dataclass

import torch
from torch import Tensor

from facedet.boxes import from_cxcywh, to_cxcywh


@dataclass(frozen=True)
class SsdBoxCoder:
    """SSD's coder: centre offsets in anchor sides and log-ratios of sides, over variances.

    `d_xy = (g_xy - p_xy) / (v_c * p_wh)` and `d_wh = ln(g_wh / p_wh) / v_s`.

    Args:
        centre_variance: v_c.
        size_variance: v_s.
    """

    centre_variance: float = 0.1
    size_variance: float = 0.2

    def encode(self, boxes: Tensor, anchors: Tensor) -> Tensor:
        """Codes [N, 4] of xyxy `boxes` [N, 4] relative to xyxy `anchors` [N, 4]."""
        target, prior = to_cxcywh(boxes), to_cxcywh(anchors)
        centre = (target[:, :2] - prior[:, :2]) / (self.centre_variance * prior[:, 2:])
        size = (target[:, 2:] / prior[:, 2:]).log() / self.size_variance
        return torch.cat([centre, size], dim=1)

    def decode(self, deltas: Tensor, anchors: Tensor) -> Tensor:
        """Boxes [N, 4] xyxy of `deltas` [N, 4]; not clipped to the image."""
        prior = to_cxcywh(anchors)
        centre = prior[:, :2] + deltas[:, :2] * self.centre_variance * prior[:, 2:]
        size = prior[:, 2:] * (deltas[:, 2:] * self.size_variance).exp()
        return from_cxcywh(torch.cat([centre, size], dim=1))
