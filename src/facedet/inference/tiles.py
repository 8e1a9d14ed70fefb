"""Where a large picture is cut into tiles, and which tile answers for which face."""

import math
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor

# A face at a tile's border is whole in the next tile if it is not larger than this (px).
OVERLAP = 256
# Tiles begin at multiples of this, as do all strides: their cells are those of the whole picture.
STEP = 128
# A tile answers for the centres on its side of the overlap's middle and for so many pixels more:
# two tiles put one face's centre at slightly different places.
MARGIN = 16
# Larger ones, px, may be cut in the tile that holds their centre, and whole in another.
LARGEST = OVERLAP - 2 * MARGIN
# Of a large box that a border cuts off, the detector puts the side so near it, of the box's length.
_PIECE = 0.1


class Span(NamedTuple):
    """A tile along one axis; where the picture ends there is no limit."""

    start: int
    low: float  # the least and the largest centre of the faces that it answers for
    high: float
    first: float  # its borders to other tiles
    last: float


class Tile(NamedTuple):
    """A tile, in pixels of the picture."""

    row: Span
    column: Span

    def answers_for(self, boxes: Tensor) -> Tensor:
        """Which of the boxes [N, 4] found in this tile count: those that no border cuts off.

        A small one counts where its centre is on this tile's side of the overlap, to which a piece
        at the border does not reach. A large one counts in each tile that holds it whole.
        """
        low = torch.tensor([self.column.low, self.row.low])
        high = torch.tensor([self.column.high, self.row.high])
        centres = (boxes[:, :2] + boxes[:, 2:]) / 2
        is_central = ((centres >= low) & (centres <= high)).all(dim=1)
        is_small = (boxes[:, 2:] - boxes[:, :2]).amax(dim=1) <= LARGEST
        return torch.where(is_small, is_central, self.holds(boxes))

    def holds(self, boxes: Tensor) -> Tensor:
        """Which of the boxes [N, 4] lie in this tile, away from its borders to other tiles."""
        first = torch.tensor([self.column.first, self.row.first])
        last = torch.tensor([self.column.last, self.row.last])
        longer = (boxes[:, 2:] - boxes[:, :2]).amax(dim=1, keepdim=True)
        margin = (longer * _PIECE).clamp(min=MARGIN)
        return ((boxes[:, :2] - margin >= first) & (boxes[:, 2:] + margin <= last)).all(dim=1)


def side_of(pixel_budget: float) -> int:
    """Side of a square tile, px: a multiple of the step, at least two overlaps."""
    return max(int(math.sqrt(pixel_budget)) // STEP * STEP, 2 * OVERLAP)


def spans(length: int, side: int) -> list[Span]:
    """Tiles along an axis of `length` px: of `side` px but for the last, overlapping evenly."""
    if length <= side:
        return [Span(0, -math.inf, math.inf, -math.inf, math.inf)]
    count = math.ceil((length - OVERLAP) / (side - OVERLAP))
    # Rounded up, the last tile reaches the end; two starts are no further apart than fits.
    steps = math.ceil((length - side) / STEP)
    starts = [STEP * -(-steps * place // (count - 1)) for place in range(count)]
    middles = [(after + before + side) / 2 for before, after in pairwise(starts)]
    lows = [-math.inf, *(middle - MARGIN for middle in middles)]
    highs = [*(middle + MARGIN for middle in middles), math.inf]
    firsts = [-math.inf, *map(float, starts[1:])]
    lasts = [*(float(start + side) for start in starts[:-1]), math.inf]
    return [Span(*one) for one in zip(starts, lows, highs, firsts, lasts, strict=True)]
