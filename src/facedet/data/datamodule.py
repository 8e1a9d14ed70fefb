"""The LightningDataModule: pictures of a data set as training and validation batches."""

import logging
from collections.abc import Callable
from pathlib import Path

import cv2
import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader

from facedet.data.dataset import FaceDataset, collate
from facedet.data.loader import ResumableLoader
from facedet.data.samplers import ShuffleSampler
from facedet.data.transforms import KeepImage
from facedet.errors import FacedetError
from facedet.structures import Reading

log = logging.getLogger(__name__)


class FaceDataModule(pl.LightningDataModule):
    """Reads a data set and serves its batches.

    Args:
        reader: called with (root, split, images=…, zero_size=…, faceless=…), gives a `Reading`.
        root: folder of the data set.
        images: `all`, or `present` to use what is there if pictures are missing.
        augmentation: transform of the training images.
        batch_size: training images per process and step.
        num_workers: processes that load training images; 0: none.
        seed: with epoch and image index it decides order and augmentation.
        prepare: called with (root) by one process per machine before anything is read.
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
    ) -> None:
        super().__init__()
        if batch_size < 1 or num_workers < 0:
            raise FacedetError(
                f"data.batch_size={batch_size}, data.num_workers={num_workers}: "
                "at least 1 and 0 are needed"
            )
        self.reader = reader
        self.root = Path(root).expanduser()
        self.images = images
        self.augmentation = augmentation
        self.batch_size = batch_size
        self.num_workers = num_workers
        self.seed = seed
        self.prepare = prepare
        self._readings: dict[str, Reading] = {}

    def prepare_data(self) -> None:
        """Makes the data set where it makes itself."""
        if self.prepare is not None:
            self.prepare(self.root)

    def reading(self, split: str) -> Reading:
        """The records of `train`, without what cannot be learnt from, or of `val`, complete."""
        if split not in self._readings:
            rest = "drop" if split == "train" else "keep"
            reading = self.reader(
                self.root, split, images=self.images, zero_size=rest, faceless=rest
            )
            counts = ", ".join(f"{n:,} {what}" for what, n in reading.counts.items())
            log.info("%s: %s", split, counts.replace("_", " "))
            self._readings[split] = reading
        return self._readings[split]

    def setup(self, stage: str) -> None:
        """Reads the annotations, so that a missing picture is known before training starts."""
        records = self.reading("train").records if stage == "fit" else [None]
        if len(records) < self.batch_size * self._world() and stage == "fit":
            raise FacedetError(
                f"{self.root}: {len(records)} training pictures do not fill one batch of "
                f"{self.batch_size} in each of {self._world()} processes; lower data.batch_size"
            )
        self.reading("val")

    def train_dataloader(self) -> DataLoader:
        """Batches (images uint8 [B, 3, S, S], list of B targets) of augmented pictures."""
        records = self.reading("train").records
        rank = self.trainer.global_rank if self.trainer else 0
        sampler = ShuffleSampler(len(records), self.seed, rank, self._world())
        return ResumableLoader(
            FaceDataset(records, self.augmentation, self.seed),
            sampler,
            self.batch_size,
            num_workers=self.num_workers,
            persistent_workers=self.num_workers > 0,
            collate_fn=collate,
            pin_memory=torch.cuda.is_available(),
            worker_init_fn=_one_thread,
        )

    def val_dataloader(self) -> DataLoader:
        """Pictures as they are, one by one: their sizes differ."""
        dataset = FaceDataset(self.reading("val").records, KeepImage(), self.seed)
        # Validation pictures are divided over the ranks; the metric joins the parts.
        share = range(self.trainer.global_rank if self.trainer else 0, len(dataset), self._world())
        return DataLoader(
            dataset,
            batch_size=1,
            sampler=share,
            num_workers=min(self.num_workers, 1),
            collate_fn=collate,
            worker_init_fn=_one_thread,
        )

    def _world(self) -> int:
        return self.trainer.world_size if self.trainer else 1


def _one_thread(_: int) -> None:
    """A worker process is one core's worth: OpenCV's own threads would fight over the rest."""
    cv2.setNumThreads(0)
