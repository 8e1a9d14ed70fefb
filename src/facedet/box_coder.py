"""Box coders: boxes to regression targets and back, relative to anchors."""

from dataclasses import dataclass

import torch
from torch import Tensor

from facedet.boxes import from_cxcywh, to_cxcywh


@dataclass(frozen=True)
class SsdBoxCoder:
    """SSD's coder: centre offsets in anchor sides and log-ratios of sides, over variances.

    `d_xy = (g_xy - p_xy) / (v_c * p_wh)` and `d_wh = ln(g_wh / p_wh) / v_s`.
    """

    centre_variance: float = 0.1  # v_c
    size_variance: float = 0.2  # v_s

    def encode(self, boxes: Tensor, anchors: Tensor) -> Tensor:
        """Codes [N, 4] of xyxy `boxes` [N, 4] relative to xyxy `anchors` [N, 4]."""
        target, prior = to_cxcywh(boxes), to_cxcywh(anchors)
        centre = (target[:, :2] - prior[:, :2]) / (self.centre_variance * prior[:, 2:])
        size = (target[:, 2:] / prior[:, 2:]).log() / self.size_variance
        return torch.cat([centre, size], dim=1)

    def decode(self, deltas: Tensor, anchors: Tensor) -> Tensor:
        """Boxes [..., 4] xyxy of `deltas` [..., 4] at `anchors` [N, 4], not clipped."""
        prior = to_cxcywh(anchors)
        centre = prior[:, :2] + deltas[..., :2] * self.centre_variance * prior[:, 2:]
        size = prior[:, 2:] * (deltas[..., 2:] * self.size_variance).exp()
        return from_cxcywh(torch.cat([centre, size], dim=-1))


@dataclass(frozen=True)
class FasterRcnnBoxCoder:
    """Faster R-CNN's coder: centre offsets in anchor sides and log-ratios of sides, not scaled.

    `d_xy = (g_xy - p_xy) / p_wh` and `d_wh = ln(g_wh / p_wh)`. Coordinates are those of the first
    and the last pixel, so that sides are `x2 - x1 + 1`.
    SmallHardFace's release adds that pixel before it encodes and does not take it away after
    decoding: x2 and y2 of `decode(encode(box))` are 1 px larger than the box's.
    """

    def encode(self, boxes: Tensor, anchors: Tensor) -> Tensor:
        """Codes [N, 4] of xyxy `boxes` [N, 4] relative to xyxy `anchors` [N, 4]."""
        target, prior = _inclusive_cxcywh(boxes), _inclusive_cxcywh(anchors)
        centre = (target[:, :2] - prior[:, :2]) / prior[:, 2:]
        size = (target[:, 2:] / prior[:, 2:]).log()
        return torch.cat([centre, size], dim=1)

    def decode(self, deltas: Tensor, anchors: Tensor) -> Tensor:
        """Boxes [..., 4] xyxy of `deltas` [..., 4], 1 px too large, not clipped."""
        prior = _inclusive_cxcywh(anchors)
        centre = prior[:, :2] + deltas[..., :2] * prior[:, 2:]
        return from_cxcywh(torch.cat([centre, prior[:, 2:] * deltas[..., 2:].exp()], dim=-1))


@dataclass(frozen=True)
class DecodedBoxes:
    """The coder of exported networks that decode by themselves: a box is its own code."""

    def decode(self, deltas: Tensor, anchors: Tensor) -> Tensor:
        """The same boxes [..., 4]; `anchors` are not needed."""
        return deltas


def _inclusive_cxcywh(boxes: Tensor) -> Tensor:
    """Centre form (cx, cy, w, h) of boxes whose x2 and y2 are their last pixel."""
    return to_cxcywh(boxes + boxes.new_tensor([0.0, 0.0, 1.0, 1.0]))
