"""What a detector costs, and how fast it trains."""

import time
from collections import deque

import pytorch_lightning as pl

from facedet.profiling.cost import measure_cost


class Throughput(pl.Callback):
    """Logs parameters and multiply-adds once, and the images a second since the last logged step.

    Of all processes together, with the loading of the images but without validations.
    """

    def __init__(self) -> None:
        self._ends: deque[tuple[float, int]] = deque()  # time of a step's end, its images

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Gives the loggers the cost of the network, as part of the settings."""
        self._ends = deque(maxlen=1 + max(1, trainer.log_every_n_steps))  # type: ignore[attr-defined]
        if trainer.is_global_zero and trainer.loggers:
            cost = measure_cost(pl_module.net)  # type: ignore[arg-type]
            found = {"parameters": cost.parameters, "multiply_adds_640": cost.madds}
            for logger in trainer.loggers:
                logger.log_hyperparams({"cost": found})

    def on_validation_end(self, *_: object) -> None:
        """Starts the clock anew."""
        self._ends.clear()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, _: object, batch: tuple, *__: int
    ) -> None:
        """Logs the speed, from the second step on."""
        images = len(batch[1]) * trainer.world_size
        self._ends.append((time.monotonic(), images))
        seconds = self._ends[-1][0] - self._ends[0][0]
        if seconds > 0:
            done = sum(count for _, count in self._ends) - self._ends[0][1]
            pl_module.log("train/images_per_second", done / seconds)
