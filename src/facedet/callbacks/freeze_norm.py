"""Lets the last part of a training use the normalisation of the test."""

import pytorch_lightning as pl
from torch import nn

from facedet.errors import UsageError


class FreezeNorm(pl.Callback):
    """Normalises by the running statistics from a step on, and no longer changes them.

    EXTD's shared block normalises six maps of different statistics with one running average. In
    training every map has its own batch statistics, at test time all have the average; weights
    that learn with the average for a while do better with it.

    Args:
        from_step: the first optimiser step with frozen statistics; None: none.
    """

    def __init__(self, from_step: int | None) -> None:
        if (from_step or 0) < 0:
            raise UsageError(f"callbacks.freeze_norm.from_step={from_step}: at least 0 is needed")
        self.from_step = from_step

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: tuple, batch_idx: int
    ) -> None:
        """Puts the normalisations, and nothing else, in evaluation mode."""
        if self.from_step is not None and trainer.global_step >= self.from_step:
            for module in pl_module.modules():
                if isinstance(module, nn.modules.batchnorm._BatchNorm):
                    module.eval()
