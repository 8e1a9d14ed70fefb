"""The neck of SmallHardFace (arXiv 1811.11662) and SSH: conv4_3 joined with conv5_3."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from facedet.errors import UsageError
from facedet.models.layers import init_of

_REDUCED = 128  # channels of the fused map where it is reduced


def enlarge(x: Tensor, size: Sequence[int]) -> Tensor:
    """[B, C, H, W] to [B, C, *size], bilinear, twice as large, with zeros around the map.

    What lies beyond `size` (height, width), at most 2 H and 2 W, is cut off. The same as the
    releases' fixed transposed convolution of each channel (4 x 4, stride 2, padding 1) with the
    kernel outer(k, k), k = [.25, .75, .75, .25]: at the border, where plain interpolation would
    repeat the outermost cells, they are mixed with zeros.
    """
    around = F.pad(x, (1, 1, 1, 1))
    enlarged = F.interpolate(around, scale_factor=2.0, mode="bilinear", align_corners=False)
    return enlarged[..., 2 : 2 + size[0], 2 : 2 + size[1]]


class Fuse(nn.Module):
    """One fused map for small faces, or that and two coarser ones.

    The layers have the releases' names. Biases start at 0.

    Args:
        in_channels: channels of the backbone's two maps, the finer first.
        strides: their strides; the second is twice the first.
        levels: 1: the fused map only. 3: also the coarser map and its pooled half, as SSH has
            them, and as we read SmallHardFace's baseline with three maps, which is not released.
        reduce: narrow the fused map to 128 channels by a further 3x3 convolution, as the
            release does before its dilated head.
        width: channels of each of the two branches (SmallHardFace: 256, SSH: 128).
        join: `concat` the branches (SmallHardFace) or `sum` them (SSH).
        init: new weights are `gaussian` with deviation 0.01 (the releases, whose backbone is
            trained and whose pictures are not scaled) or `he`'s.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        strides: Sequence[int],
        levels: int = 1,
        reduce: bool = True,
        width: int = 256,
        join: str = "concat",
        init: str = "gaussian",
    ) -> None:
        super().__init__()
        if len(strides) != 2 or strides[1] != 2 * strides[0]:
            raise UsageError(
                "neck=fuse needs two maps, one of twice the other's stride, as backbone=vgg16 "
                f"has them; not maps of strides {list(strides)}"
            )
        if levels not in (1, 3):
            raise UsageError(f"neck.levels={levels}: use 1 or 3")
        if join not in ("concat", "sum"):
            raise UsageError(f"neck.join={join}: use concat or sum")
        fused = 2 * width if join == "concat" else width
        self.conv4, self.conv5 = f"conv4_{width}", f"conv5_{width}"
        self.add_module(self.conv5, nn.Conv2d(in_channels[1], width, 1))
        self.add_module(self.conv4, nn.Conv2d(in_channels[0], width, 1))
        self.conv4_fuse_final = nn.Conv2d(fused, fused, 3, padding=1)
        if reduce:
            self.conv4_fuse_final_dim_red = nn.Conv2d(fused, _REDUCED, 3, padding=1)
        self.levels = levels
        self.reduce = reduce
        self.join = join
        finest = _REDUCED if reduce else fused
        self.out_channels = [finest, in_channels[1], in_channels[1]][:levels]
        self.strides = [strides[0], strides[1], 2 * strides[1]][:levels]
        self.apply(init_of(init, "neck.init"))

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        """A map [B, C, H, W] and one of half its sides, rounded up, to one or three maps."""
        conv4, conv5 = maps
        up = enlarge(F.relu(self.get_submodule(self.conv5)(conv5)), conv4.shape[-2:])
        skip = F.relu(self.get_submodule(self.conv4)(conv4))
        # The release's order: weights of the next layer depend on it.
        fused = torch.cat([up, skip], dim=1) if self.join == "concat" else up + skip
        fused = F.relu(self.conv4_fuse_final(fused))
        if self.reduce:
            fused = F.relu(self.conv4_fuse_final_dim_red(fused))
        if self.levels == 1:
            return [fused]
        # Rounded up, as Caffe does: a map of an odd size loses no row or column.
        return [fused, conv5, F.max_pool2d(conv5, 2, ceil_mode=True)]
