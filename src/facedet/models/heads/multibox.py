"""SSD-style heads, one pair of convolutions per level or for all, with max-out scores."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from facedet.errors import UsageError
from facedet.models.heads.per_level import PerLevelHead, flatten_anchors
from facedet.models.layers import xavier_init


class _LevelHead(nn.Module):
    """Box and score convolutions of one level with one anchor per cell."""

    def __init__(self, channels: int, backgrounds: int, faces: int) -> None:
        super().__init__()
        self.box = nn.Conv2d(channels, 4, 3, padding=1)
        self.score = nn.Conv2d(channels, backgrounds + faces, 3, padding=1)
        self.backgrounds = backgrounds

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        score = self.score(x)
        background = score[:, : self.backgrounds].amax(dim=1, keepdim=True)
        face = score[:, self.backgrounds :].amax(dim=1, keepdim=True)
        logits = torch.cat([background, face], dim=1)
        return flatten_anchors(logits, 2), flatten_anchors(self.box(x), 4)


class MultiBoxHead(PerLevelHead):
    """Per level, or once for all levels: a box and a two-class score for each cell.

    At the finest level the background is the largest of several logits ("max-out background",
    S3FD §3.3): small anchors meet by far the most background.

    Args:
        in_channels: channels of the maps, fine to coarse.
        num_anchors: anchors per cell of each level; 1 here.
        max_out: background logits of the finest level; 1 switches max-out off.
        max_in: face logits of the other levels, the largest counts (PyramidBox: 3).
        shared: one pair of convolutions reads all levels, and max-out is for all of them. Anchors
            grow with the stride, so that the code of a box means the same at every level.
        prior: score of a face that a new network gives where its features are 0; a small one keeps
            the background of a loss without mining from drowning the first steps.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        num_anchors: Sequence[int],
        max_out: int = 3,
        max_in: int = 1,
        shared: bool = False,
        prior: float = 0.5,
    ) -> None:
        if set(num_anchors) != {1}:
            raise UsageError(f"this head has one anchor per cell, the anchors {list(num_anchors)}")
        if shared and len(set(in_channels)) != 1:
            raise UsageError(f"head.shared needs maps of one width, not of {list(in_channels)}")
        if not 0 < prior < 1:
            raise UsageError(f"head.prior={prior} does not lie between 0 and 1")
        own = in_channels[:1] if shared else in_channels
        super().__init__(
            _LevelHead(channels, max_out, 1) if level == 0 else _LevelHead(channels, 1, max_in)
            for level, channels in enumerate(own)
        )
        self.shared = shared
        self.apply(xavier_init)
        for head in self.levels:
            assert isinstance(head, _LevelHead)
            faces = head.get_parameter("score.bias").detach()[head.backgrounds :]
            nn.init.constant_(faces, math.log(prior / (1 - prior)))

    def forward(self, maps: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Maps [B, C_l, H_l, W_l] to logits [B, A, 2] (background, face) and deltas [B, A, 4]."""
        if not self.shared:
            return super().forward(maps)
        logits, deltas = zip(*(self.levels[0](x) for x in maps), strict=True)
        return torch.cat(logits, dim=1), torch.cat(deltas, dim=1)
