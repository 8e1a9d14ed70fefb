"""The libraries' random states in the checkpoint, of every process."""

import random
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch

from facedet.callbacks.all_gather import all_gather

_KEY = "facedet_random_states"


class RandomStates(pl.Callback):
    """Lets a resumed run draw what the uninterrupted one would have drawn.

    Order and augmentation of the images do not need it, they are functions of seed, epoch and
    image; a dropout or somebody's own augmentation does.
    """

    def __init__(self) -> None:
        self._loaded: list[dict[str, Any]] = []

    def on_save_checkpoint(self, trainer: pl.Trainer, pl_module: object, checkpoint: dict) -> None:
        """Adds the states of all processes, in the order of their ranks."""
        checkpoint[_KEY] = all_gather(trainer, _read())

    def on_load_checkpoint(self, trainer: object, pl_module: object, checkpoint: dict) -> None:
        """Remembers the states until the training starts: before that, others draw."""
        self._loaded = checkpoint.get(_KEY, [])

    def on_train_start(self, trainer: pl.Trainer, *_: object) -> None:
        """Sets the state of this process; with another number of processes there is none."""
        if len(self._loaded) == trainer.world_size:
            _write(self._loaded[trainer.global_rank])
        self._loaded = []


def _read() -> dict[str, Any]:
    """The states as plain data and tensors, which a checkpoint may hold."""
    version, numbers, gauss = random.getstate()
    kind, keys, *rest = np.random.get_state(legacy=True)
    words = torch.from_numpy(np.asarray(keys).astype(np.int64))
    return {
        "python": [version, list(numbers), gauss],
        "numpy": [kind, words, *rest],
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }


def _write(state: dict[str, Any]) -> None:
    version, numbers, gauss = state["python"]
    random.setstate((version, tuple(numbers), gauss))
    kind, keys, *rest = state["numpy"]
    np.random.set_state((kind, keys.numpy().astype(np.uint32), *rest))
    torch.set_rng_state(state["torch"])
    if len(state["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(state["cuda"])
