"""A checkpoint to go on from: every so many steps, and at the last one."""

from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Checkpoint

from facedet.errors import FacedetError, UsageError


class LastCheckpoint(Checkpoint):
    """Keeps `last.ckpt` up to date.

    It is written between two steps: after the training Lightning counts a half-done epoch as
    done, and a run that goes on from there would miss the rest of it.

    Args:
        dirpath: folder of the file.
        every_n_train_steps: optimiser steps between two writings; the last step counts as well.
    """

    def __init__(self, dirpath: str, every_n_train_steps: int) -> None:
        if every_n_train_steps < 1:
            raise UsageError(
                f"callbacks.last.every_n_train_steps={every_n_train_steps}: at least 1 is needed"
            )
        self.path = Path(dirpath) / "last.ckpt"
        self.every_n_train_steps = every_n_train_steps
        self._saved_step = 0

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,  # noqa: ANN401
        batch: Any,  # noqa: ANN401
        batch_idx: int,
    ) -> None:
        """Writes the checkpoint where it is due; raises `FacedetError` where it cannot."""
        step = trainer.global_step
        is_due = step % self.every_n_train_steps == 0 or step == trainer.max_steps
        # With accumulated gradients several batches end at one step.
        if not is_due or step == self._saved_step:
            return
        self._saved_step = step
        try:
            trainer.save_checkpoint(self.path, weights_only=False)
        except OSError as error:
            raise FacedetError(f"{self.path} cannot be written: {error.strerror}") from error
