"""One progress bar over all steps, and a line per validation."""

import sys
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import ProgressBar
from tqdm import tqdm

# Where no terminal shows the bar, it would fill a log file with its every move.
_LOG_SECONDS = 15.0


class StepProgress(ProgressBar):
    """Counts optimiser steps up to `max_steps`; epochs of a small data set are over in seconds."""

    _steps: tqdm
    _pictures: tqdm
    _enabled = True

    def disable(self) -> None:
        """Lightning's way to silence the ranks above 0."""
        self._enabled = False

    def on_train_start(self, trainer: pl.Trainer, *_: object) -> None:
        """Opens the bar at the step where the run begins or resumes."""
        total = trainer.max_steps if trainer.max_steps > 0 else None
        self._steps = self._bar("training", "step", total=total, initial=trainer.global_step)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: object
    ) -> None:
        """Moves the bar."""
        if "loss" in (shown := self.get_metrics(trainer, pl_module)):
            self._steps.set_postfix_str(f"loss {float(shown['loss']):.2f}", refresh=False)  # type: ignore[arg-type]
        self._steps.update(trainer.global_step - self._steps.n)

    def on_train_end(self, *_: object) -> None:
        """Closes the bar."""
        self._steps.close()

    def on_validation_start(self, trainer: pl.Trainer, *_: object) -> None:
        """Opens a second bar below, over the validation pictures."""
        total = sum(int(number) for number in trainer.num_val_batches if number != float("inf"))
        self._pictures = self._bar("validation", "picture", total=total, leave=False)

    def on_validation_batch_end(self, *_: object) -> None:
        """Moves the second bar."""
        self._pictures.update()

    def on_validation_end(self, trainer: pl.Trainer, *_: object) -> None:
        """Closes it and writes the metrics on a line of their own."""
        self._pictures.close()
        values = trainer.callback_metrics
        shown = [f"{n.split('/')[1]} {float(v):.3f}" for n, v in values.items() if "wider/" in n]
        if shown and self._enabled and not trainer.sanity_checking:
            tqdm.write(f"step {trainer.global_step}: AP {'  '.join(shown)}", file=sys.stderr)

    def _bar(self, text: str, unit: str, **settings: Any) -> tqdm:  # noqa: ANN401
        interval = 0.2 if sys.stderr.isatty() else _LOG_SECONDS
        settings |= {"disable": not self._enabled, "dynamic_ncols": True, "mininterval": interval}
        return tqdm(desc=text, unit=unit, **settings)
