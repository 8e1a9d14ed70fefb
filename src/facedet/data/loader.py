"""A data loader whose position in the epoch can be saved and restored."""

import logging
from collections.abc import Iterator
from itertools import islice
from typing import Any

from torch.utils.data import BatchSampler, DataLoader, Sampler

log = logging.getLogger(__name__)


class SkippingBatchSampler(BatchSampler):
    """Batches of a sampler; the first `skip` of an iteration are left out, unread."""

    skip = 0

    def __iter__(self) -> Iterator[list]:
        """Batches of drawings."""
        return islice(super().__iter__(), self.skip, None)


class ResumableLoader(DataLoader):
    """A `DataLoader` with a `state_dict`: the images of this epoch that were handed out.

    Lightning saves it in the checkpoint and loads it when a run goes on; without it, a run
    that stopped in the middle of an epoch would see the epoch's first batches twice. Images are
    counted, not batches, so that batch size and number of processes may change in between. The
    length is that of the epoch which the sampler is set to.

    Args:
        dataset: map-style.
        sampler: yields the drawings.
        batch_size: images per batch.
        drop_last: leave out an incomplete last batch.
        world: processes that each have such a loader.
        **kwargs: of `torch.utils.data.DataLoader`.
    """

    def __init__(
        self,
        dataset: Any,  # noqa: ANN401
        sampler: Sampler,
        batch_size: int,
        drop_last: bool = True,
        world: int = 1,
        **kwargs: Any,  # noqa: ANN401
    ) -> None:
        batches = SkippingBatchSampler(sampler, batch_size, drop_last)
        super().__init__(dataset, batch_sampler=batches, **kwargs)
        self._step = batch_size * world
        self._yielded = 0
        self._skip = 0
        self._length: int | None = None  # of the epoch whose batches are handed out

    @property
    def is_exhausted(self) -> bool:
        """Whether the last batch of an epoch was handed out, and none of the next."""
        return self._length is not None and self._yielded >= self._length

    def __iter__(self) -> Iterator:  # type: ignore[override]
        """Batches, from the restored position on the first time."""
        self._yielded, self._skip = self._skip, 0
        # The sampler may be set to the next epoch before this one's last state is asked for.
        self._length = len(self)
        # Set anew each time, not consumed: with workers the batch sampler is iterated twice.
        self.batch_sampler.skip = self._yielded  # type: ignore[union-attr]
        for batch in super().__iter__():
            self._yielded += 1
            yield batch

    def state_dict(self) -> dict[str, int]:
        """The position: images of the epoch handed out so far, by all processes together."""
        return {"images": 0 if self.is_exhausted else self._yielded * self._step}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Sets the position at which the next iteration begins, to the end of a batch."""
        # Earlier checkpoints counted batches.
        images = state["images"] if "images" in state else state["batches"] * self._step
        self._skip = -(-images // self._step)
        self._yielded, self._length = self._skip, None
        unseen = self._skip * self._step - images
        if unseen:
            log.warning(
                "the run goes on after %s images of the epoch, steps now have %s: "
                "%s images are skipped in this epoch",
                images,
                self._step,
                unseen,
            )
