"""Ends a training early that is to be judged by a number which it does not log."""

import pytorch_lightning as pl

from facedet.errors import UsageError


class ObjectiveCheck(pl.Callback):
    """Looks for the objective among the numbers that are known after a validation.

    Said at the end of the training it would have cost all of it.

    Args:
        objective: name of a logged number.
    """

    def __init__(self, objective: str) -> None:
        self.objective = objective

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Raises `UsageError` naming the numbers there are where the objective is none of them."""
        known = trainer.callback_metrics
        # Before the first step the losses are not known yet.
        if trainer.sanity_checking or self.objective in known:
            return
        there_are = f"there are {', '.join(sorted(known))}" if known else "there is none at all"
        raise UsageError(f"objective={self.objective}: no such number is logged; {there_are}")
