"""Hard image mining: keeps the sampler's difficulties up to date (arXiv 1811.11662).

The criterion reports each image's weakest positive score, the module returns it, this callback
collects it, and the sampler draws the next epoch by it. None of them knows the detector's family.
"""

from pathlib import Path

import pytorch_lightning as pl
import torch
from torch import Tensor

from facedet.callbacks.all_gather import all_gather
from facedet.callbacks.image_log import NOTHING, Picture, draw_sheet, panel_loggers
from facedet.callbacks.mining_files import (
    BINS,
    append_scores,
    bin_name,
    difficulties,
    draw_course,
    picture_of,
    write_csv,
)
from facedet.data.difficulty import DifficultyTable, is_score, merged
from facedet.data.images import read_rgb
from facedet.data.samplers import DifficultySampler, PerRankSampler
from facedet.errors import FacedetError, UsageError
from facedet.modules.base import Batch

# Under this key a checkpoint carries the tables, the visits since the epoch's start, and history.
KEY = "facedet_mining"
_NUM_SHEET = 12  # pictures on the sheet
_NUM_TABLE = 24  # pictures in a logger's table
_LOGGED = ("easy_share", "no_positive", "became_hard", "left_out", "filled_up", "drawn")


class HardImageMining(pl.Callback):
    """Writes difficulties to the data module's tables, and files about them to the run's folder.

    `mining.csv` has counts and a histogram per epoch; `mining.npy` the score of every image in
    every epoch (float16 [epochs, N], NaN where it was not drawn); `hardest.csv` the latest score of
    every training picture that has one (hardest first). At the end `mining.png` draws the course of
    the histogram, `hardest.png` the hardest pictures.

    The tables change between epochs only, so that a run resumed in the middle of one draws the
    same images; with several processes all visits are gathered first, and the tables are the same
    in all of them: one of all visits, or one for each process's.
    """

    def __init__(self) -> None:
        self.history: list[dict[str, float]] = []
        self._visits: list[tuple[Tensor, Tensor]] = []  # entries and scores [B] of each batch

    def setup(self, trainer: pl.Trainer, _: object, stage: str) -> None:
        """Refuses a training whose sampler has no table."""
        if stage == "fit" and not self._tables(trainer):
            raise UsageError("callbacks=hard_image_mining needs a table: take mining=him instead")

    def on_train_start(self, trainer: pl.Trainer, *_: object) -> None:
        """Sets the epoch of a resumed run; the trainer asked for its length too early."""
        loop = trainer.fit_loop
        _sampler(trainer).set_epoch(loop.epoch_progress.current.processed)  # type: ignore[attr-defined]
        _update_length(trainer)
        progress = loop.epoch_loop.batch_progress
        if loop.restarting and progress.is_last_batch:
            # Otherwise the epoch that has ended counts as half done.
            loop.max_batches = progress.current.ready

    def on_train_epoch_start(self, trainer: pl.Trainer, *_: object) -> None:
        """Gives the trainer this epoch's length: it asks for the first one's only."""
        _update_length(trainer)

    def on_train_batch_start(self, trainer: pl.Trainer, *_: object) -> None:
        """Gives it again: a run resumed in the middle of an epoch has no epoch start."""
        trainer.fit_loop.max_batches = trainer.train_dataloader.epoch_length  # type: ignore[union-attr]

    def on_train_batch_end(  # type: ignore[override]
        self, trainer: pl.Trainer, _: object, outputs: dict[str, Tensor], batch: Batch, *__: int
    ) -> None:
        """Keeps the batch's scores; on the device, for reading them would wait for it."""
        entries = torch.tensor([target.index for target in batch[1]])
        self._visits.append((entries, outputs["hardest_positive"].detach().float()))
        # Here and not at the epoch's end: a run resumed from the checkpoint after the last batch
        # begins with the next epoch.
        if trainer.train_dataloader.is_exhausted:  # type: ignore[union-attr]
            self._end_epoch(trainer)

    def on_train_epoch_end(self, trainer: pl.Trainer, *_: object) -> None:
        """Ends an epoch that was cut short."""
        if self._visits:
            self._end_epoch(trainer)

    def on_train_end(self, trainer: pl.Trainer, *_: object) -> None:
        """Draws the course and the hardest pictures; loggers that take pictures get both."""
        if not trainer.is_global_zero:
            return
        loggers, tables = panel_loggers(trainer.loggers), self._tables(trainer)
        folder, step = Path(trainer.default_root_dir), trainer.global_step
        if self.history:
            course = folder / "mining.png"
            draw_course(course, self.history, len(tables) * len(tables[0]))
            drawn = Picture("mining", read_rgb(course), torch.zeros(0, 4), NOTHING)
            for logger in loggers:
                logger.log_pictures("mining/course", [drawn], step)
        hardest = merged(tables).hardest(_NUM_TABLE if loggers else _NUM_SHEET)
        if not hardest:
            return
        data = trainer.datamodule  # type: ignore[attr-defined]
        pictures = [(picture_of(data, entry), score) for entry, score in hardest]
        draw_sheet(folder / "hardest.png", *zip(*pictures[:_NUM_SHEET], strict=True))
        rows = [(one.name, score, len(one.faces), one) for one, score in pictures]
        for logger in loggers:
            logger.log_rows("mining/hardest", ("name", "score", "faces", "picture"), rows, step)

    def on_save_checkpoint(self, trainer: pl.Trainer, pl_module: object, checkpoint: dict) -> None:
        """Adds the tables as of the epoch's start, and the visits since, by table."""
        checkpoint[KEY] = {
            "tables": [table.state_dict() for table in self._tables(trainer)],
            "visits": self._gathered(trainer),
            "history": list(self.history),
        }

    def on_load_checkpoint(self, trainer: pl.Trainer, pl_module: object, checkpoint: dict) -> None:
        """Restores tables and visits; every process its own part of the visits.

        Raises:
            FacedetError: the checkpoint has another number of tables.
        """
        state = checkpoint[KEY]
        # Earlier checkpoints have the one shared table.
        states = state.get("tables") or [state["table"]]
        visits = state.get("visits") or [(state["entries"], state["scores"])]
        tables = self._tables(trainer)
        if len(states) != len(tables):
            raise FacedetError(
                f"the checkpoint has {len(states)} tables of difficulties, expected {len(tables)}: "
                "resume with the mining.table and the number of processes that it was made with"
            )
        for table, one in zip(tables, states, strict=True):
            table.load_state_dict(one)
        self.history = list(state["history"])
        rank, world = trainer.global_rank, trainer.world_size
        entries, scores = visits[rank] if len(visits) > 1 else (v[rank::world] for v in visits[0])
        self._visits = [(entries, scores)] if len(entries) else []

    def _end_epoch(self, trainer: pl.Trainer) -> None:
        """Updates the tables and writes the files."""
        visits, self._visits = self._gathered(trainer), []
        tables = self._tables(trainer)
        row, drawn = _record(tables, visits, trainer)
        self.history.append(row)
        step = trainer.fit_loop.epoch_loop._batches_that_stepped
        # One that is cut short goes on in a run that resumes, and W&B takes no row back.
        is_whole = trainer.train_dataloader.is_exhausted  # type: ignore[union-attr]
        for logger in trainer.loggers if is_whole else ():
            logger.log_metrics({f"mining/{name}": row[name] for name in _LOGGED}, step=step)
        if trainer.is_global_zero:
            folder, data = Path(trainer.default_root_dir), trainer.datamodule  # type: ignore[attr-defined]
            write_csv(folder / "mining.csv", self.history)
            if rows := difficulties(data, merged(tables)):
                write_csv(folder / "hardest.csv", rows)
            append_scores(folder / "mining.npy", len(self.history) - 1, drawn.numpy())

    @staticmethod
    def _tables(trainer: pl.Trainer) -> list[DifficultyTable]:
        return trainer.datamodule.difficulties  # type: ignore[attr-defined]

    def _gathered(self, trainer: pl.Trainer) -> list[tuple[Tensor, Tensor]]:
        """Entries and scores of this epoch's visits in all processes, for each table."""
        entries = torch.cat([torch.zeros(0, dtype=torch.long), *(e for e, _ in self._visits)])
        scores = torch.cat([torch.zeros(0), *(s.cpu() for _, s in self._visits)])
        parts = all_gather(trainer, (entries, scores))
        if len(self._tables(trainer)) > 1:
            return parts
        together = [torch.cat(part) for part in zip(*parts, strict=True)]
        return [(together[0], together[1])]


