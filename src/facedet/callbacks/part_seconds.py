"""Tells where the time of a run goes: into what precedes it, its steps and its validations."""

import pytorch_lightning as pl

from facedet.profiling.laps import Laps


class PartSeconds(pl.Callback):
    """Ends the parts `build`, `training` and `validation` of a run where they end.

    The validation before the first step is one as well; checkpoints belong to the training.

    Args:
        laps: begun when the run was.
    """

    def __init__(self, laps: Laps) -> None:
        self.laps = laps

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Ends what was before it."""
        self.laps.end("build" if trainer.sanity_checking else "training")

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Ends it."""
        self.laps.end("validation")

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Ends what precedes the steps."""
        self.laps.end("build")

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Ends the steps."""
        self.laps.end("training")

    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        """Ends them early."""
        self.laps.end("training")
