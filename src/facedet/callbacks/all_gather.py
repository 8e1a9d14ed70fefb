"""Python objects of all processes of a training."""

from typing import Any

import pytorch_lightning as pl
import torch.distributed as dist


def all_gather(trainer: pl.Trainer, value: Any) -> list[Any]:  # noqa: ANN401
    """The `value` of every process, in the order of their ranks; all of them have to call it."""
    if trainer.world_size == 1:
        return [value]
    values = [None] * trainer.world_size
    dist.all_gather_object(values, value)
    return values
