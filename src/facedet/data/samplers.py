"""Samplers: which images are drawn, and in which order."""

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Sampler

from facedet.data.difficulty import DifficultyTable


class Draw(NamedTuple):
    """One drawing of an image; the epoch decides, with seed and index, how it is augmented."""

    epoch: int
    index: int  # type: ignore[assignment]  # shadows a tuple method that nobody calls


class ShuffleSampler(Sampler[Draw]):
    """Every image once per epoch, in an order that is a function of (seed, epoch) alone.

    Shards itself over `world` processes (Lightning's own wrapper would shuffle again): the ranks
    draw disjoint images. All ranks together draw in each step, whose batches may be accumulated,
    what one process with one large batch would draw. What fills no step is left out of that epoch,
    other images each time; or it is a smaller last step, if every batch of it has an image.

    Args:
        num_images: size of the data set.
        seed: of the order.
        rank: of this process.
        world: number of processes.
        batch_size: images per process and batch.
        wide: [num_images] bool. Where it is given and a batch holds several images, the images of
            one step are all wide or all tall, and what fills no step of its kind is left out of
            that epoch.
        accumulated: batches of a process that make one step.
        drop_last: leave out what fills no step.
    """

    def __init__(
        self,
        num_images: int,
        seed: int = 0,
        rank: int = 0,
        world: int = 1,
        batch_size: int = 1,
        wide: np.ndarray | None = None,
        accumulated: int = 1,
        drop_last: bool = True,
    ) -> None:
        self.num_images = num_images
        self.seed = seed
        self.rank = rank
        self.world = world
        self.step = batch_size * world * accumulated
        # Images of the smallest last step.
        self.least = self.step if drop_last else world * accumulated
        self.wide = None if wide is None or batch_size == 1 else torch.from_numpy(wide)
        self.set_epoch(0)

    def set_epoch(self, epoch: int) -> None:
        """Draws the order of the next iterations."""
        self.epoch = epoch
        generator = torch.Generator().manual_seed(self._number())
        order = torch.randperm(self.num_images, generator=generator)
        order = self._arranged(order, generator)
        rest = len(order) % self.step
        self._order = order[: len(order) - rest * (rest < self.least)].tolist()

    def __iter__(self) -> Iterator[Draw]:
        """This rank's drawings of the epoch."""
        return iter([Draw(self.epoch, index) for index in self._order[self.rank :: self.world]])

    def __len__(self) -> int:
        """Drawings of this rank in the epoch."""
        return len(range(self.rank, len(self._order), self.world))

    def _number(self) -> int:
        """The generator's seed: two odd multipliers keep (seed, epoch) apart without a hash."""
        return self.seed * 1_000_003 + self.epoch

    def _arranged(self, order: Tensor, generator: torch.Generator) -> Tensor:
        """The drawings of all ranks, from the shuffled images."""
        return order if self.wide is None else self._in_steps(self._groups(order), generator)

    def _groups(self, order: Tensor) -> list[Tensor]:
        """The images that may share a step."""
        if self.wide is None:
            return [order]
        is_wide = self.wide[order]
        return [order[is_wide], order[~is_wide]]

    def _in_steps(self, groups: Sequence[Tensor], generator: torch.Generator) -> Tensor:
        """Steps of one group each: whole ones in random order, of one group alone all it has."""
        if len(groups) == 1:
            return groups[0]
        whole = [group[: len(group) // self.step * self.step] for group in groups]
        steps = torch.cat([group.view(-1, self.step) for group in whole])
        return steps[torch.randperm(len(steps), generator=generator)].flatten()


class DifficultySampler(ShuffleSampler):
    """Leaves each easy image out of an epoch with a probability (arXiv 1811.11662).

    What is left out is drawn by a generator of its own, also a function of (seed, epoch): an image
    stays or goes whatever becomes of the others, and as long as none is easy the order is that of
    `ShuffleSampler`. The table is read in `set_epoch` only.

    After `set_epoch`, `left_out` is the number of easy images that were left out, and `filled_up`
    of those that were taken in again because the others filled no batch on every rank.

    Args:
        table: the difficulties, equal in all processes; the others are those of `ShuffleSampler`.
    """

    def __init__(
        self,
        table: DifficultyTable,
        seed: int = 0,
        rank: int = 0,
        world: int = 1,
        batch_size: int = 1,
        wide: np.ndarray | None = None,
        accumulated: int = 1,
        drop_last: bool = True,
    ) -> None:
        self.table = table
        self.left_out = 0
        self.filled_up = 0
        place = (seed, rank, world, batch_size, wide, accumulated, drop_last)
        super().__init__(len(table), *place)

    def _arranged(self, order: Tensor, generator: torch.Generator) -> Tensor:
        """Whole steps of the images that are not left out."""
        # Below zero, where no seed of a shuffle lies.
        own = torch.Generator().manual_seed(-1 - self._number())
        share = torch.rand(self.num_images, generator=own)
        is_out = self.table.easy & (share < self.table.rule.probability)
        groups = self._groups(order)
        kept = [group[~is_out[group]] for group in groups]
        self.filled_up = 0
        if max(len(group) for group in kept) < self.step:
            kept = [self._filled(groups, is_out)]
        self.left_out = int(is_out.sum()) - self.filled_up
        return self._in_steps(kept, generator)

    def _filled(self, groups: Sequence[Tensor], is_out: Tensor) -> Tensor:
        """One step's images: those of the group with the most, and left out ones at random."""
        large = [group for group in groups if len(group) >= self.step]
        chosen = max(large, key=lambda group: int((~is_out[group]).sum()))
        # Stable: in either half the order stays that of the shuffle.
        step = chosen[is_out[chosen].int().argsort(stable=True)][: self.step]
        self.filled_up = int(is_out[step].sum())
        return step


class PerRankSampler(Sampler[Draw]):
    """Each process draws all images by itself and has difficulties of its own, as in the release.

    An epoch ends for all where the first process has no step left, so that none waits for another.
    `left_out` and `filled_up` are the sums over the processes.

    Args:
        tables: one for each process, equal in all of them; the others are those of
            `ShuffleSampler`. An epoch that another process ends has no smaller step.
    """

    def __init__(
        self,
        tables: Sequence[DifficultyTable],
        seed: int,
        rank: int,
        batch_size: int = 1,
        wide: np.ndarray | None = None,
        accumulated: int = 1,
        drop_last: bool = True,
    ) -> None:
        settings = (0, 1, batch_size, wide, accumulated, drop_last)
        self.samplers = [
            DifficultySampler(table, rank_seed(seed, number, len(tables)), *settings)
            for number, table in enumerate(tables)
        ]
        self.own = self.samplers[rank]
        self.step = batch_size * accumulated
        self.set_epoch(0)

    def set_epoch(self, epoch: int) -> None:
        """Draws the orders of the next iterations."""
        for sampler in self.samplers:
            sampler.set_epoch(epoch)
        self.left_out = sum(sampler.left_out for sampler in self.samplers)
        self.filled_up = sum(sampler.filled_up for sampler in self.samplers)
        lengths = {len(sampler) for sampler in self.samplers}
        shortest = min(lengths)
        self._length = shortest if len(lengths) == 1 else shortest // self.step * self.step

    def __iter__(self) -> Iterator[Draw]:
        """This rank's drawings of the epoch."""
        return islice(self.own, self._length)

    def __len__(self) -> int:
        """Drawings of this rank in the epoch."""
        return self._length


def rank_seed(seed: int, rank: int, world: int) -> int:
    """A seed of each process that no other (seed, rank) of as many processes has."""
    return seed * world + rank