def _sampler(trainer: pl.Trainer) -> DifficultySampler | PerRankSampler:
    return trainer.train_dataloader.batch_sampler.sampler  # type: ignore[union-attr]


def _update_length(trainer: pl.Trainer) -> None:
    """Sets an epoch's length in the three places where Lightning keeps it."""
    loop, length = trainer.fit_loop, trainer.train_dataloader.epoch_length  # type: ignore[union-attr]
    assert loop._combined_loader is not None
    assert loop._data_fetcher is not None
    loop._combined_loader.limits = [length]
    loop._data_fetcher.length = length
    loop.max_batches = length


def _record(
    tables: list[DifficultyTable], visits: list[tuple[Tensor, Tensor]], trainer: pl.Trainer
) -> tuple[dict[str, float], Tensor]:
    """Ends an epoch of the tables; its row of `mining.csv`, and the scores [N] of its visits."""
    sampler, number = _sampler(trainer), len(tables[0])
    row: dict[str, float] = {"epoch": trainer.current_epoch, "step": trainer.global_step}
    row["drawn"] = sum(len(entries) for entries, _ in visits)
    row |= {"left_out": sampler.left_out, "filled_up": sampler.filled_up}
    for entries, scores in visits:
        _check(entries, scores, trainer)
    drawn = torch.full((number,), torch.nan)
    for table, (entries, scores) in zip(tables, visits, strict=True):
        for name, count in table.record(entries, scores).items():
            row[name] = row.get(name, 0) + count
        drawn[entries] = torch.fmin(drawn[entries], table.scores[entries])
    row["easy_share"] = row["easy"] / max(1, number * len(tables))
    counts = torch.stack([table.histogram(BINS) for table in tables]).sum(dim=0)
    return row | {bin_name(k): n for k, n in enumerate(counts.tolist())}, drawn


def _check(entries: Tensor, scores: Tensor, trainer: pl.Trainer) -> None:
    """Refuses scores of a training that has diverged."""
    wrong = entries[~is_score(scores)]
    if len(wrong):
        name = trainer.datamodule.name_of(int(wrong[0]))  # type: ignore[attr-defined]
        raise FacedetError(
            f"{name}: its difficulty is {float(scores[(entries == wrong[0]).nonzero()[0]])}, "
            f"expected 0 to 1; so for {len(wrong)} images of the epoch: resume from the "
            "last checkpoint with a lower optimizer.lr"
        )
