"""Lets a trained detector teach the one in training, with or instead of the annotations."""

from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from facedet.criteria.distillation import coarser, distillation_losses
from facedet.errors import UsageError
from facedet.modules.base import Batch, DetectionModule
from facedet.structures import Losses, Predictions, Target


class Distillation(pl.Callback):
    """Mixes the distance to a teacher's answers into the losses; see `distillation_losses`.

    The teacher belongs to no checkpoint: a resumed run names it again.

    Args:
        teacher: images [B, 3, H, W] in 0 … 255 to predictions, with the student's own anchors, or
            with anchors of these sides on maps twice as fine: then `coarser` ones of its answers.
            It sees the picture as much enlarged as the student does, whatever its own `enlarge`.
        share: of the loss, in (0, 1]; the rest is that of the annotations.
        confident: the teacher's face score from which an anchor's box is learnt.
    """

    def __init__(self, teacher: nn.Module, share: float, confident: float) -> None:
        if not 0 < share <= 1:
            raise UsageError(f"callbacks.distillation.share={share}: above 0, up to 1 is expected")
        self.teacher = teacher.eval()
        self.share = share
        self.confident = confident
        self._taught: Predictions | None = None

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Wraps the student's criterion."""
        assert isinstance(pl_module, DetectionModule)
        self.criterion = pl_module.criterion
        pl_module.criterion = self._criterion

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Gives the student its criterion back."""
        assert isinstance(pl_module, DetectionModule)
        pl_module.criterion = self.criterion

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Batch, batch_idx: int
    ) -> None:
        """Asks the teacher about the images of a batch."""
        self._taught = self.ask(trainer, pl_module, batch[0])

    def ask(self, trainer: pl.Trainer, module: Any, images: Tensor) -> Predictions:  # noqa: ANN401
        """The teacher's answers, on the images' device and as much enlarged as the student's."""
        self.teacher.to(images.device).enlarge = module.net.enlarge
        with torch.no_grad(), trainer.precision_plugin.forward_context():
            return self.teacher(images.contiguous(memory_format=module.memory_format))

    def on_train_batch_end(self, *_: Any) -> None:  # noqa: ANN401
        """Forgets them: a validation is judged by the annotations alone."""
        self._taught = None

    def _criterion(self, predictions: Predictions, targets: list[Target]) -> Losses:
        losses, taught = self.criterion(predictions, targets), self._taught
        if taught is None:
            return losses
        number, finer = len(taught.anchors), zip(predictions.levels, taught.levels, strict=False)
        if all(4 * coarse == fine for coarse, fine in finer):
            taught = coarser(taught, len(predictions.levels))
        own, theirs = predictions.anchors, taught.anchors
        # Means of anchors of an enlarged picture are rounded otherwise.
        if own.shape != theirs.shape or not torch.allclose(own, theirs, atol=1e-3):
            raise UsageError(
                f"callbacks.distillation.teacher: its {number:,} anchors are neither the model's "
                f"{len(own):,} nor those of maps twice as fine, of the same sides (which need an "
                "augmentation.size that, enlarged, the model's coarsest stride divides)"
            )
        distilled = distillation_losses(predictions, taught, self.confident)
        rest = 1 - self.share
        return Losses(
            rest * losses.classification + self.share * distilled.classification,
            rest * losses.box + self.share * distilled.box,
            # Over several processes a mixture goes by the annotated part's weight.
            losses.total if rest else distilled.total,
            losses.hardest_positive,
        )
