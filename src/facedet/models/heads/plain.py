"""SmallHardFace's head without dilation (arXiv 1811.11662, the baselines)."""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from facedet.models.heads.per_level import PerLevelHead, flatten_anchors, make_levels
from facedet.models.layers import gaussian_init


class _PlainLevel(nn.Module):
    """A 3x3 convolution, then 1x1 scores and boxes of all anchors of a cell."""

    def __init__(self, in_channels: int, num_anchors: int, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, channels, 3, padding=1)
        self.score = nn.Conv2d(channels, 2 * num_anchors, 1)
        self.box = nn.Conv2d(channels, 4 * num_anchors, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = F.relu(self.conv(x), inplace=True)
        return flatten_anchors(self.score(x), 2), flatten_anchors(self.box(x), 4)


class PlainHead(PerLevelHead):
    """Per level: a 3x3 convolution with ReLU, then 1x1 convolutions for all anchors of a cell.

    The channels of the scores are background and face of the first anchor, then of the second …;
    the release has all backgrounds first. New weights are Gaussian (deviation 0.01), biases 0.

    Args:
        in_channels: channels of the maps, fine to coarse.
        num_anchors: anchors per cell of each level.
        channels: between the 3x3 and the 1x1 convolutions.
    """

    def __init__(
        self, in_channels: Sequence[int], num_anchors: Sequence[int], channels: int = 128
    ) -> None:
        super().__init__(make_levels(_PlainLevel, in_channels, num_anchors, channels))
        self.apply(gaussian_init)
