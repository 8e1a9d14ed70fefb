"""Shows, with every validation, what the detector finds in a few pictures that stay the same."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor

from facedet.errors import UsageError
from facedet.modules.base import Batch
from facedet.plots import (
    draw_boxes,
    evenly,
    fitted,
    judge_boxes,
    plot_precision_recall,
    save_picture,
    sheet,
)
from facedet.structures import Detections, Target

NOTHING = Detections(torch.zeros(0, 4), torch.zeros(0))
# Of a picture, best first: an early detector finds hundreds.
_NUM_BOXES = 30


class Picture(NamedTuple):
    """A picture, its faces, and what was found in it."""

    name: str
    rgb: np.ndarray  # uint8 [H, W, 3]
    faces: Tensor  # [G, 4] xyxy pixels of `rgb`
    found: Detections  # in pixels of `rgb`


class ImageLog(pl.Callback):
    """Writes sheets of training crops, validation pictures and curves; loggers get them too.

    The crops are those of the first batch as the network sees them. The validation pictures are
    evenly drawn from the validation set (of several processes: from the first one's share) and
    stay the same. On a sheet, green is a found face, red a missed one, yellow a false alarm.

    Args:
        folder: for `training.jpg`, of the first batch; `step_N.jpg`, of every validation that is
            shown; and `precision_recall.png`, of the last one.
        pictures: on a sheet.
        score: detections from this score on are shown, the best 30 of a picture.
        side: longest side of a picture in pixels; larger ones are shrunk.
        every_n_validations: of so many validations one is shown; the curves are always.
    """

    def __init__(
        self,
        folder: str,
        pictures: int = 8,
        score: float = 0.3,
        side: int = 1024,
        every_n_validations: int = 1,
    ) -> None:
        if min(pictures, side, every_n_validations) < 1:
            raise UsageError(
                f"callbacks.image_log: pictures={pictures}, side={side}, "
                f"every_n_validations={every_n_validations}: at least 1 is expected"
            )
        self.folder = Path(folder)
        self.pictures = pictures
        self.score = score
        self.side = side
        self.every_n_validations = every_n_validations
        self.validations = 0  # done; a resumed run counts on
        self._places: set[int] = set()  # of the batches to show
        self._shown: list[Picture] = []
        self._curves: dict[str, tuple[np.ndarray, np.ndarray]] = {}

    def state_dict(self) -> dict[str, Any]:
        """The validations done."""
        return {"validations": self.validations}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Counts on from a checkpoint's number."""
        self.validations = state_dict["validations"]

    def on_train_batch_start(
        self, trainer: pl.Trainer, _: object, batch: Batch, batch_idx: int
    ) -> None:
        """Shows the crops of a run's first batch with their faces."""
        if trainer.global_step > 0 or batch_idx > 0 or not trainer.is_global_zero:
            return
        crops = [
            self._picture(f"crop {place}", image, target, NOTHING)
            for place, (image, target) in enumerate(zip(*batch, strict=True))
        ][: self.pictures]
        draw_sheet(self.folder / "training.jpg", crops)
        for logger in panel_loggers(trainer.loggers):
            logger.log_pictures("train/crops", crops, trainer.global_step)

    def on_validation_start(self, trainer: pl.Trainer, *_: object) -> None:
        """Chooses the batches to show: none in another process or in the check before training."""
        self._shown, self._curves, self._places = [], {}, set()
        is_due = self.validations % self.every_n_validations == 0
        if is_due and trainer.is_global_zero and not trainer.sanity_checking:
            self._places = set(evenly(range(int(sum(trainer.num_val_batches))), self.pictures))

    def on_validation_batch_end(  # type: ignore[override]
        self, trainer: pl.Trainer, _: object, outputs: dict, batch: Batch, batch_idx: int, *__: int
    ) -> None:
        """Keeps what the validation step found in a batch that is to be shown."""
        if batch_idx not in self._places:
            return
        records = trainer.datamodule.reading("val").records  # type: ignore[attr-defined]
        for image, target, found in zip(*batch, outputs["detections"], strict=True):
            name = records[target.index].name
            self._shown.append(self._picture(name, image, target, found))

    def _picture(self, name: str, image: Tensor, target: Target, found: Detections) -> Picture:
        """An image [3, H, W] without its padding, its faces, and the best detections."""
        height, width = target.size
        rgb = image[:, :height, :width].permute(1, 2, 0).cpu().numpy()
        boxes, scores = found.boxes.float().cpu(), found.scores.float().cpu()
        shown = (scores >= self.score).nonzero().flatten()[:_NUM_BOXES]  # they come best first
        faces = target.boxes[~target.ignore].cpu()
        best = Detections(boxes[shown], scores[shown])
        return shrunk(Picture(name, rgb, faces, best), self.side)

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Takes the curves before the module empties its metric; it computes nothing anew."""
        metric: Any = pl_module.metric
        if metric is None or trainer.sanity_checking:
            return
        values = metric.compute()  # in all processes: they exchange their parts
        if not trainer.is_global_zero:
            return
        self._curves = {
            name: (curve.precision.cpu().numpy(), curve.recall.cpu().numpy())
            for name, curve in metric.curves().items()
        }
        aps = {name.rpartition("/")[2]: float(value) for name, value in values.items()}
        title = f"validation at step {trainer.global_step:,}"
        plot_precision_recall(self.folder / "precision_recall.png", self._curves, aps, title)

    def on_validation_end(self, trainer: pl.Trainer, *_: object) -> None:
        """Writes the sheet, and passes pictures and curves to the loggers."""
        if trainer.sanity_checking:
            return
        self.validations += 1
        if self._shown:
            draw_sheet(self.folder / f"step_{trainer.global_step:07d}.jpg", self._shown)
        for logger in panel_loggers(trainer.loggers):
            if self._shown:
                logger.log_pictures("validation/pictures", self._shown, trainer.global_step)
            if self._curves:
                logger.log_curves("validation/curves", self._curves, trainer.global_step)


def panel_loggers(loggers: Sequence[Any]) -> list[Any]:
    """Those that take pictures, curves and tables too, as `GuardedWandbLogger` does."""
    return [logger for logger in loggers if hasattr(logger, "log_pictures")]


def shrunk(picture: Picture, side: int) -> Picture:
    """The picture and its boxes with a longest side of at most `side` pixels."""
    height, width = picture.rgb.shape[:2]
    if max(height, width) <= side:
        return picture
    rgb, _ = fitted(picture.rgb, side)
    factors = torch.tensor([rgb.shape[1] / width, rgb.shape[0] / height]).repeat(2)
    return picture._replace(
        rgb=rgb,
        faces=picture.faces * factors,
        found=picture.found._replace(boxes=picture.found.boxes * factors),
    )


def draw_sheet(
    path: Path, pictures: Sequence[Picture], difficulties: Sequence[float] | None = None
) -> None:
    """Writes pictures with their boxes side by side; a difficulty stands at the first face."""
    drawn = []
    for place, picture in enumerate(pictures):
        found = picture.found
        boxes = judge_boxes(found.boxes, found.scores.tolist(), picture.faces)
        if difficulties is not None and boxes:
            boxes[0] = boxes[0]._replace(text=f"{difficulties[place]:.2f}")
        drawn.append(draw_boxes(picture.rgb, boxes))
    save_picture(path, sheet(drawn, columns=4, cell=420))
