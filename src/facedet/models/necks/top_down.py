"""The FPN-like layout: coarse maps are enlarged, filtered and added to finer ones (EXTD §3.2)."""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from facedet.errors import UsageError
from facedet.models.layers import ConvNormAct


class _Up(nn.Module):
    """Depthwise 3x3, 1x1, normalisation, ReLU (also where the backbone has PReLU, as released)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False)
        self.pointwise = ConvNormAct(channels, channels, act="relu")

    def forward(self, x: Tensor) -> Tensor:
        return self.pointwise(self.depthwise(x))


class TopDown(nn.Module):
    """Adds to each map the enlarged and filtered map above it; one filter per step, not shared.

    Args:
        in_channels: channels of the backbone's maps, fine to coarse; all the same.
        strides: their strides.
    """

    def __init__(self, in_channels: Sequence[int], strides: Sequence[int]) -> None:
        super().__init__()
        if len(set(in_channels)) != 1:
            raise UsageError(f"neck=top_down needs maps of one width, not of {list(in_channels)}")
        self.up = nn.ModuleList(_Up(in_channels[0]) for _ in in_channels[1:])
        self.out_channels = list(in_channels)
        self.strides = list(strides)

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        """Maps [B, C, H_l, W_l], fine to coarse, to as many of the same shapes."""
        merged = [maps[-1]]
        for up, skip in zip(self.up, reversed(maps[:-1]), strict=True):
            size = skip.shape[-2:]
            enlarged = F.interpolate(merged[0], size=size, mode="bilinear", align_corners=False)
            merged.insert(0, up(enlarged) + skip)
        return merged
