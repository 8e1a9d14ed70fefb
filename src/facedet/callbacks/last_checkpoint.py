"""A checkpoint to resume from: every so many steps, at the end, and when a signal comes."""

import os
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Checkpoint

from facedet.callbacks.stop_signals import REQUEUE, StopSignals, requeue
from facedet.errors import InterruptedTrainingError, UsageError


class LastCheckpoint(Checkpoint):
    """Keeps `last.ckpt` up to date, and the one before as `previous.ckpt`.

    It is written between two steps, and after the validation where one is due at that step: a run
    that resumes from it does what the uninterrupted one did, no more and no less. (After the
    training Lightning counts a half-done epoch as done; before a validation it forgets that it
    is due.)

    Args:
        dirpath: folder of the files.
        every_n_train_steps: optimiser steps between two writings; the last step counts as well,
            also where the time is up or an early stopping ends the training.
        keep_epochs: write after the last step of each epoch too, and keep that as
            `epoch_NNN.ckpt`. (What Lightning writes at an epoch's end does not resume exactly.)
    """

    def __init__(self, dirpath: str, every_n_train_steps: int, keep_epochs: bool = False) -> None:
        if every_n_train_steps < 1:
            raise UsageError(
                f"callbacks.last.every_n_train_steps={every_n_train_steps}: at least 1 is needed"
            )
        self.path = Path(dirpath) / "last.ckpt"
        self.every_n_train_steps = every_n_train_steps
        self.keep_epochs = keep_epochs
        self.signals = StopSignals()
        self._seen_step = 0
        self._has_stepped = False
        self._is_due = False
        self._is_to_stop = False
        self._ends_epoch = False
        self._is_extra_validation = False  # due only because the training ends

    def on_train_start(self, trainer: pl.Trainer, *_: object) -> None:
        """Takes over the signals; Lightning has set its own before."""
        self._seen_step = trainer.global_step
        _count_begun_epoch(trainer)
        self.signals.install()

    def on_train_batch_end(self, trainer: pl.Trainer, *_: object) -> None:
        """Writes the checkpoint where it is due; raises `FacedetError` where it cannot."""
        stop, step = self.signals.agreed(), trainer.global_step
        # While gradients are being accumulated nothing can resume: their sum is in no checkpoint.
        self._has_stepped = step != self._seen_step
        self._seen_step = step
        self._end_with_a_step(trainer)
        self._ends_epoch = self.keep_epochs and trainer.is_last_batch
        is_due = step % self.every_n_train_steps == 0 or step == trainer.max_steps
        is_due = is_due or self._ends_epoch or _ends_early(trainer)
        self._is_due = self._has_stepped and is_due
        self._is_extra_validation = False
        if _is_validation_due(trainer):
            self._is_extra_validation = not _is_validation_due(trainer, or_at_end=False)
            return
        if self._is_due or (stop and self._has_stepped):
            # Lightning logs a step after this hook: a resumed run would lack its row.
            trainer._logger_connector.update_train_step_metrics()
            self._write(trainer, stop)

    def on_validation_end(self, trainer: pl.Trainer, *_: object) -> None:
        """Writes the checkpoint that waited for the validation."""
        if trainer.sanity_checking:
            return
        stop = self.signals.agreed()
        self._end_with_a_step(trainer)
        # An early stopping has decided in this hook, before this callback.
        if self._is_due or (self._has_stepped and (stop or _ends_early(trainer))):
            self._write(trainer, stop)

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Gives the signals back."""
        self.signals.restore()

    def _end_with_a_step(self, trainer: pl.Trainer) -> None:
        """Puts off the end of a training whose time is up amid a step until that is done."""
        self._is_to_stop = self._is_to_stop or trainer.should_stop
        trainer.should_stop = self._is_to_stop and self._has_stepped

    def _write(self, trainer: pl.Trainer, stop: int) -> None:
        """Writes the checkpoint, and ends the training where a signal asked for it."""
        for logger in trainer.loggers:
            logger.save()
        if trainer.is_global_zero and self.path.exists():
            _link(self.path, self.path.with_name("previous.ckpt"))
        with _before_validation(trainer) if self._is_extra_validation else nullcontext():
            trainer.save_checkpoint(self.path, weights_only=False)
        if self._ends_epoch and trainer.is_global_zero:
            _link(self.path, self.path.with_name(f"epoch_{trainer.current_epoch:03d}.ckpt"))
        if stop:
            self._end(trainer, stop)

    def _end(self, trainer: pl.Trainer, number: int) -> None:
        """Ends this process; the first one says how to resume."""
        if not trainer.is_global_zero:
            raise SystemExit(0)
        if number == REQUEUE:
            requeue()
        raise InterruptedTrainingError(
            f"{signal.Signals(number).name} at step {trainer.global_step}: everything is saved",
            number,
            f"ckpt_path=last paths.output={trainer.default_root_dir} resumes it",
        )


def _count_begun_epoch(trainer: pl.Trainer) -> None:
    """Counts the epoch that a run begins with after a checkpoint of the last batch of another.

    Lightning counts the ended one as processed, but not the new one as ready and started; in the
    checkpoints from then on no epoch would ever look half done, and resuming from them would
    repeat one.
    """
    loop = trainer.fit_loop
    progress = loop.epoch_progress
    if loop.restarted_mid_epoch and progress.current.processed == progress.current.started:  # type: ignore[attr-defined]
        progress.increment_ready()
        progress.increment_started()


def _ends_early(trainer: pl.Trainer) -> bool:
    """Whether the training ends with this step by somebody's request, not before `min_steps`."""
    return trainer.should_stop and trainer.fit_loop._can_stop_early


def _link(path: Path, name: Path) -> None:
    """Gives a file another name, which stays where the first is replaced."""
    name.unlink(missing_ok=True)
    try:
        os.link(path, name)
    except OSError:  # a file system without links
        shutil.copy2(path, name)


@contextmanager
def _before_validation(trainer: pl.Trainer) -> Iterator[None]:
    """Counts batches as before the validation of this step.

    Lightning takes what is written after a validation for a step at which one is due; in a longer
    run none is due here, and an epoch that has ended would get a batch more.
    """
    batches = trainer.fit_loop.epoch_loop.batch_progress
    for progress in (batches.current, batches.total):
        progress.completed -= 1
    try:
        yield
    finally:
        for progress in (batches.current, batches.total):
            progress.completed += 1


def _is_validation_due(trainer: pl.Trainer, or_at_end: bool = True) -> bool:
    """Whether Lightning validates after this batch; it has no public word for it.

    With `or_at_end` false: whether it would if the training did not end here.
    """
    loop, ends = trainer.fit_loop, trainer.should_stop
    trainer.should_stop = ends and or_at_end
    try:
        return loop.epoch_loop._should_check_val_fx(loop._data_fetcher)  # type: ignore[arg-type]
    finally:
        trainer.should_stop = ends
