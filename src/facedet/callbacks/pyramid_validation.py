"""Validates by a pyramid: the AP that a protocol will give, while the detector is in training."""

from typing import Any

import pytorch_lightning as pl
from torchmetrics import Metric

from facedet.errors import UsageError
from facedet.inference.pyramid import Pyramid
from facedet.modules.base import Batch, DetectionModule


class PyramidValidation(pl.Callback):
    """Logs the AP of several passes over each validation picture as `pyramid/SUBSET`.

    The validation's own numbers stay: its loss, and the AP of a single pass. A pyramid takes many
    times as long, so not every validation has one.

    Args:
        metric: of the merged detections.
        every_n_steps: a validation is by the pyramid where this divides its step, and after the
            training's last step.
        passes: what else `Pyramid` takes: scales, merge, postprocess, pixel_budget, on_large.

    Raises:
        UsageError: `every_n_steps` is below 1.
    """

    def __init__(self, metric: Metric, every_n_steps: int, **passes: Any) -> None:  # noqa: ANN401
        if every_n_steps < 1:
            raise UsageError(
                f"callbacks.pyramid_validation.every_n_steps={every_n_steps}: expected at least 1"
            )
        self.metric = metric
        self.every_n_steps = every_n_steps
        self.passes = passes
        self._pyramid: Pyramid | None = None  # of the validation that is running

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Decides whether this validation is by the pyramid."""
        step, self._pyramid = trainer.global_step, None
        is_due = step % self.every_n_steps == 0 or step == trainer.max_steps or trainer.should_stop
        if is_due and not trainer.sanity_checking:
            assert isinstance(pl_module, DetectionModule)
            self._pyramid = Pyramid(pl_module.net, **self.passes)
            self.metric.to(pl_module.device)

    def on_validation_batch_end(
        self, trainer: pl.Trainer, _: object, outputs: object, batch: Batch, *__: int
    ) -> None:
        """Detects in the pictures of a batch."""
        if self._pyramid is None:
            return
        for image, target in zip(*batch, strict=True):
            height, width = target.size
            rgb = image[:, :height, :width].permute(1, 2, 0).cpu().numpy()
            with trainer.precision_plugin.forward_context():
                found = self._pyramid(rgb)
            self.metric.update([found], [target])

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Logs the AP; in all processes, which exchange their parts."""
        if self._pyramid is None:
            return
        for name, value in self.metric.compute().items():
            pl_module.log(f"pyramid/{name.rpartition('/')[2]}", value, sync_dist=False)
        self.metric.reset()
