"""Hard image mining: keeps the sampler's difficulties up to date (arXiv 1811.11662).

The criterion says each image's weakest positive score, the module hands it on, this callback
collects it, and the sampler draws the next epoch by it. None of them knows the detector's family.
"""

from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor

from facedet.callbacks.all_ranks import of_all_ranks
from facedet.data.dataset import mirror
from facedet.data.difficulty import DifficultyTable, is_score
from facedet.data.images import read_rgb
from facedet.data.samplers import DifficultySampler
from facedet.errors import FacedetError, UsageError
from facedet.files import replacing_table
from facedet.plots import MISSED, Box, draw_boxes, save_picture, sheet

# Under this key a checkpoint carries the table, the visits since the epoch's start, and history.
KEY = "facedet_mining"
_BINS = 20
_SHOWN = 12  # pictures on the sheet
_LOGGED = ("easy_share", "became_hard", "left_out", "filled_up", "drawn")


class HardImageMining(pl.Callback):
    """Writes difficulties to the data module's table, and `mining.csv` and `hardest.png`.

    The table changes between epochs only, so that a run that goes on in the middle of one draws
    the same images; with several processes all visits are gathered first, and all tables stay
    the same.
    """

    def __init__(self) -> None:
        self.history: list[dict[str, float]] = []
        self._visits: list[tuple[Tensor, Tensor]] = []  # entries and scores [B] of each batch

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Refuses a training whose sampler has no table."""
        if stage == "fit" and self._table(trainer) is None:
            raise UsageError("callbacks=hard_image_mining needs a table: take mining=him instead")

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Sets the epoch that a run goes on in, whose length the trainer has asked too early."""
        loop = trainer.fit_loop
        _sampler(trainer).set_epoch(loop.epoch_progress.current.processed)  # type: ignore[attr-defined]
        _tell_length(trainer)
        progress = loop.epoch_loop.batch_progress
        if loop.restarting and progress.is_last_batch:
            # Otherwise the epoch that has ended counts as half done.
            loop.max_batches = progress.current.ready

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Tells the trainer how long this epoch is: it asks for the first one's length only."""
        _tell_length(trainer)

    def on_train_batch_start(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        batch: Any,  # noqa: ANN401
        batch_idx: int,
    ) -> None:
        """Tells it again: the start of an epoch is not told of where a run goes on."""
        trainer.fit_loop.max_batches = len(trainer.train_dataloader)  # type: ignore[arg-type]

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,  # noqa: ANN401
        batch: Any,  # noqa: ANN401
        batch_idx: int,
    ) -> None:
        """Remembers the batch's scores; on the device, for reading them would wait for it."""
        entries = torch.tensor([target.index for target in batch[1]])
        self._visits.append((entries, outputs["hardest_positive"].detach().float()))
        # Here and not at the epoch's end: a run that goes on from the checkpoint after the last
        # batch begins with the next epoch.
        if trainer.train_dataloader.is_exhausted:  # type: ignore[union-attr]
            self._end_epoch(trainer)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Ends an epoch that `limit_train_batches` cut short."""
        if self._visits:
            self._end_epoch(trainer)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Draws the hardest pictures."""
        if not trainer.is_global_zero:
            return
        data, table = trainer.datamodule, self._table(trainer)  # type: ignore[attr-defined]
        drawn = [(*data.record_of(entry), score) for entry, score in table.hardest(_SHOWN)]
        if drawn:
            save_sheet(Path(trainer.default_root_dir) / "hardest.png", drawn)

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Adds the table as of the epoch's start, and the visits since."""
        entries, scores = self._gathered(trainer)
        table = self._table(trainer)
        data = trainer.datamodule  # type: ignore[attr-defined]
        checkpoint[KEY] = {
            "table": table.state_dict(),
            "entries": entries,
            "scores": scores,
            "history": self.history,
            "names": [data.name_of(entry) for entry in range(len(table))],
        }

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Takes table and visits over; every process its own part of them."""
        state = checkpoint[KEY]
        self._table(trainer).load_state_dict(state["table"])
        self.history = state["history"]
        mine = slice(trainer.global_rank, None, trainer.world_size)
        mine_now = (state["entries"][mine], state["scores"][mine])
        self._visits = [mine_now] if len(state["entries"]) else []

    def _end_epoch(self, trainer: pl.Trainer) -> None:
        """Brings the table up to date and writes down what became of it."""
        entries, scores = self._gathered(trainer)
        self._visits = []
        table = self._table(trainer)
        row = _record(table, entries, scores, trainer)
        self.history.append(row)
        shown = {f"mining/{name}": row[name] for name in _LOGGED}
        for logger in trainer.loggers:
            logger.log_metrics(shown, step=trainer.fit_loop.epoch_loop._batches_that_stepped)
        if trainer.is_global_zero:
            _write_csv(Path(trainer.default_root_dir) / "mining.csv", self.history)
            _log_histogram(trainer, table)

    @staticmethod
    def _table(trainer: pl.Trainer) -> DifficultyTable:
        return trainer.datamodule.difficulty  # type: ignore[attr-defined]

    def _gathered(self, trainer: pl.Trainer) -> tuple[Tensor, Tensor]:
        """Entries and scores of this epoch's visits, of all processes."""
        entries = torch.cat([torch.zeros(0, dtype=torch.long), *(e for e, _ in self._visits)])
        scores = torch.cat([torch.zeros(0), *(s.cpu() for _, s in self._visits)])
        parts = of_all_ranks(trainer, (entries, scores))
        entries, scores = (torch.cat(part) for part in zip(*parts, strict=True))
        return entries, scores


