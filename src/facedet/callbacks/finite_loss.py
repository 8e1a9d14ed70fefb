"""Stops a training whose loss is no longer a number, and names the images."""

import pytorch_lightning as pl
import torch
from torch import Tensor

from facedet.errors import FacedetError


class FiniteLoss(pl.Callback):
    """Checks every loss before its gradients reach the weights."""

    def __init__(self) -> None:
        self._indices: list[int] = []

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: tuple, batch_idx: int
    ) -> None:
        """Remembers which images the batch holds."""
        self._indices = [target.index for target in batch[1]]

    def on_before_backward(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, loss: Tensor
    ) -> None:
        """Raises `FacedetError` naming step and images where the loss is NaN or infinite."""
        if torch.isfinite(loss):
            return
        name_of = trainer.datamodule.name_of  # type: ignore[attr-defined]
        names = ", ".join(name_of(entry) for entry in self._indices)
        raise FacedetError(
            f"the loss is {loss.item()} at step {trainer.global_step}; "
            f"images of the batch: {names}; ckpt_path=last resumes from the last checkpoint, "
            "a lower optimizer.lr or trainer.gradient_clip_val=10 may help"
        )
