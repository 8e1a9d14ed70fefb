"""What the LightningModules of all detector families share: the steps and their logging."""

from collections.abc import Callable
from typing import Any

import pytorch_lightning as pl
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torchmetrics import Metric

from facedet.allocator import give_back_above
from facedet.errors import UsageError
from facedet.structures import CHECKPOINT_KEY, Detections, Losses, Predictions, Target

Batch = tuple[Tensor, list[Target]]


class DetectionModule(pl.LightningModule):
    """Ties a network to its criterion, decoding, optimiser and metric.

    An update's loss is the sum over all its images, of all processes and accumulated batches,
    divided by the sum of the criterion's totals: whichever way the images are dealt out, the
    gradient is the same.

    Args:
        net: images [B, 3, H, W] in 0 … 255 to predictions.
        criterion: predictions and targets to losses.
        postprocess: predictions to detections, for validation.
        optimizer: called with the parameters (or groups of them).
        scheduler: called with the optimiser; steps once per training step.
        metric: of the validation; None: none.
        channels_last: memory format of weights and images.
    """

    def __init__(
        self,
        net: nn.Module,
        criterion: Callable[[Predictions, list[Target]], Losses],
        postprocess: Callable[[Predictions], list[Detections]],
        optimizer: Callable[..., torch.optim.Optimizer],
        scheduler: Callable[..., torch.optim.lr_scheduler.LRScheduler],
        metric: Metric | None = None,
        channels_last: bool = True,
    ) -> None:
        super().__init__()
        self.memory_format = torch.channels_last if channels_last else torch.contiguous_format
        self.net = net.to(memory_format=self.memory_format)  # type: ignore[call-overload]
        self.criterion = criterion
        self.postprocess = postprocess
        self.optimizer = optimizer
        self.scheduler = scheduler
        self.metric = metric
        self.config: dict[str, Any] | None = None  # of the training, resolved, as plain data
        self._totals: list[Tensor] = []  # of the batches since the last update, all processes

    def forward(self, images: Tensor) -> Predictions:
        """RGB images [B, 3, H, W] in 0 … 255 to predictions."""
        return self.net(images.contiguous(memory_format=self.memory_format))

    def training_step(self, batch: Batch, batch_index: int) -> dict[str, Tensor]:
        """Losses of a batch; hands on each image's hardest positive for whoever mines images."""
        images, targets = batch
        losses = self.criterion(self(images), targets)
        loss = losses.classification + losses.box
        summed, total = losses.total.clamp(min=1), _over_processes(losses.total)
        self._totals.append(total)
        # What makes the mean over the processes the sum over their images, divided by the total.
        share = summed / total.clamp(min=1) * _num_processes()
        self.log("loss", loss.detach() * share, prog_bar=True, logger=False)
        parts = {"loss": loss, "classification": losses.classification, "box": losses.box}
        logged = {f"train/{name}": value.detach() * share for name, value in parts.items()}
        # The mean over the processes.
        self.log_dict(logged, batch_size=len(targets), sync_dist=True)
        # The totals of the batches to come are not known: all are divided by the first one's, and
        # the gradient is put right before the update.
        weight = share * total.clamp(min=1) / self._totals[0].clamp(min=1)
        return {"loss": loss * weight, "hardest_positive": losses.hardest_positive}

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Divides the gradient of accumulated batches by the total of all of them."""
        trainer = self.trainer
        ends_epochs = trainer.is_last_batch and trainer.current_epoch + 1 == trainer.max_epochs
        if ends_epochs or trainer.global_step + 1 == trainer.max_steps:
            # Else the last weights are validated only where a validation happens to be due.
            trainer.should_stop = True
        accumulated = trainer.accumulate_grad_batches
        first, total = self._totals[0], torch.stack(self._totals).sum()
        self._totals = []
        if accumulated == 1:
            return
        # Lightning has divided by the number of batches that it meant to accumulate.
        factor = accumulated * first.clamp(min=1) / total.clamp(min=1)
        for parameter in self.net.parameters():
            if parameter.grad is not None:
                parameter.grad.mul_(factor)

    def on_validation_start(self) -> None:
        """Gives every process the first one's statistics, which a resumed run begins with.

        DDP does so before each step, but in a validation to those of a moving average.
        """
        if _num_processes() > 1:
            for buffer in self.net.buffers():
                dist.broadcast(buffer, 0)

    def validation_step(self, batch: Batch, batch_index: int) -> dict[str, list[Detections]]:
        """Adds the detections of a batch to the metric, and its loss to the mean `val/loss`."""
        images, targets = batch
        predictions = self(images)
        losses = self.criterion(predictions, targets)
        loss = losses.classification + losses.box
        self.log("val/loss", loss, batch_size=len(targets), sync_dist=True)
        detections = self.postprocess(predictions)
        if self.metric is not None:
            self.metric.update(detections, targets)
        give_back_above()
        return {"detections": detections}

    def on_validation_epoch_end(self) -> None:
        """Logs the metric over all validation images."""
        if self.metric is not None:
            values = self.metric.compute()
            self.log_dict(values, prog_bar=True, sync_dist=False)
            self.metric.reset()

    def predict_step(self, batch: Batch, batch_index: int) -> list[Detections]:
        """Detections of a batch, in pixels of the images given."""
        return self.postprocess(self(batch[0]))

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Adds the config and the data's fingerprint, so that a file describes itself.

        Plain data only: `torch.load(weights_only=True)` reads no objects.
        """
        if self.config is not None:
            data = self.trainer.datamodule.fingerprint()  # type: ignore[attr-defined]
            checkpoint[CHECKPOINT_KEY] = {"config": self.config, "data": data}

    def parameter_groups(self) -> Any:  # noqa: ANN401
        """What the optimiser is called with; one group of all parameters here.

        A family with several groups gives each a "name", and a "rate" to multiply the
        optimiser's learning rate with.
        """
        return self.net.parameters()

    def configure_optimizers(self) -> Any:  # noqa: ANN401
        """The optimiser, and its schedule by steps."""
        try:
            optimizer = self.optimizer(self.parameter_groups())
        except ValueError as error:  # a setting is out of its range
            raise UsageError(f"optimizer: {error}") from error
        # Before the schedule is made: it takes these rates for the initial ones.
        for group in optimizer.param_groups:
            group["lr"] *= group.get("rate", 1.0)
        scheduler = {"scheduler": self.scheduler(optimizer), "interval": "step"}
        return {"optimizer": optimizer, "lr_scheduler": scheduler}


def _num_processes() -> int:
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def _over_processes(value: Tensor) -> Tensor:
    """The sum of a number over all processes."""
    total = value.detach().clone()
    if _num_processes() > 1:
        dist.all_reduce(total)
    return total
