"""The views of a picture: the scales, mirrored passes and size filters of the benchmarks."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from facedet.errors import UsageError

Size = tuple[int, int]


class Pass(NamedTuple):
    """One view of a picture."""

    scale: float = 1.0  # factor on both sides before the network
    flip: bool = False  # mirrored
    larger_than: float = 0.0  # keep boxes with max(w + 1, h + 1) above this, px of the file
    smaller_than: float = math.inf  # keep boxes with min(w + 1, h + 1) below this, px of the file


@dataclass(frozen=True)
class FixedScales:
    """The same scales for every picture, each also mirrored if `flip`.

    Raises:
        UsageError: a scale is not above 0, or there is none.
    """

    scales: Sequence[float] = (1.0,)
    flip: bool = False

    def __post_init__(self) -> None:
        if not self.scales or not _are_lengths(self.scales):
            raise UsageError(f"scales={list(self.scales)}: expected one or more factors above 0")

    def __call__(self, size: Size) -> list[Pass]:
        """Passes for a picture of `size` (height, width)."""
        return _passes(self.scales, self.flip)


@dataclass(frozen=True)
class ExtdScales:
    """The multi-scale test of the EXTD release (after S3FD's): see `__call__`.

    Args:
        area: pixels of the largest pass, 1700 x 1200 in the release.

    Raises:
        UsageError: `area` is not above 0.
    """

    area: float = 1700.0 * 1200.0

    def __post_init__(self) -> None:
        if not _are_lengths([self.area]):
            raise UsageError(f"scales.area={self.area}: expected a number of pixels above 0")

    def __call__(self, size: Size) -> list[Pass]:
        """Passes for a picture of `size` (height, width).

        With m = sqrt(area / (H * W)): the picture shrunk to the area, plain and mirrored; a
        smaller one for large faces; enlarged ones, doubling up to m, for small faces.
        """
        m = math.sqrt(self.area / (size[0] * size[1]))
        shrink = min(1.0, m)
        small = 0.5 if m >= 0.75 else 0.5 * m
        passes = [Pass(shrink), Pass(shrink, flip=True), Pass(small, larger_than=30.0)]
        if m <= 1.0:
            return [*passes, Pass((small + m) / 2, larger_than=30.0)]
        large = [min(2.0, m)]
        if m > 2.0:
            factor = 4.0
            while factor < m:
                large.append(factor)
                factor *= 2.0
            large.append(m)
        return [*passes, *(Pass(scale, smaller_than=100.0) for scale in large)]


@dataclass(frozen=True)
class ShortSides:
    """SmallHardFace's pyramid: the picture brought to several lengths of its short side.

    Small anchors find large faces in the small passes. As in the release a length counts for a
    picture whose long side stays within `long` at a short side of `base`; for a longer one every
    pass shrinks in proportion.

    Args:
        sides: lengths of the short side, px; the release's for WIDER FACE.
        base: length that the limit `long` belongs to, px.
        long: longest side at that length, px.
        flip: each pass also mirrored.

    Raises:
        UsageError: a length is not above 0, or there is none.
    """

    sides: Sequence[float] = (100, 300, 600, 1000, 1400)
    base: float = 800
    long: float = 1200
    flip: bool = True

    def __post_init__(self) -> None:
        if not self.sides or not _are_lengths([*self.sides, self.base, self.long]):
            raise UsageError(
                f"scales.sides={list(self.sides)}, scales.base={self.base}, "
                f"scales.long={self.long}: expected one or more sides, and lengths above 0"
            )

    def __call__(self, size: Size) -> list[Pass]:
        """Passes for a picture of `size` (height, width)."""
        short, long = sorted(size)
        scale = self.base / short
        # Faster R-CNN compares whole pixels: half of one too many is still within the limit.
        if round(scale * long) > self.long:
            scale = self.long / long
        return _passes([side / self.base * scale for side in self.sides], self.flip)


@dataclass(frozen=True)
class Mirrored:
    """The passes of another plan, each also mirrored; none twice."""

    plan: Callable[[Size], list[Pass]]

    def __call__(self, size: Size) -> list[Pass]:
        """Passes for a picture of `size` (height, width)."""
        both = [(one, one._replace(flip=True)) for one in self.plan(size)]
        return list(dict.fromkeys(one for pair in both for one in pair))


def _passes(scales: Sequence[float], flip: bool) -> list[Pass]:
    mirrored = (False, True) if flip else (False,)
    return [Pass(scale, flip) for scale in scales for flip in mirrored]


def _are_lengths(values: Sequence[float]) -> bool:
    try:
        return all(0 < value < math.inf for value in values)
    except TypeError:  # of a text
        return False
