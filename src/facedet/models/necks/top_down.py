"""The FPN-like layout: coarse maps are enlarged, filtered and added to finer ones (EXTD §3.2)."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from facedet.errors import UsageError
from facedet.models.layers import ConvNormAct

_LEAST = 1e-4  # of the weights' sum, as published


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
        filter: `separable` (depthwise 3x3 and 1x1, EXTD's) or `plain` (one dense 3x3).
        weighted: learn at each step how much of both maps counts: `a * skip + b * enlarged`, both
            divided by their sum, cut at 0 (BiFPN's fusion, arXiv 1911.09070). They start alike.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        strides: Sequence[int],
        filter: str = "separable",  # noqa: A002, the config's word
        weighted: bool = False,
    ) -> None:
        super().__init__()
        if len(set(in_channels)) != 1:
            raise UsageError(f"neck=top_down needs maps of one width, not of {list(in_channels)}")
        if filter not in ("separable", "plain"):
            raise UsageError(f"neck.filter={filter} is none of separable, plain")
        width, steps = in_channels[0], len(in_channels) - 1
        self.up = nn.ModuleList(
            _Up(width) if filter == "separable" else ConvNormAct(width, width, 3, act="relu")
            for _ in range(steps)
        )
        self.weights = nn.Parameter(torch.ones(steps, 2)) if weighted else None
        self.out_channels = list(in_channels)
        self.strides = list(strides)

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        """Maps [B, C, H_l, W_l], fine to coarse, to as many of the same shapes."""
        merged = [maps[-1]]
        for step, (up, skip) in enumerate(zip(self.up, reversed(maps[:-1]), strict=True)):
            size = skip.shape[-2:]
            enlarged = F.interpolate(merged[0], size=size, mode="bilinear", align_corners=False)
            merged.insert(0, self._fuse(step, up(enlarged), skip))
        return merged

    def _fuse(self, step: int, enlarged: Tensor, skip: Tensor) -> Tensor:
        """Two maps of one shape to one, by the rule of a step."""
        if self.weights is None:
            return enlarged + skip
        share = self.weights[step].relu()
        share = share / (share.sum() + _LEAST)
        return (share[0] * skip + share[1] * enlarged).to(skip.dtype)
