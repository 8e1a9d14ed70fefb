"""Validates by a pyramid: the AP that a protocol will give, while the detector is in training."""

from collections.abc import Callable
from typing import Any

import pytorch_lightning as pl
from torch import Tensor
from torchmetrics import Metric

from facedet.errors import UsageError
from facedet.inference.pyramid import Merge, Pyramid
from facedet.inference.scales import Pass, Size
from facedet.modules.base import DetectionModule
from facedet.structures import Detections, Predictions, Target


class PyramidValidation(pl.Callback):
    """Logs the AP of several passes over each validation picture as `pyramid/SUBSET`.

    The validation's own numbers stay: its loss, and the AP of a single pass. A pyramid takes many
    times as long, so not every validation has one.

    Args:
        scales: size (height, width) of a picture to passes.
        merge: joins the detections of the passes.
        postprocess: predictions to detections of each pass.
        metric: of the merged detections.
        every_n_steps: a validation is by the pyramid where this divides its step, and after the
            training's last step.
        pixel_budget: see `Pyramid`.
        on_large: see `Pyramid`.

    Raises:
        UsageError: `every_n_steps` is below 1.
    """

    def __init__(
        self,
        scales: Callable[[Size], list[Pass]],
        merge: Merge,
        postprocess: Callable[[Predictions], list[Detections]],
        metric: Metric,
        every_n_steps: int,
        pixel_budget: int | None = None,
        on_large: str = "tile",
    ) -> None:
        if every_n_steps < 1:
            raise UsageError(
                f"callbacks.pyramid_validation.every_n_steps={every_n_steps}: expected at least 1"
            )
        self.scales = scales
        self.merge = merge
        self.postprocess = postprocess
        self.metric = metric
        self.every_n_steps = every_n_steps
        self.pixel_budget = pixel_budget
        self.on_large = on_large
        self._pyramid: Pyramid | None = None  # of the validation that is running

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Decides whether this validation is by the pyramid."""
        step, self._pyramid = trainer.global_step, None
        is_due = step % self.every_n_steps == 0 or step == trainer.max_steps or trainer.should_stop
        if is_due and not trainer.sanity_checking:
            assert isinstance(pl_module, DetectionModule)
            passes = (self.scales, self.merge, self.pixel_budget, self.on_large)
            self._pyramid = Pyramid(pl_module.net, self.postprocess, *passes)
            self.metric.to(pl_module.device)

    def on_validation_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,  # noqa: ANN401
        batch: tuple[Tensor, list[Target]],
        batch_idx: int,
        dataloader_idx: int = 0,
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
