"""Hard image mining: keeps the sampler's difficulties up to date (arXiv 1811.11662).

The criterion reports each image's weakest positive score, the module returns it, this callback
collects it, and the sampler draws the next epoch by it. None of them knows the detector's family.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor

from facedet.callbacks.all_gather import all_gather
from facedet.callbacks.image_log import NOTHING, Picture, draw_sheet, panel_loggers, shrunk
from facedet.data.dataset import mirror
from facedet.data.difficulty import DifficultyTable, is_score
from facedet.data.images import read_rgb
from facedet.data.samplers import DifficultySampler
from facedet.errors import FacedetError, UsageError
from facedet.files import replacing_table

# Under this key a checkpoint carries the table, the visits since the epoch's start, and history.
KEY = "facedet_mining"
_BINS = 20
_NUM_SHEET = 12  # pictures on the sheet
_NUM_TABLE = 24  # pictures in a logger's table
_SIDE = 1024  # longest side of these pictures in pixels
_LOGGED = ("easy_share", "no_positive", "became_hard", "left_out", "filled_up", "drawn")


class HardImageMining(pl.Callback):
    """Writes difficulties to the data module's table, and files about them to the run's folder.

    `mining.csv` has counts and a histogram per epoch, `hardest.csv` the latest score of every
    visited training picture (hardest first), `hardest.png` the hardest ones at the end.

    The table changes between epochs only, so that a run resumed in the middle of one draws the
    same images; with several processes all visits are gathered first, and all tables stay the
    same.
    """

    def __init__(self) -> None:
        self.history: list[dict[str, float]] = []
        self._visits: list[tuple[Tensor, Tensor]] = []  # entries and scores [B] of each batch

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Refuses a training whose sampler has no table."""
        if stage == "fit" and self._table(trainer) is None:
            raise UsageError("callbacks=hard_image_mining needs a table: take mining=him instead")

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Sets the epoch of a resumed run; the trainer asked for its length too early."""
        loop = trainer.fit_loop
        _sampler(trainer).set_epoch(loop.epoch_progress.current.processed)  # type: ignore[attr-defined]
        _update_length(trainer)
        progress = loop.epoch_loop.batch_progress
        if loop.restarting and progress.is_last_batch:
            # Otherwise the epoch that has ended counts as half done.
            loop.max_batches = progress.current.ready

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Gives the trainer this epoch's length: it asks for the first one's only."""
        _update_length(trainer)

    def on_train_batch_start(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        batch: Any,  # noqa: ANN401
        batch_idx: int,
    ) -> None:
        """Gives it again: a run resumed in the middle of an epoch has no epoch start."""
        trainer.fit_loop.max_batches = len(trainer.train_dataloader)  # type: ignore[arg-type]

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,  # noqa: ANN401
        batch: Any,  # noqa: ANN401
        batch_idx: int,
    ) -> None:
        """Keeps the batch's scores; on the device, for reading them would wait for it."""
        entries = torch.tensor([target.index for target in batch[1]])
        self._visits.append((entries, outputs["hardest_positive"].detach().float()))
        # Here and not at the epoch's end: a run resumed from the checkpoint after the last batch
        # begins with the next epoch.
        if trainer.train_dataloader.is_exhausted:  # type: ignore[union-attr]
            self._end_epoch(trainer)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Ends an epoch that `limit_train_batches` cut short."""
        if self._visits:
            self._end_epoch(trainer)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Draws the hardest pictures, and passes them to the loggers that take pictures."""
        loggers = panel_loggers(trainer)
        count = _NUM_TABLE if loggers else _NUM_SHEET
        hardest = self._table(trainer).hardest(count)
        if not trainer.is_global_zero or not hardest:
            return
        data = trainer.datamodule  # type: ignore[attr-defined]
        pictures = [(_picture(data, entry), score) for entry, score in hardest]
        path = Path(trainer.default_root_dir) / "hardest.png"
        draw_sheet(path, *zip(*pictures[:_NUM_SHEET], strict=True))
        for logger in loggers:
            logger.log_hardest("mining/hardest", pictures, trainer.global_step)

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Adds the table as of the epoch's start, and the visits since."""
        entries, scores = self._gathered(trainer)
        table = self._table(trainer).state_dict()
        visits = {"entries": entries, "scores": scores}
        checkpoint[KEY] = {"table": table, **visits, "history": self.history}

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Restores table and visits; every process its own part of the visits."""
        state = checkpoint[KEY]
        self._table(trainer).load_state_dict(state["table"])
        self.history = state["history"]
        own = slice(trainer.global_rank, None, trainer.world_size)
        visits = (state["entries"][own], state["scores"][own])
        self._visits = [visits] if len(state["entries"]) else []

    def _end_epoch(self, trainer: pl.Trainer) -> None:
        """Updates the table and writes the files."""
        entries, scores = self._gathered(trainer)
        self._visits = []
        table = self._table(trainer)
        row = _record(table, entries, scores, trainer)
        self.history.append(row)
        step = trainer.fit_loop.epoch_loop._batches_that_stepped
        for logger in trainer.loggers:
            logger.log_metrics({f"mining/{name}": row[name] for name in _LOGGED}, step=step)
        if trainer.is_global_zero:
            folder = Path(trainer.default_root_dir)
            _write_csv(folder / "mining.csv", self.history)
            _write_csv(folder / "hardest.csv", _difficulties(trainer, table))
            counts, edges = table.histogram(_BINS).numpy(), torch.linspace(0, 1, _BINS + 1).numpy()
            for panels in panel_loggers(trainer):
                panels.log_histogram("mining/difficulty", counts, edges, step)

    @staticmethod
    def _table(trainer: pl.Trainer) -> DifficultyTable:
        return trainer.datamodule.difficulty  # type: ignore[attr-defined]

    def _gathered(self, trainer: pl.Trainer) -> tuple[Tensor, Tensor]:
        """Entries and scores of this epoch's visits, of all processes."""
        entries = torch.cat([torch.zeros(0, dtype=torch.long), *(e for e, _ in self._visits)])
        scores = torch.cat([torch.zeros(0), *(s.cpu() for _, s in self._visits)])
        parts = all_gather(trainer, (entries, scores))
        entries, scores = (torch.cat(part) for part in zip(*parts, strict=True))
        return entries, scores


