"""Anchors: the boxes that the heads' deltas are relative to."""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor

from facedet.errors import UsageError

# Sizes of pictures differ in training's validation and in prediction; a video has one.
_CACHED_SIZES = 8
# Sides in px by the number of levels: SmallHardFace's and SSH's.
_KNOWN_SIDES = {1: [[16, 32, 64]], 3: [[16, 32], [64, 128], [256, 512]]}
# Faster R-CNN centres the first cell's anchors in a window of 16 px, whatever the stride.
_CENTRE = 7.5


class LevelAnchors(ABC):
    """Anchors of every cell of every level, the same for all pictures of a size.

    They are cached per size of the maps and device.

    Args:
        strides: of the levels, fine to coarse.
        num_per_location: anchors per cell of each level.
    """

    def __init__(self, strides: Sequence[int], num_per_location: Sequence[int]) -> None:
        self.strides = list(strides)
        self.num_per_location = list(num_per_location)
        self._cache: dict[tuple, Tensor] = {}

    def __call__(self, sizes: Sequence[tuple[int, int]], device: torch.device) -> Tensor:
        """Anchors [A, 4] xyxy px for maps of `sizes` (height, width): level, row, column, anchor.

        They are not clipped to the image.
        """
        key = (*sizes, device)
        # Several threads may be here: no step relies on what an earlier one left.
        anchors = self._cache.pop(key, None)
        if anchors is None:
            levels = [
                (self._corners(size, stride)[:, None] + self._cell(level)).reshape(-1, 4)
                for level, (size, stride) in enumerate(zip(sizes, self.strides, strict=True))
            ]
            anchors = torch.cat(levels).to(device)
        self._cache[key] = anchors  # behind the others: the first has waited longest
        if len(self._cache) > _CACHED_SIZES:
            self._cache.pop(list(self._cache)[0], None)  # `next` is not atomic
        return anchors

    @abstractmethod
    def _cell(self, level: int) -> Tensor:
        """Anchors [K, 4] xyxy px of the first cell of a level."""

    @staticmethod
    def _corners(size: tuple[int, int], stride: int) -> Tensor:
        """Upper left corners of the cells, twice: [H * W, 4] px."""
        y, x = torch.meshgrid(torch.arange(size[0]), torch.arange(size[1]), indexing="ij")
        return torch.stack([x, y, x, y], dim=-1).reshape(-1, 4) * stride


class AnchorGenerator(LevelAnchors):
    """One square anchor in the middle of each cell.

    The side is `scale * stride`: 16 … 512 px at strides 4 … 128 (S3FD's equal-proportion interval).

    Args:
        strides: of the levels, fine to coarse.
        scale: side of an anchor in strides.
    """

    def __init__(self, strides: Sequence[int], scale: float = 4.0) -> None:
        super().__init__(strides, [1] * len(strides))
        self.scale = scale

    def _cell(self, level: int) -> Tensor:
        centre, half = self.strides[level] / 2, self.scale * self.strides[level] / 2
        return torch.tensor([[centre - half, centre - half, centre + half, centre + half]])


class ThreeScaleAnchors(LevelAnchors):
    """Several square anchors per cell, in Faster R-CNN's manner (SSH's and SmallHardFace's).

    Coordinates are those of the first and the last pixel: an anchor of side 16 is [0, 0, 15, 15].
    The centre of the first cell's anchors is (7.5, 7.5) px: at stride 8 that is 4 px to the right
    of and below the middle of the cell, at stride 32 8 px to the left and above.

    Args:
        strides: of the levels, fine to coarse.
        sides: px of the anchors of each level. None takes the published [[16, 32, 64]] for one
            level, and SSH's [[16, 32], [64, 128], [256, 512]] for three.

    Raises:
        UsageError: the sides do not fit the levels, or are not known for so many.
    """

    def __init__(
        self, strides: Sequence[int], sides: Sequence[Sequence[float]] | None = None
    ) -> None:
        chosen = _KNOWN_SIDES.get(len(strides)) if sides is None else sides
        if chosen is None:
            raise UsageError(
                f"anchors.sides: none are known for {len(strides)} levels (strides "
                f"{list(strides)}), but for 1 and 3: give a list of sides per level"
            )
        try:
            self.sides = [[float(side) for side in own] for own in chosen]
        except (TypeError, ValueError):
            self.sides = [[]]
        if not all(own and 0 < min(own) <= max(own) < math.inf for own in self.sides):
            raise UsageError(
                f"anchors.sides={chosen}: expected are sides above 0, a list of them for each "
                "level, as in [[16, 32, 64]]"
            )
        if len(self.sides) != len(strides):
            raise UsageError(
                f"anchors.sides={chosen} has lists for {len(self.sides)} levels, the network has "
                f"{len(strides)} (strides {list(strides)})"
            )
        super().__init__(strides, [len(own) for own in self.sides])

    def _cell(self, level: int) -> Tensor:
        # From the first to the last pixel, a side of s px is s - 1 long.
        half = (torch.tensor(self.sides[level]) - 1) / 2
        low, high = _CENTRE - half, _CENTRE + half
        return torch.stack([low, low, high, high], dim=1)
