"""SmallHardFace's dilated head: larger anchors see further with the same weights (1811.11662)."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from facedet.models.heads.per_level import PerLevelHead, flatten_anchors, make_levels
from facedet.models.layers import init_of


class _DilatedLevel(nn.Module):
    """One 3x3 convolution, used once per anchor, and 1x1 scores and boxes of each anchor's own."""

    def __init__(self, in_channels: int, num_anchors: int, channels: int) -> None:
        super().__init__()
        self.shared = nn.Conv2d(in_channels, channels, 3, padding=1)
        self.score = nn.ModuleList(nn.Conv2d(channels, 2, 1) for _ in range(num_anchors))
        self.box = nn.ModuleList(nn.Conv2d(channels, 4, 1) for _ in range(num_anchors))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        logits, deltas = [], []
        for k, (score, box) in enumerate(zip(self.score, self.box, strict=True)):
            dilation = 2**k
            weight, bias = self.shared.weight, self.shared.bias
            y = F.conv2d(x, weight, bias, padding=dilation, dilation=dilation)
            y = F.relu(y, inplace=True)
            logits.append(score(y))
            deltas.append(box(y))
        return flatten_anchors(torch.cat(logits, 1), 2), flatten_anchors(torch.cat(deltas, 1), 4)


class DilatedHead(PerLevelHead):
    """Per level: one 3x3 convolution for all anchors of a cell, with dilation 1, 2, 4 … for them.

    An anchor of twice the side gets twice the context without a further weight; only the 1x1
    convolutions behind are each anchor's own. Biases start at 0.

    Args:
        in_channels: channels of the maps, fine to coarse.
        num_anchors: anchors per cell of each level, small to large.
        channels: between the 3x3 and the 1x1 convolutions.
        init: of new weights, `gaussian` (deviation 0.01, the release) or `he`.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        num_anchors: Sequence[int],
        channels: int = 128,
        init: str = "gaussian",
    ) -> None:
        super().__init__(make_levels(_DilatedLevel, in_channels, num_anchors, channels))
        self.apply(init_of(init, "head.init"))