def _sampler(trainer: pl.Trainer) -> DifficultySampler:
    return trainer.train_dataloader.batch_sampler.sampler  # type: ignore[union-attr]


def _update_length(trainer: pl.Trainer) -> None:
    """Sets an epoch's length in the three places where Lightning keeps it."""
    loop, length = trainer.fit_loop, len(trainer.train_dataloader)  # type: ignore[arg-type]
    assert loop._combined_loader is not None
    assert loop._data_fetcher is not None
    loop._combined_loader.limits = [length]
    loop._data_fetcher.length = length
    loop.max_batches = length


def _record(
    table: DifficultyTable, entries: Tensor, scores: Tensor, trainer: pl.Trainer
) -> dict[str, float]:
    """Ends an epoch of the table; its row of `mining.csv`."""
    wrong = entries[~is_score(scores)]
    if len(wrong):
        name = trainer.datamodule.name_of(int(wrong[0]))  # type: ignore[attr-defined]
        raise FacedetError(
            f"{name}: its difficulty is {float(scores[(entries == wrong[0]).nonzero()[0]])}, "
            f"expected 0 to 1; so for {len(wrong)} images of the epoch: resume from the "
            "last checkpoint with a lower optimizer.lr"
        )
    counts = table.record(entries, scores)
    bins = {f"bin_{k / _BINS:.2f}": n for k, n in enumerate(table.histogram(_BINS).tolist())}
    sampler = _sampler(trainer)
    row = {"epoch": trainer.current_epoch, "step": trainer.global_step, "drawn": len(entries)}
    row |= {"left_out": sampler.left_out, "filled_up": sampler.filled_up}
    return {**row, **counts, "easy_share": counts["easy"] / max(1, len(table)), **bins}


def _difficulties(trainer: pl.Trainer, table: DifficultyTable) -> list[dict[str, Any]]:
    """Score and path of every visited entry, hardest first."""
    rows = []
    for entry, score in table.hardest(len(table)):
        record, is_mirrored = trainer.datamodule.record_of(entry)  # type: ignore[attr-defined]
        rows.append({"score": f"{score:.6f}", "mirrored": int(is_mirrored), "path": record.path})
    return rows


def _write_csv(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    with replacing_table(path, errors="surrogateescape") as table:
        # Rows that an older version began lack the newer columns.
        table.writerow(rows[-1])
        table.writerows([row.get(name, "") for name in rows[-1]] for row in rows)


def _picture(data: Any, entry: int) -> Picture:  # noqa: ANN401
    """A training entry with its faces, none of them found."""
    record, is_mirrored = data.record_of(entry)
    rgb, boxes = read_rgb(record.path, record.upright), record.boxes
    if is_mirrored:
        rgb, boxes = mirror(rgb, boxes)
    return shrunk(Picture(data.name_of(entry), rgb, torch.tensor(boxes), NOTHING), _SIDE)
