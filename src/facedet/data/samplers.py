"""Samplers: which images are drawn, and in which order."""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch.utils.data import Sampler


class Draw(NamedTuple):
    """One drawing of an image; the epoch decides, with seed and index, how it is augmented."""

    epoch: int
    index: int  # type: ignore[assignment]  # shadows a tuple method that nobody calls


class ShuffleSampler(Sampler[Draw]):
    """Every image once per epoch, in an order that is a function of (seed, epoch) alone.

    Shards itself over `world` processes (Lightning's own wrapper would shuffle again): the ranks
    draw disjoint images; what does not divide evenly is left out of that epoch, other images
    each time.

    Args:
        num_images: size of the data set.
        seed: of the order.
        rank: of this process.
        world: number of processes.
    """

    def __init__(self, num_images: int, seed: int = 0, rank: int = 0, world: int = 1) -> None:
        self.num_images = num_images
        self.seed = seed
        self.rank = rank
        self.world = world
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Chooses the order of the next iteration."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[Draw]:
        """This rank's drawings of the epoch."""
        # Two odd multipliers keep (seed, epoch) pairs apart without a hash.
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.epoch)
        order = torch.randperm(self.num_images, generator=generator).tolist()
        mine = order[self.rank : len(self) * self.world : self.world]
        return iter([Draw(self.epoch, index) for index in mine])

    def __len__(self) -> int:
        """Drawings of this rank in an epoch."""
        return self.num_images // self.world
