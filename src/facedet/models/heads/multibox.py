"""SSD-style heads, one pair of convolutions per level, with S3FD's max-out background."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from facedet.errors import UsageError
from facedet.models.layers import xavier_init


def flatten_anchors(x: Tensor, channels: int) -> Tensor:
    """[B, K * channels, H, W] to [B, H * W * K, channels]: row, then column, then anchor."""
    return x.permute(0, 2, 3, 1).reshape(x.shape[0], -1, channels)


class _LevelHead(nn.Module):
    """Box and score convolutions of one level with one anchor per cell."""

    def __init__(self, channels: int, backgrounds: int) -> None:
        super().__init__()
        self.box = nn.Conv2d(channels, 4, 3, padding=1)
        self.score = nn.Conv2d(channels, backgrounds + 1, 3, padding=1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        score = self.score(x)
        background = score[:, :-1].amax(dim=1, keepdim=True)
        logits = torch.cat([background, score[:, -1:]], dim=1)
        return flatten_anchors(logits, 2), flatten_anchors(self.box(x), 4)


class MultiBoxHead(nn.Module):
    """Per level: a box and a two-class score for each cell.

    At the finest level the background is the largest of several logits ("max-out background",
    S3FD §3.3): small anchors meet by far the most background.

    Args:
        in_channels: channels of the maps, fine to coarse.
        num_anchors: anchors per cell of each level; 1 here.
        max_out: background logits of the finest level; 1 switches max-out off.
    """

    def __init__(
        self, in_channels: Sequence[int], num_anchors: Sequence[int], max_out: int = 3
    ) -> None:
        super().__init__()
        if set(num_anchors) != {1}:
            raise UsageError(f"this head has one anchor per cell, the anchors {list(num_anchors)}")
        self.levels = nn.ModuleList(
            _LevelHead(channels, max_out if level == 0 else 1)
            for level, channels in enumerate(in_channels)
        )
        self.apply(xavier_init)

    def forward(self, maps: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Maps [B, C, H_l, W_l] to logits [B, A, 2] (background, face) and deltas [B, A, 4]."""
        logits, deltas = zip(
            *(head(x) for head, x in zip(self.levels, maps, strict=True)), strict=True
        )
        return torch.cat(logits, dim=1), torch.cat(deltas, dim=1)
