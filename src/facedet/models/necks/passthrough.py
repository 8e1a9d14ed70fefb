"""The SSD-like layout: the heads read the backbone's maps as they are."""

from collections.abc import Sequence

from torch import Tensor, nn


class Passthrough(nn.Module):
    """Hands the maps on unchanged.

    Args:
        in_channels: channels of the backbone's maps, fine to coarse.
        strides: their strides.
    """

    def __init__(self, in_channels: Sequence[int], strides: Sequence[int]) -> None:
        super().__init__()
        self.out_channels = list(in_channels)
        self.strides = list(strides)

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        """The same maps [B, C, H_l, W_l]."""
        return maps
