"""SSD-style heads, one pair of convolutions per level, with S3FD's max-out background."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from facedet.errors import UsageError
from facedet.models.heads.per_level import PerLevelHead, flatten_anchors
from facedet.models.layers import xavier_init


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


class MultiBoxHead(PerLevelHead):
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
        if set(num_anchors) != {1}:
            raise UsageError(f"this head has one anchor per cell, the anchors {list(num_anchors)}")
        super().__init__(
            _LevelHead(channels, max_out if level == 0 else 1)
            for level, channels in enumerate(in_channels)
        )
        self.apply(xavier_init)