def _sampler(trainer: pl.Trainer) -> DifficultySampler:
    return trainer.train_dataloader.batch_sampler.sampler  # type: ignore[union-attr]


def _tell_length(trainer: pl.Trainer) -> None:
    """Lightning keeps an epoch's length in three places."""
    loop, length = trainer.fit_loop, len(trainer.train_dataloader)  # type: ignore[arg-type]
    assert loop._combined_loader is not None
    assert loop._data_fetcher is not None
    loop._combined_loader.limits = [length]
    loop._data_fetcher.length = length
    loop.max_batches = length


def _record(
    table: DifficultyTable, entries: Tensor, scores: Tensor, trainer: pl.Trainer
) -> dict[str, float]:
    """Ends an epoch of the table; the row of numbers that tells of it."""
    wrong = entries[~is_score(scores)]
    if len(wrong):
        name = trainer.datamodule.name_of(int(wrong[0]))  # type: ignore[attr-defined]
        raise FacedetError(
            f"{name}: its difficulty is {float(scores[(entries == wrong[0]).nonzero()[0]])}, no "
            f"score in 0 … 1, as that of {len(wrong)} images of the epoch: go on from the last "
            "checkpoint with a lower optimizer.lr"
        )
    counts = table.record(entries, scores)
    bins = {f"bin_{k / _BINS:.2f}": n for k, n in enumerate(table.histogram(_BINS).tolist())}
    sampler = _sampler(trainer)
    row = {"epoch": trainer.current_epoch, "step": trainer.global_step, "drawn": len(entries)}
    row |= {"left_out": sampler.left_out, "filled_up": sampler.filled_up}
    return {**row, **counts, "easy_share": counts["easy"] / max(1, len(table)), **bins}


def _write_csv(path: Path, rows: list[dict[str, float]]) -> None:
    with replacing_table(path) as table:
        table.writerow(rows[0])
        table.writerows(row.values() for row in rows)


def _log_histogram(trainer: pl.Trainer, table: DifficultyTable) -> None:
    """Hands the histogram to the loggers that take one."""
    counts, edges = table.histogram(_BINS).numpy(), torch.linspace(0, 1, _BINS + 1).numpy()
    step = trainer.fit_loop.epoch_loop._batches_that_stepped
    for logger in trainer.loggers:
        if hasattr(logger, "log_histogram"):
            logger.log_histogram("mining/difficulty", counts, edges, step)


def save_sheet(path: Path, drawn: list[tuple[Any, bool, float]]) -> None:
    """Writes a sheet of pictures with their faces, and each one's score at its first face.

    Args:
        path: of the picture to write.
        drawn: records, whether mirrored, and difficulty scores.
    """
    pictures = []
    for record, is_mirrored, score in drawn:
        picture, boxes = read_rgb(record.path, record.upright), record.boxes
        if is_mirrored:
            picture, boxes = mirror(picture, boxes)
        texts = [f"{score:.2f}", *[""] * len(boxes)]
        shown = [Box(box, MISSED, text) for box, text in zip(boxes, texts, strict=False)]
        pictures.append(draw_boxes(picture, shown))
    save_picture(path, sheet(pictures, columns=4, cell=420))
