"""Validates what a fine-tuning starts from, and keeps it until something is better."""

import logging
import math

import pytorch_lightning as pl
from pytorch_lightning.callbacks import ModelCheckpoint

log = logging.getLogger(__name__)

_FAR_BELOW = 0.8  # of the starting point's value


class StartingPoint(pl.Callback):
    """Makes the weights a training starts from its step 0: validated, logged, `best.ckpt`.

    Fine-tuning can end worse than it began; the weights exported are then the starting ones.

    Args:
        objective: name of the number that the best checkpoint is chosen by.
        mode: which of its values are better, "max" or "min".
    """

    def __init__(self, objective: str, mode: str) -> None:
        self.objective = objective
        self.mode = mode
        self._value = math.nan

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Validates before the first step; a run that resumes has done so."""
        if trainer.global_step > 0 or not trainer.enable_validation:
            return
        # As Lightning validates within an epoch.
        trainer.validating = True
        trainer.fit_loop.epoch_loop.val_loop.run()
        trainer.training = True
        value = trainer.callback_metrics.get(self.objective)
        if value is None or not math.isfinite(value):
            return
        self._value = float(value)
        for callback in trainer.checkpoint_callbacks:
            if isinstance(callback, ModelCheckpoint) and callback.monitor == self.objective:
                path = callback.format_checkpoint_name({}, callback.filename)
                callback.best_k_models = {path: value}
                callback.best_model_path = callback.kth_best_model_path = path
                callback.best_model_score = callback.kth_value = callback.current_score = value
                trainer.save_checkpoint(path)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Warns, once, where a validation falls far below the starting point."""
        value = trainer.callback_metrics.get(self.objective)
        if value is None or math.isnan(self._value) or trainer.sanity_checking:
            return
        low, high = (value, self._value) if self.mode == "max" else (self._value, value)
        if trainer.global_step > 0 and low < _FAR_BELOW * high:
            log.warning(
                "%s is %.3f at step %s, from %.3f before the first step: this training makes the "
                "weights worse; lower optimizer.lr, or set callbacks.freeze_norm.from_step=0",
                self.objective, float(value), trainer.global_step, self._value,
            )  # fmt: skip
            self._value = math.nan
