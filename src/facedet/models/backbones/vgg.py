"""VGG16's convolutions (Simonyan and Zisserman, arXiv 1409.1556, configuration D)."""

import math
from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from facedet.errors import UsageError
from facedet.models.layers import ConvNormAct, he_init

# Convolutions of each block, and their channels.
_BLOCKS = ((2, 64), (2, 128), (3, 256), (3, 512), (3, 512))


def vgg16_layers(block: int, multiplier: float = 1.0) -> dict[str, tuple[int, int]]:
    """Name to (channels in, channels out) of the convolutions of a block, 1 … 5."""
    widths = [max(1, round(multiplier * width)) for _, width in _BLOCKS]
    count, width = _BLOCKS[block - 1][0], widths[block - 1]
    first = 3 if block == 1 else widths[block - 2]
    return {f"conv{block}_{k}": (width if k > 1 else first, width) for k in range(1, count + 1)}


class Vgg16(nn.Module):
    """VGG16 without pool5 and classifier: the last maps of some of its blocks.

    The layers have Caffe's names, conv1_1 … conv5_3. New weights are He's Gaussian, for want of
    better ones: the published detectors start from weights that were trained on ImageNet.

    Args:
        frozen_blocks: so many first blocks keep their weights (2 in SmallHardFace's release); of
            these, nothing is stored for a backward pass.
        maps: blocks whose last map is handed on, in order; that of block k has stride 2^(k-1).
            Later blocks are not made.
        width_multiplier: of every layer's channels, which are rounded.
        batch_norm: normalise behind each convolution, which has no bias then. A narrow network
            with it learns in minutes from new weights.

    Attributes:
        is_original: of VGG16's own width, without normalisation: what pretrained weights are for.
    """

    def __init__(
        self,
        frozen_blocks: int = 2,
        maps: Sequence[int] = (4, 5),
        width_multiplier: float = 1.0,
        batch_norm: bool = False,
    ) -> None:
        super().__init__()
        blocks = range(1, len(_BLOCKS) + 1)
        if not maps or list(maps) != sorted(set(maps) & set(blocks)):
            raise UsageError(f"backbone.maps={list(maps)}: blocks 1 … 5, in order, are expected")
        if frozen_blocks not in range(len(_BLOCKS) + 1):
            raise UsageError(f"backbone.frozen_blocks={frozen_blocks}: VGG16 has blocks 0 … 5")
        if not 0 < width_multiplier < math.inf:
            raise UsageError(f"backbone.width_multiplier={width_multiplier}: use a number above 0")
        if batch_norm and frozen_blocks:
            raise UsageError(
                f"backbone.frozen_blocks={frozen_blocks}: expected 0 with backbone.batch_norm=true"
            )
        self.is_original = width_multiplier == 1 and not batch_norm
        self.blocks = [list(vgg16_layers(block)) for block in blocks[: max(maps)]]
        for block in blocks[: max(maps)]:
            if block > 1:
                # Caffe's pooling rounds up; a cut-off row would be a row without anchors.
                self.add_module(f"pool{block - 1}", nn.MaxPool2d(2, ceil_mode=True))
            for name, (channels, width) in vgg16_layers(block, width_multiplier).items():
                conv = (
                    ConvNormAct(channels, width, kernel=3)
                    if batch_norm
                    else nn.Conv2d(channels, width, 3, padding=1)
                )
                self.add_module(name, conv.requires_grad_(block > frozen_blocks))
        self.maps = list(maps)
        widths = [[*vgg16_layers(block, width_multiplier).values()][-1][1] for block in blocks]
        self.out_channels = [widths[block - 1] for block in maps]
        self.strides = [2 ** (block - 1) for block in maps]
        self.apply(he_init)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Normalised images [B, 3, H, W] to maps [B, C, ceil(H / s), ceil(W / s)] of `maps`."""
        x = images
        maps = []
        for block, names in enumerate(self.blocks, start=1):
            if block > 1:
                x = self.get_submodule(f"pool{block - 1}")(x)
            for name in names:
                x = F.relu(self.get_submodule(name)(x), inplace=True)
            if block in self.maps:
                maps.append(x)
        return maps
