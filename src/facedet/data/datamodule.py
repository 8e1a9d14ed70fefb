"""The LightningDataModule: pictures of a data set as training and validation batches."""

import logging
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader
from tqdm import tqdm

from facedet.data.augmentation.pipeline import KeepImage
from facedet.data.dataset import FaceDataset, collate
from facedet.data.difficulty import DifficultyRule, DifficultyTable, fingerprint
from facedet.data.images import read_size
from facedet.data.loader import ResumableLoader, fitting_workers, init_worker
from facedet.data.samplers import DifficultySampler, PerRankSampler, ShuffleSampler, rank_seed
from facedet.errors import FacedetError, UsageError
from facedet.files import expand_home
from facedet.structures import Reading, Record

log = logging.getLogger(__name__)


class FaceDataModule(pl.LightningDataModule):
    """Reads a data set and serves its batches.

    A training entry is a picture or, after all of these, a mirrored copy.

    Args:
        reader: called with (root, split, images=…, zero_size=…, faceless=…), gives a `Reading`.
        root: folder of the data set.
        images: `all`, or `present` to use what is there if pictures are missing.
        augmentation: transform of the training images.
        batch_size: training images per process and batch.
        num_workers: processes that load training images; 0: none.
        seed: with epoch and entry it decides order and augmentation.
        prepare: called with (root) by one process per machine before anything is read.
        mining: leaves images that have become easy out of most epochs; None: none.
        mirrored_copies: serve every training picture a second time, mirrored.
        group_by_aspect: training batches of several images are all wide or all tall.
        faceless: `drop` or `keep` the training pictures without a face, which are background.
        upright: boxes are of the pictures turned as their EXIF orientation asks, as labelling
            tools show them; false: of the raster as stored, as in the official benchmarks.
        val_share: the part of the training pictures that is for validation, where the data set has
            no such part; see `facedet.data.readers.own.Format.read`.
        drop_last: leave out the images of an epoch that fill no step; false: they are a smaller
            one, unless it had a batch without an image or images are grouped by aspect.
    """

    def __init__(
        self,
        reader: Callable[..., Reading],
        root: str | Path,
        images: str,
        augmentation: Callable,
        batch_size: int,
        num_workers: int = 0,
        seed: int = 0,
        prepare: Callable[[Path], Path] | None = None,
        mining: DifficultyRule | None = None,
        mirrored_copies: bool = False,
        group_by_aspect: bool = False,
        faceless: str = "drop",
        upright: bool = True,
        val_share: float = 0.0,
        drop_last: bool = True,
    ) -> None:
        super().__init__()
        if batch_size < 1 or num_workers < 0:
            raise FacedetError(
                f"data.batch_size={batch_size}, data.num_workers={num_workers}: "
                "at least 1 and 0 are needed"
            )
        if faceless not in ("drop", "keep"):
            raise UsageError(f"data.faceless={faceless} is none of drop, keep")
        self.reader = reader
        self.root = expand_home(root)
        self.images = images
        self.augmentation = augmentation
        self.batch_size = batch_size
        self.num_workers = num_workers
        self.seed = seed
        self.prepare = prepare
        self.mining = mining
        self.mirrored_copies = mirrored_copies
        self.group_by_aspect = group_by_aspect
        self.faceless = faceless
        self.upright = upright
        self.val_share = val_share
        self.drop_last = drop_last
        self._readings: dict[str, Reading] = {}
        self._tables: list[DifficultyTable] = []

    def prepare_data(self) -> None:
        """Makes the data set where it makes itself."""
        if self.prepare is not None:
            self.prepare(self.root)

    def reading(self, split: str) -> Reading:
        """The records of `train`, without what cannot be learnt from, or of `val`, complete."""
        if split not in self._readings:
            is_learnt = split == "train"
            self._readings[split] = (
                self._read(split, "drop", self.faceless) if is_learnt else self.whole(split)
            )
        return self._readings[split]

    def whole(self, split: str) -> Reading:
        """The records of a split with all that is annotated, as a measurement wants them."""
        return self._read(split, "keep", "keep")

    def _read(self, split: str, zero_size: str, faceless: str) -> Reading:
        """Reads a split and logs what was counted.

        Raises:
            FacedetError: there is no such folder, or no training picture has a face.
        """
        if not self.root.exists():
            raise FacedetError(f"{self.root}: no such folder")
        share = {"val_share": self.val_share} if self.val_share else {}  # not every reader has it
        reading = self.reader(
            self.root, split, images=self.images, zero_size=zero_size, faceless=faceless, **share
        )
        counts = ", ".join(f"{n:,} {what}" for what, n in reading.counts.items())
        log.info("%s: %s", split, counts.replace("_", " "))
        if reading.counts.get("faces") == 0 and split != "test":
            found = ", ".join(f"{n:,} {what}" for what, n in reading.counts.items() if n)
            text = f"{self.root}: no picture of {split} has a face"
            if split == "train":
                advice = f"facedet data check {self.root} looks for the reason"
                raise FacedetError(f"{text} ({found.replace('_', ' ')}); {advice}")
            log.warning("%s, so that every AP on it is 0, whatever the detector finds", text)
        records = [record._replace(upright=self.upright) for record in reading.records]
        return reading._replace(records=records)

    @property
    def difficulties(self) -> list[DifficultyTable]:
        """The difficulties of the training entries: one table, or one per process; [] of none."""
        if self.mining is None:
            return []
        count = self._world() if self.mining.table == "per_rank" else 1
        if len(self._tables) != count:  # now that the processes are known
            settings = (len(self._entries), self.mining, self.fingerprint())
            self._tables = [DifficultyTable(*settings) for _ in range(count)]
        return self._tables

    def fingerprint(self) -> str:
        """SHA-256 of what the training entries are; see `difficulty.fingerprint`."""
        return fingerprint(self.reading("train").records, self.mirrored_copies)

    def record_of(self, entry: int) -> tuple[Record, bool]:
        """The record behind a training entry, and whether the entry is its mirrored copy."""
        return self._entries.record_of(entry)

    def name_of(self, entry: int) -> str:
        """A training entry's name for messages; see `FaceDataset.name_of`."""
        return self._entries.name_of(entry)

    def setup(self, stage: str) -> None:
        """Reads the annotations, so that a missing picture is known before training starts."""
        if stage == "fit":
            self._check_batches()
        self.reading("val")

    def train_dataloader(self) -> DataLoader:
        """Batches (images uint8 [B, 3, H, W], list of B targets) of augmented pictures."""
        rank, world, tables, entries = self._rank(), self._world(), self.difficulties, self._entries
        step = (self.batch_size, self._wide, self._accumulated(), self.drop_last)
        sampler: ShuffleSampler | PerRankSampler
        if len(tables) > 1:
            sampler = PerRankSampler(tables, self.seed, rank, *step)
            # Two processes that draw one picture see different crops of it.
            entries.seed = rank_seed(self.seed, rank, world)
        elif tables:
            sampler = DifficultySampler(tables[0], self.seed, rank, world, *step)
        else:
            sampler = ShuffleSampler(len(entries), self.seed, rank, world, *step)
        # Lightning asks for the length before it sets the epoch of a run that goes on.
        sampler.set_epoch(self.trainer.current_epoch if self.trainer else 0)
        workers = fitting_workers(entries, self.batch_size, self.num_workers, world)
        return ResumableLoader(
            entries,
            sampler,
            self.batch_size,
            drop_last=self.drop_last,
            world=world,
            accumulated=self._accumulated(),
            limit=self.trainer.limit_train_batches if self.trainer else 1.0,
            num_workers=workers,
            persistent_workers=workers > 0,
            collate_fn=collate,
            pin_memory=torch.cuda.is_available(),
            worker_init_fn=init_worker,
            generator=self._generator(),
        )

    def val_dataloader(self) -> DataLoader:
        """Pictures as they are, one by one: their sizes differ."""
        dataset = FaceDataset(self.reading("val").records, KeepImage(), self.seed)
        # Validation pictures are divided over the ranks; the metric joins the parts.
        share: Sequence[int] = range(self._rank(), len(dataset), self._world())
        # With fewer pictures than ranks one sees another's, which counts once all the same.
        share = share or [self._rank() % len(dataset)]
        return DataLoader(
            dataset,
            batch_size=1,
            sampler=share,
            num_workers=fitting_workers(dataset, 1, min(self.num_workers, 1), self._world()),
            collate_fn=collate,
            worker_init_fn=init_worker,
            generator=self._generator(),
        )

    def _generator(self) -> torch.Generator:
        """What a loader seeds its workers from; from the global generator it would take draws."""
        return torch.Generator().manual_seed(self.seed)

    @cached_property
    def _entries(self) -> FaceDataset:
        records = self.reading("train").records
        return FaceDataset(records, self.augmentation, self.seed, self.mirrored_copies)

    @cached_property
    def _wide(self) -> np.ndarray | None:
        """Which training entries are wide [entries]; None where that is of no matter."""
        if not self.group_by_aspect or self.batch_size == 1:
            return None
        records = self.reading("train").records
        bar = tqdm(records, "picture sizes", unit="picture", delay=2, disable=None)
        sizes = np.array([read_size(record.path, record.upright) for record in bar])
        wide = sizes[:, 1] >= sizes[:, 0]
        return np.tile(wide, 1 + self.mirrored_copies)

    def _check_batches(self) -> None:
        """Refuses a data set that fills no batch; tells of a kind of picture that fills none."""
        entries = len(self._entries)
        what = "training pictures" + " and mirrored copies" * self.mirrored_copies
        wide = entries if self._wide is None else int(self._wide.sum())
        step = self.batch_size * self._world() * self._accumulated()
        if not self.drop_last and self.mining is None and self._wide is None:
            step = self._world() * self._accumulated()
        few, many = sorted((wide, entries - wide))
        if many < step:
            kinds = "" if self._wide is None else f" ({wide} wide, {entries - wide} tall)"
            several = f" {self._accumulated()} times" if self._accumulated() > 1 else ""
            raise FacedetError(
                f"{self.root}: {entries} {what}{kinds} do not fill one batch of {self.batch_size}"
                f"{several} in each of {self._world()} processes; lower data.batch_size"
            )
        if 0 < few < step:
            kind = "wide" if wide == few else "tall"
            log.warning(
                "%s: the %s %s %s fill no batch and are never drawn; data.group_by_aspect=false "
                "or a lower data.batch_size draws them",
                self.root, few, kind, what,
            )  # fmt: skip

    def _rank(self) -> int:
        return self.trainer.global_rank if self.trainer else 0

    def _world(self) -> int:
        return self.trainer.world_size if self.trainer else 1

    def _accumulated(self) -> int:
        return self.trainer.accumulate_grad_batches if self.trainer else 1
