"""A data loader whose position in the epoch can be saved and restored, and its processes."""

import logging
import os
import shutil
import traceback
from collections.abc import Iterator
from itertools import islice
from multiprocessing.queues import Queue
from pathlib import Path
from typing import Any

import cv2
from torch.utils.data import BatchSampler, DataLoader, Dataset, Sampler

from facedet.errors import first_line

log = logging.getLogger(__name__)

# Where Linux keeps the batches that loading processes hand over; Docker's default is 64 MB.
_SHARED_MEMORY = Path("/dev/shm")
_PAGE = 4096
# Batches of a process that wait for the training, and one in the making and one in use.
_BATCHES_AHEAD, _BATCHES_BESIDE = 2, 2


class StepBatchSampler(BatchSampler):
    """Batches of a sampler, so many to a step; the first `skip` of an iteration are left out.

    With `drop_last` false what fills no step is dealt out to as many batches as a step has.
    """

    skip = 0

    def __init__(
        self, sampler: Sampler, batch_size: int, drop_last: bool, accumulated: int = 1
    ) -> None:
        super().__init__(sampler, batch_size, drop_last)
        self.accumulated = accumulated

    def __iter__(self) -> Iterator[list]:
        """Batches of drawings."""
        draws = list(self.sampler)
        whole = len(draws) - len(draws) % (self.batch_size * self.accumulated)
        batches = [draws[k : k + self.batch_size] for k in range(0, whole, self.batch_size)]
        batches += [draws[whole:][k :: self.accumulated] for k in range(self.accumulated)]
        return islice(batches, self.skip, len(self))

    def __len__(self) -> int:
        """Batches of the epoch that the sampler is set to."""
        steps, rest = divmod(len(self.sampler), self.batch_size * self.accumulated)  # type: ignore[arg-type]
        has_last = not self.drop_last and rest >= self.accumulated
        return (steps + has_last) * self.accumulated


class ResumableLoader(DataLoader):
    """A `DataLoader` with a `state_dict`: the images of this epoch that were handed out.

    Lightning saves it in the checkpoint and loads it when a run resumes; without it, a run that
    stopped in the middle of an epoch would see the epoch's first batches twice. Images are
    counted, not batches, so that batch size and number of processes may change in between. The
    length is that of the epoch which the sampler is set to. A run resumes with a whole step.

    Args:
        dataset, sampler, batch_size: as of `DataLoader`.
        drop_last: leave out an incomplete last step.
        world: processes that each have such a loader.
        accumulated: batches of a step.
        limit: batches of an epoch at the most, or a float: the share of them that is used; as
            Lightning's `limit_train_batches`, which ends an epoch without a word to its loader.
        **kwargs: of `DataLoader`.
    """

    def __init__(
        self,
        dataset: Any,  # noqa: ANN401
        sampler: Sampler,
        batch_size: int,
        drop_last: bool = True,
        world: int = 1,
        accumulated: int = 1,
        limit: int | float = 1.0,
        **kwargs: Any,  # noqa: ANN401
    ) -> None:
        batches = StepBatchSampler(sampler, batch_size, drop_last, accumulated)
        super().__init__(dataset, batch_sampler=batches, **kwargs)
        self._step = batch_size * world
        self._accumulated = accumulated
        self._limit = limit
        self._yielded = 0
        self._skip = 0
        self._length: int | None = None  # of the epoch whose batches are handed out

    @property
    def epoch_length(self) -> int:
        """Batches of the epoch that are used."""
        if isinstance(self._limit, float):
            return int(len(self) * self._limit)
        return min(len(self), self._limit)

    @property
    def is_exhausted(self) -> bool:
        """Whether the last batch of an epoch was handed out, and none of the next."""
        return self._length is not None and self._yielded >= self._length

    def __iter__(self) -> Iterator:  # type: ignore[override]
        """Batches, from the restored position on the first time."""
        self._yielded, self._skip = self._skip, 0
        # The sampler may be set to the next epoch before this one's last state is asked for.
        self._length = self.epoch_length
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
        self._skip = -(-images // (self._step * self._accumulated)) * self._accumulated
        self._yielded, self._length = self._skip, None
        unseen = self._skip * self._step - images
        if unseen:
            text = "the run resumes after %s images of the epoch, steps now have %s: "
            log.warning(text + "%s images are skipped in this epoch", images, self._step, unseen)


def fitting_workers(dataset: Dataset, batch_size: int, workers: int, world: int = 1) -> int:
    """The number of loading processes: `workers`, or 0 where shared memory cannot hold batches.

    A process that finds no room there would end with a bus error in the middle of a training. The
    data set's first sample stands for the size of all; `world` training processes have as many.
    """
    if workers == 0 or not _SHARED_MEMORY.is_dir():
        return workers
    image, target = dataset[0]
    # Every tensor is a file of whole pages.
    sample = image.nbytes + _PAGE * (1 + len(target))
    needed = sample * batch_size * world * (_BATCHES_AHEAD * workers + _BATCHES_BESIDE)
    free = shutil.disk_usage(_SHARED_MEMORY).free
    if needed <= free:
        return workers
    log.warning(
        "%s has %.1f MB free, batches of %d loading processes need %.1f MB: the training process "
        "loads by itself (data.num_workers=0); a container gets more with --shm-size",
        _SHARED_MEMORY, free / 1e6, workers, needed / 1e6,
    )  # fmt: skip
    return 0


def init_worker(_: int) -> None:
    """Prepares a loading process: one thread, and an end where it cannot hand over a batch.

    OpenCV's own threads would compete with the training's. A batch that does not fit into shared
    memory is lost in a thread that only prints the error, and the training would wait for it for
    ever; the end of the process is noticed. (The hook is private to multiprocessing, and set in
    the loading process alone.)
    """

    def end_process(error: BaseException, _: Any) -> None:  # noqa: ANN401
        traceback.print_exception(error, limit=0)
        os._exit(1)

    cv2.setNumThreads(0)
    Queue._on_queue_feeder_error = staticmethod(end_process)  # type: ignore[attr-defined]


def explain_lost_worker(error: RuntimeError) -> str | None:
    """What to do where `error` is of a loading process that ended; None: it is something else."""
    text = first_line(error)
    if not text.startswith("DataLoader worker"):
        return None
    return (
        f"{text.rstrip('.')}: with too little shared memory (docker run --shm-size=1g) or memory "
        "data.num_workers=0 loads without such processes"
    )
