"""Puts the resolved config into every checkpoint, as plain data."""

from typing import Any

import pytorch_lightning as pl

from facedet.structures import CHECKPOINT_KEY


class CheckpointConfig(pl.Callback):
    """Makes a checkpoint say by itself what it is, so that prediction needs nothing else.

    The config is set by whoever composed it; objects are never saved, because neither
    `torch.load(weights_only=True)` nor a resume could read them.
    """

    def __init__(self) -> None:
        self.config: dict[str, Any] | None = None

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Adds the config, and the fingerprint of the data."""
        if self.config is not None:
            data = trainer.datamodule.fingerprint()  # type: ignore[attr-defined]
            checkpoint[CHECKPOINT_KEY] = {"config": self.config, "data": data}
