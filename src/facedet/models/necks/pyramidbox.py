"""PyramidBox's neck (Tang et al., arXiv 1803.07737), as PaddlePaddle's release builds it."""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from facedet.errors import UsageError
from facedet.models.context import ContextModule
from facedet.models.layers import ConvNormAct, L2Norm, xavier_init
from facedet.models.necks.fuse import enlarge

_LOW = 3  # finest levels that are joined with the map above them
_RESIDUAL, _CHANNELS = 1024, 512


class _ContextBlock(nn.Module):
    """The context-sensitive prediction module: DSSD's residual block, then SSH's context module."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.shortcut = ConvNormAct(channels, _RESIDUAL)
        self.residual = nn.Sequential(
            ConvNormAct(channels, 256, act="relu"),
            ConvNormAct(256, 256, 3, act="relu"),
            ConvNormAct(256, _RESIDUAL),
        )
        self.context = ContextModule(_RESIDUAL, _CHANNELS // 2)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.shortcut(x) + self.residual(x), inplace=True)
        return F.relu(self.context(x), inplace=True)


class PyramidBoxNeck(nn.Module):
    """Joins the finest three maps with those above them, then gives every level context.

    The low-level pyramid (LFPN) starts in the middle, at stride 32, not at the top: a map is
    multiplied with the enlarged one above it. Behind the context blocks the features of the finest
    levels get one length. New weights are Xavier's.

    Args:
        in_channels: channels of the backbone's maps, fine to coarse.
        strides: their strides, each twice the one before; at least four.
        scales: initial lengths of the features of the finest levels.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        strides: Sequence[int],
        scales: Sequence[float] = (10.0, 8.0, 5.0),
    ) -> None:
        super().__init__()
        if len(strides) <= _LOW or list(strides) != [strides[0] << k for k in range(len(strides))]:
            raise UsageError(
                "neck=pyramidbox needs four or more maps, each of twice the stride of the one "
                f"before, as backbone=vgg16_extended has them; not maps of strides {list(strides)}"
            )
        low = list(in_channels[:_LOW])
        self.lateral = nn.ModuleList(nn.Conv2d(width, width, 1) for width in low)
        above = zip(in_channels[1 : _LOW + 1], low, strict=True)
        self.above = nn.ModuleList(nn.Conv2d(from_, width, 1) for from_, width in above)
        self.blocks = nn.ModuleList(_ContextBlock(width) for width in in_channels)
        self.norms = nn.ModuleList(L2Norm(_CHANNELS, scale) for scale in scales)
        self.out_channels = [_CHANNELS] * len(strides)
        self.strides = list(strides)
        self.apply(xavier_init)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eps = 1e-3  # as released

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        """Maps [B, C, H_l, W_l], fine to coarse, to as many of 512 channels."""
        maps = list(maps)
        for level in reversed(range(_LOW)):
            x = maps[level]
            enlarged = enlarge(F.relu(self.above[level](maps[level + 1])), x.shape[-2:])
            maps[level] = enlarged * F.relu(self.lateral[level](x))
        maps = [block(x) for block, x in zip(self.blocks, maps, strict=True)]
        for level, norm in enumerate(self.norms):
            maps[level] = norm(maps[level])
        return maps
