"""Anchors: the boxes that the heads' deltas are relative to."""

from collections import OrderedDict
from collections.abc import Sequence

import torch
from torch import Tensor

# Sizes of pictures differ in training's validation and in prediction; a video has one.
_CACHED_SIZES = 8


class AnchorGenerator:
    """Square anchors centred on the cells of each level, not clipped to the image.

    The side is `scale * stride`: 16 … 512 px at strides 4 … 128 (S3FD's equal-proportion interval).
    Anchors are cached per size of the maps and device.

    Args:
        strides: of the levels, fine to coarse.
        scale: side of an anchor in strides.
    """

    def __init__(self, strides: Sequence[int], scale: float = 4.0) -> None:
        self.strides = list(strides)
        self.scale = scale
        self.num_per_location = [1] * len(self.strides)
        self._cache: OrderedDict[tuple, Tensor] = OrderedDict()

    def __call__(self, sizes: Sequence[tuple[int, int]], device: torch.device) -> Tensor:
        """Anchors [A, 4] xyxy px for maps of `sizes` (height, width): level, row, column."""
        key = (*sizes, device)
        if key not in self._cache:
            levels = zip(sizes, self.strides, strict=True)
            self._cache[key] = torch.cat([self._level(*level) for level in levels]).to(device)
            if len(self._cache) > _CACHED_SIZES:
                self._cache.popitem(last=False)
        self._cache.move_to_end(key)
        return self._cache[key]

    def _level(self, size: tuple[int, int], stride: int) -> Tensor:
        y, x = torch.meshgrid(torch.arange(size[0]), torch.arange(size[1]), indexing="ij")
        centres = (torch.stack([x, y], dim=-1).reshape(-1, 2) + 0.5) * stride
        half = self.scale * stride / 2
        return torch.cat([centres - half, centres + half], dim=1)
