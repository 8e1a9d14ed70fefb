"""SmallHardFace's neck: conv4_3 joined with the enlarged conv5_3 (arXiv 1811.11662)."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from facedet.errors import UsageError
from facedet.models.layers import gaussian_init

# Channels of each of the two branches, and of the fused map where it is reduced.
_BRANCH = 256
_REDUCED = 128


def enlarge(x: Tensor) -> Tensor:
    """[B, C, H, W] to [B, C, 2 H, 2 W], bilinear, with zeros around the map.

    The same as the release's fixed transposed convolution of each channel (4 x 4, stride 2,
    padding 1) with the kernel outer(k, k), k = [.25, .75, .75, .25]: at the border, where plain
    interpolation would repeat the outermost cells, they are mixed with zeros.
    """
    around = F.pad(x, (1, 1, 1, 1))
    enlarged = F.interpolate(around, scale_factor=2.0, mode="bilinear", align_corners=False)
    return enlarged[..., 2:-2, 2:-2]


class Fuse(nn.Module):
    """One fused map for small faces, or that and two coarser ones.

    The layers have the release's names. New weights are Gaussian (deviation 0.01), biases 0.

    Args:
        in_channels: channels of the backbone's two maps, the finer first.
        strides: their strides; the second is twice the first.
        levels: 1: the fused map only. 3: also the coarser map and its pooled half ("pool5");
            SmallHardFace's baseline with three maps, whose details are our reading: the release
            has no such network.
        reduce: narrow the fused map to 128 channels by a further 3x3 convolution, as the
            release does before its dilated head; else it has 512.

    Attributes:
        multiple: height and width of the pictures must be multiples of this (px).
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        strides: Sequence[int],
        levels: int = 1,
        reduce: bool = True,
    ) -> None:
        super().__init__()
        if len(strides) != 2 or strides[1] != 2 * strides[0]:
            raise UsageError(
                "neck=fuse needs two maps, one of twice the other's stride, as backbone=vgg16 "
                f"has them; not maps of strides {list(strides)}"
            )
        if levels not in (1, 3):
            raise UsageError(f"neck.levels={levels}: use 1 or 3")
        fused = 2 * _BRANCH
        self.conv5_256 = nn.Conv2d(in_channels[1], _BRANCH, 1)
        self.conv4_256 = nn.Conv2d(in_channels[0], _BRANCH, 1)
        self.conv4_fuse_final = nn.Conv2d(fused, fused, 3, padding=1)
        if reduce:
            self.conv4_fuse_final_dim_red = nn.Conv2d(fused, _REDUCED, 3, padding=1)
        self.levels = levels
        self.reduce = reduce
        self.multiple = strides[1]
        finest = _REDUCED if reduce else fused
        self.out_channels = [finest, in_channels[1], in_channels[1]][:levels]
        self.strides = [strides[0], strides[1], 2 * strides[1]][:levels]
        self.apply(gaussian_init)

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        """Maps [B, C, H, W] and [B, C, H / 2, W / 2] to one or three, fine to coarse.

        Raises:
            UsageError: the finer map is not just twice as large.
        """
        conv4, conv5 = maps
        size, half = tuple(conv4.shape[-2:]), tuple(conv5.shape[-2:])
        if size != (2 * half[0], 2 * half[1]):
            raise UsageError(
                f"neck=fuse cannot join maps of {size} and {half} cells: "
                f"pad the pictures to a multiple of {self.multiple} px (model.net.multiple)"
            )
        up = enlarge(F.relu(self.conv5_256(conv5)))
        # The release's order: weights of the next layer depend on it.
        fused = torch.cat([up, F.relu(self.conv4_256(conv4))], dim=1)
        fused = F.relu(self.conv4_fuse_final(fused))
        if self.reduce:
            fused = F.relu(self.conv4_fuse_final_dim_red(fused))
        if self.levels == 1:
            return [fused]
        # Rounded up, as Caffe does: a map of an odd size loses no row or column.
        return [fused, conv5, F.max_pool2d(conv5, 2, ceil_mode=True)]
