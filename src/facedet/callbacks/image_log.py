"""Shows, with every validation, what the detector finds in a few pictures that stay the same."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

import cv2
import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor

from facedet.data.dataset import mirror
from facedet.data.images import read_rgb
from facedet.errors import UsageError
from facedet.plots import Box, draw_boxes, judge_boxes, plot_precision_recall, save_picture, sheet
from facedet.structures import Detections, Target

_HARDEST = 24  # pictures in the table


class Picture(NamedTuple):
    """A picture with what is in it and what was found in it."""

    name: str
    rgb: np.ndarray  # uint8 [H, W, 3]
    faces: Tensor  # [G, 4] xyxy pixels of `rgb`
    found: Detections  # in pixels of `rgb`


@runtime_checkable
class PanelLogger(Protocol):
    """What a logger that takes more than numbers has; any other is left alone."""

    def log_pictures(self, name: str, pictures: Sequence[Picture], step: int) -> None:
        """Takes pictures, found and true faces."""

    def log_curves(
        self, name: str, curves: Mapping[str, tuple[np.ndarray, np.ndarray]], step: int
    ) -> None:
        """Takes precision [T] and recall [T] by subset."""

    def log_hardest(self, name: str, pictures: Sequence[tuple[Picture, float]], step: int) -> None:
        """Takes training pictures and their difficulty scores, hardest first."""


class ImageLog(pl.Callback):
    """Writes sheets of validation pictures and the curves, and hands both to the loggers.

    The pictures are evenly drawn from the validation set (of several processes: from the first
    one's share). On a sheet, green is a found face, red a missed one, yellow a false alarm. With
    hard image mining the loggers also get the hardest training pictures, at the end.

    Args:
        folder: for `step_N.jpg`, of every validation that is shown, and `precision_recall.png`,
            of the last one.
        pictures: on a sheet.
        score: detections from this score on are shown.
        side: longest side of a picture in pixels; larger ones are shrunk.
        every_n_validations: of so many validations one is shown; the curves are always.

    Raises:
        UsageError: a number is too small.
    """

    def __init__(
        self,
        folder: str,
        pictures: int = 8,
        score: float = 0.3,
        side: int = 1024,
        every_n_validations: int = 1,
    ) -> None:
        for name, value in (
            ("pictures", pictures), ("side", side), ("every_n_validations", every_n_validations)
        ):  # fmt: skip
            if value < 1:
                raise UsageError(f"callbacks.image_log.{name}={value}: at least 1 is needed")
        self.folder = Path(folder)
        self.pictures = pictures
        self.score = score
        self.side = side
        self.every_n_validations = every_n_validations
        self.validations = 0  # done; a run that goes on counts on
        self._places: set[int] = set()  # of the batches to show
        self._shown: list[Picture] = []
        self._curves: dict[str, tuple[np.ndarray, np.ndarray]] = {}

    def state_dict(self) -> dict[str, Any]:
        """The validations done."""
        return {"validations": self.validations}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Counts on from a checkpoint's number."""
        self.validations = state_dict["validations"]

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Chooses the batches to show: none in another process or in the check before training."""
        self._shown, self._curves, self._places = [], {}, set()
        is_due = self.validations % self.every_n_validations == 0
        if is_due and trainer.is_global_zero and not trainer.sanity_checking:
            last = int(sum(trainer.num_val_batches)) - 1
            places = np.linspace(0, last, min(self.pictures, last + 1))
            self._places = set(places.round().astype(int).tolist())

    def on_validation_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,  # noqa: ANN401
        batch: tuple[Tensor, list[Target]],
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Detects once more where a batch is to be shown: the metric keeps no boxes."""
        if batch_idx not in self._places:
            return
        with trainer.precision_plugin.forward_context():
            detections = pl_module.predict_step(batch, batch_idx)
        images, targets = batch
        records = trainer.datamodule.reading("val").records  # type: ignore[attr-defined]
        for image, target, found in zip(images, targets, detections, strict=True):
            height, width = target.size
            rgb = image[:, :height, :width].permute(1, 2, 0).cpu().numpy()
            boxes, scores = found.boxes.float().cpu(), found.scores.float().cpu()
            kept = scores >= self.score
            shown = Detections(boxes[kept], scores[kept])
            faces = target.boxes[~target.ignore].cpu()
            self._shown.append(
                shrunk(Picture(records[target.index].name, rgb, faces, shown), self.side)
            )

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Takes the curves before the module empties its metric; it computes nothing anew."""
        metric: Any = pl_module.metric
        if metric is None or trainer.sanity_checking:
            return
        values = metric.compute()  # in all processes: they exchange their parts
        self._curves = {
            name: (curve.precision.cpu().numpy(), curve.recall.cpu().numpy())
            for name, curve in metric.curves().items()
        }
        if trainer.is_global_zero:
            plot_precision_recall(
                self.folder / "precision_recall.png",
                self._curves,
                {name.rpartition("/")[2]: float(value) for name, value in values.items()},
                f"validation at step {trainer.global_step:,}",
            )

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Writes the sheet, and hands on what there is."""
        if trainer.sanity_checking:
            return
        self.validations += 1
        if self._shown:
            drawn = [draw_boxes(one.rgb, judge(one)) for one in self._shown]
            path = self.folder / f"step_{trainer.global_step:07d}.jpg"
            save_picture(path, sheet(drawn, columns=4, cell=420))
        for logger in _panel_loggers(trainer):
            if self._shown:
                logger.log_pictures("validation/pictures", self._shown, trainer.global_step)
            if self._curves:
                logger.log_curves("validation/curves", self._curves, trainer.global_step)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Hands on the hardest training pictures, where their difficulties are kept."""
        data = trainer.datamodule  # type: ignore[attr-defined]
        loggers = _panel_loggers(trainer)
        if data.difficulty is None or not loggers:
            return
        hardest = []
        for entry, score in data.difficulty.hardest(_HARDEST):
            record, is_mirrored = data.record_of(entry)
            rgb, boxes = read_rgb(record.path, record.upright), record.boxes
            if is_mirrored:
                rgb, boxes = mirror(rgb, boxes)
            nothing = Detections(torch.zeros(0, 4), torch.zeros(0))
            whole = Picture(data.name_of(entry), rgb, torch.from_numpy(boxes.copy()), nothing)
            hardest.append((shrunk(whole, self.side), score))
        for logger in loggers:
            logger.log_hardest("mining/hardest", hardest, trainer.global_step)


def shrunk(picture: Picture, side: int) -> Picture:
    """The picture and its boxes with a longest side of at most `side` pixels."""
    height, width = picture.rgb.shape[:2]
    if max(height, width) <= side:
        return picture
    scale = side / max(height, width)
    # The shorter side of a panorama would round to nothing.
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    factors = torch.tensor([size[0] / width, size[1] / height]).repeat(2)
    return picture._replace(
        rgb=cv2.resize(picture.rgb, size, interpolation=cv2.INTER_AREA),
        faces=picture.faces * factors,
        found=picture.found._replace(boxes=picture.found.boxes * factors),
    )


def judge(picture: Picture) -> list[Box]:
    """Boxes to draw: missed faces, found ones and false alarms; see `plots.judge_boxes`."""
    found = picture.found
    return judge_boxes(found.boxes, found.scores.tolist(), picture.faces)


def _panel_loggers(trainer: pl.Trainer) -> list[PanelLogger]:
    """The loggers that take panels; none but in the first process."""
    if not trainer.is_global_zero:
        return []
    return [logger for logger in trainer.loggers if isinstance(logger, PanelLogger)]
