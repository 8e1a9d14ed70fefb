"""A data loader whose position in the epoch can be saved and restored."""

from collections.abc import Iterator
from itertools import islice
from typing import Any

from torch.utils.data import BatchSampler, DataLoader, Sampler


class SkippingBatchSampler(BatchSampler):
    """Batches of a sampler; the first `skip` of an iteration are left out, unread."""

    skip = 0

    def __iter__(self) -> Iterator[list]:
        """Batches of drawings."""
        return islice(super().__iter__(), self.skip, None)


class ResumableLoader(DataLoader):
    """A `DataLoader` with a `state_dict`: the batches of this epoch that were handed out.

    Lightning saves it in the checkpoint and loads it when a run goes on; without it, a run
    that stopped in the middle of an epoch would see the epoch's first batches twice.

    Args:
        dataset: map-style.
        sampler: yields the drawings.
        batch_size: images per batch.
        drop_last: leave out an incomplete last batch.
        **kwargs: of `torch.utils.data.DataLoader`.
    """

    def __init__(
        self,
        dataset: Any,  # noqa: ANN401
        sampler: Sampler,
        batch_size: int,
        drop_last: bool = True,
        **kwargs: Any,  # noqa: ANN401
    ) -> None:
        batches = SkippingBatchSampler(sampler, batch_size, drop_last)
        super().__init__(dataset, batch_sampler=batches, **kwargs)
        self._yielded = 0
        self._skip = 0

    def __iter__(self) -> Iterator:  # type: ignore[override]
        """Batches, from the restored position on the first time."""
        self._yielded, self._skip = self._skip, 0
        # Set anew each time, not consumed: with workers the batch sampler is iterated twice.
        self.batch_sampler.skip = self._yielded  # type: ignore[union-attr]
        for batch in super().__iter__():
            self._yielded += 1
            yield batch

    def state_dict(self) -> dict[str, int]:
        """The position: batches of the epoch handed out so far."""
        return {"batches": self._yielded % len(self)}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Sets the position at which the next iteration begins."""
        self._skip = state["batches"]
