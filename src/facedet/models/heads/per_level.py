"""What all heads share: one part per level, and the order of the anchors."""

from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor, nn

from facedet.errors import UsageError


def flatten_anchors(x: Tensor, channels: int) -> Tensor:
    """[B, K * channels, H, W] to [B, H * W * K, channels]: row, then column, then anchor."""
    return x.permute(0, 2, 3, 1).reshape(x.shape[0], -1, channels)


class PerLevelHead(nn.Module):
    """Applies to each map the part of its level and joins what they say, level after level.

    Args:
        levels: map [B, C_l, H_l, W_l] to logits [B, A_l, 2] and deltas [B, A_l, 4]; fine to coarse.
    """

    def __init__(self, levels: Iterable[nn.Module]) -> None:
        super().__init__()
        self.levels = nn.ModuleList(levels)

    def forward(self, maps: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Maps [B, C_l, H_l, W_l] to logits [B, A, 2] (background, face) and deltas [B, A, 4]."""
        logits, deltas = zip(
            *(head(x) for head, x in zip(self.levels, maps, strict=True)), strict=True
        )
        return torch.cat(logits, dim=1), torch.cat(deltas, dim=1)


def make_levels(
    part: Callable[[int, int, int], nn.Module],
    in_channels: Sequence[int],
    num_anchors: Sequence[int],
    channels: int,
) -> list[nn.Module]:
    """One `part(channels of the map, anchors per cell, channels)` for each level.

    Raises:
        UsageError: `channels` is no number of channels.
    """
    if channels < 1:
        raise UsageError(f"head.channels={channels}: at least one channel is needed")
    levels = zip(in_channels, num_anchors, strict=True)
    return [part(width, count, channels) for width, count in levels]
