"""The head of SmallHardFace's baselines (arXiv 1811.11662), and SSH's (arXiv 1708.03979)."""

from collections.abc import Sequence
from functools import partial

import torch.nn.functional as F
from torch import Tensor, nn

from facedet.models.context import ContextModule
from facedet.models.heads.per_level import PerLevelHead, flatten_anchors, make_levels
from facedet.models.layers import init_of


class _PlainLevel(nn.Module):
    """A 3x3 convolution or SSH's module, then 1x1 scores and boxes of all anchors of a cell."""

    def __init__(self, context: bool, in_channels: int, num_anchors: int, channels: int) -> None:
        super().__init__()
        if context:
            own = min(channels, in_channels)
            self.conv: nn.Module = ContextModule(in_channels, own)
            channels = 2 * own
        else:
            self.conv = nn.Conv2d(in_channels, channels, 3, padding=1)
        self.score = nn.Conv2d(channels, 2 * num_anchors, 1)
        self.box = nn.Conv2d(channels, 4 * num_anchors, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = F.relu(self.conv(x), inplace=True)
        return flatten_anchors(self.score(x), 2), flatten_anchors(self.box(x), 4)


class PlainHead(PerLevelHead):
    """Per level: a 3x3 convolution with ReLU, then 1x1 convolutions for all anchors of a cell.

    The channels of the scores are background and face of the first anchor, then of the second …;
    the release has all backgrounds first. Biases start at 0.

    Args:
        in_channels: channels of the maps, fine to coarse.
        num_anchors: anchors per cell of each level.
        channels: between the 3x3 and the 1x1 convolutions.
        context: SSH's context module in place of the 3x3 convolution; `channels`, at most the
            map's own, are those of its widest branch, half of what it gives.
        init: of new weights, `gaussian` (deviation 0.01, the releases) or `he`.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        num_anchors: Sequence[int],
        channels: int = 128,
        context: bool = False,
        init: str = "gaussian",
    ) -> None:
        part = partial(_PlainLevel, context)
        super().__init__(make_levels(part, in_channels, num_anchors, channels))
        self.apply(init_of(init, "head.init"))
