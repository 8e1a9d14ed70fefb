"""The data set as the network sees it: records, decoded and transformed, and their batches."""

from collections.abc import Callable, Sequence
from functools import partial

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from facedet.data.augmentation.mixing import Sample
from facedet.data.augmentation.pipeline import Transformed
from facedet.data.images import read_rgb
from facedet.data.samplers import Draw
from facedet.errors import FacedetError, UsageError
from facedet.structures import Record, Target

MEAN_COLOUR = (123, 117, 104)  # RGB; what the networks subtract, so padding becomes zero
_ATTEMPTS = 50  # pictures tried for one that keeps a face


class FaceDataset(Dataset):
    """Pictures and faces, by drawing.

    A sample is a function of (seed, epoch, index): the same in every process, after every restart
    and in every order of reading.

    With mirrored copies, the N records make 2 N entries: entry N + i is record i mirrored, before
    the transform (arXiv 1811.11662; there each entry has a difficulty of its own).

    Args:
        records: the pictures.
        transform: called with (image, boxes, ignore, seed). Where its `needs_faces` is true, a
            sample left without a face is replaced by another random entry. Its `mixing`, where
            there is one, makes the sample of that and of those of random entries.
        seed: of all randomness, at least 0.
        mirrored_copies: serve every record a second time, mirrored.
    """

    def __init__(
        self,
        records: Sequence[Record],
        transform: Callable[..., Transformed],
        seed: int = 0,
        mirrored_copies: bool = False,
    ) -> None:
        if seed < 0:
            raise UsageError(f"seed={seed}: at least 0 is needed")
        self.records = records
        self.transform = transform
        self.seed = seed
        self.mirrored_copies = mirrored_copies

    def __len__(self) -> int:
        return len(self.records) * (1 + self.mirrored_copies)

    def record_of(self, entry: int) -> tuple[Record, bool]:
        """The record behind an entry, and whether the entry is its mirrored copy."""
        if not 0 <= entry < len(self):
            # The end of the sequence protocol: without it `for sample in dataset` never stops.
            raise IndexError(f"index {entry} of {len(self)} entries")
        return self.records[entry % len(self.records)], entry >= len(self.records)

    def name_of(self, entry: int) -> str:
        """An entry's name for messages: "EVENT/IMAGE", or "EVENT/IMAGE (mirrored)"."""
        record, is_mirrored = self.record_of(entry)
        return f"{record.name} (mirrored)" if is_mirrored else record.name

    def __getitem__(self, draw: Draw | int) -> tuple[Tensor, Target]:
        """The sample of (epoch, index); an index alone is of epoch 0.

        Returns:
            Image uint8 [3, H, W] (a view of channels-last memory) and its target, whose index is
            that of the entry shown.

        Raises:
            FacedetError: the picture cannot be read, or no face was left in any picture tried.
        """
        epoch, index = draw if isinstance(draw, tuple) else (0, draw)
        shown, sample = self._sample(index, [self.seed, epoch, index])
        mixing = getattr(self.transform, "mixing", None)
        if mixing is not None:
            # One past the attempts: draws that no crop has.
            rng = np.random.default_rng([self.seed, epoch, index, _ATTEMPTS])
            sample = mixing(sample, partial(self._another, rng), rng)
        # A mirrored picture has negative strides, which torch does not take.
        image = torch.from_numpy(np.ascontiguousarray(sample.image)).permute(2, 0, 1)
        height, width = image.shape[1:]
        boxes, ignore, subsets = map(torch.from_numpy, sample[1:])
        return image, Target(boxes, ignore, subsets, index=shown, size=(height, width))

    def _another(self, rng: np.random.Generator) -> Sample:
        """The sample of a random entry."""
        return self._sample(int(rng.integers(len(self))), rng.integers(2**63, size=3).tolist())[1]

    def _sample(self, index: int, entropy: list[int]) -> tuple[int, Sample]:
        """The sample of an entry, or of another where it is left without a face; which that is."""
        record, _ = self.record_of(index)
        shown = index
        for attempt in range(_ATTEMPTS):
            # The last entry keeps the draws of a picture apart from the choice of its successor.
            words = np.random.SeedSequence([*entropy, attempt])
            own, successor = words.generate_state(2, np.uint64).tolist()
            sample = self._transformed(shown, own)
            if sample is not None:
                return shown, sample
            shown = successor % len(self)
        raise FacedetError(
            f"{record.path}: no face was left after the augmentation, nor in {_ATTEMPTS - 1} "
            "other pictures tried instead; the faces are too small or all to be ignored"
        )

    def _transformed(self, index: int, seed: int) -> Sample | None:
        """The sample of one entry; None where a face is needed and none is left."""
        record, is_mirrored = self.record_of(index)
        picture, boxes = read_rgb(record.path, record.upright), record.boxes
        if is_mirrored:
            picture, boxes = mirror(picture, boxes)
        done = self.transform(picture, boxes, record.ignore, seed)
        ignore = record.ignore[done.rows]
        if getattr(self.transform, "needs_faces", False) and ignore.all():
            return None
        subsets = record.tags.get("subsets", np.zeros((len(record.boxes), 0), dtype=bool))
        return Sample(done.image, done.boxes, ignore, np.asarray(subsets, dtype=bool)[done.rows])


def mirror(image: np.ndarray, boxes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A picture uint8 [H, W, 3] and its boxes [G, 4], mirrored as in SmallHardFace's release.

    Boxes are cut off at the picture's sides first; then x1' = W - x2 - 1 and x2' = W - x1 - 1,
    which counts whole pixels, and at least 0.
    """
    width = image.shape[1]
    x = boxes[:, [2, 0]].clip(0, width)
    mirrored = boxes.copy()
    mirrored[:, [0, 2]] = (width - x - 1).clip(min=0)
    return cv2.flip(image, 1), mirrored


def collate(batch: Sequence[tuple[Tensor, Target]]) -> tuple[Tensor, list[Target]]:
    """Joins samples; where sizes differ, the right and the bottom are padded with the mean colour.

    Returns:
        Images uint8 [B, 3, H, W] in channels-last memory, which convolutions on CPUs and recent
        GPUs prefer and which costs no rearranging here; and the targets.
    """
    images = [image for image, _ in batch]
    height = max(image.shape[1] for image in images)
    width = max(image.shape[2] for image in images)
    joined = torch.empty((len(images), height, width, 3), dtype=torch.uint8)
    if any(image.shape[1:] != (height, width) for image in images):
        joined[:] = torch.tensor(MEAN_COLOUR, dtype=torch.uint8)
    for row, image in zip(joined, images, strict=True):
        row[: image.shape[1], : image.shape[2]] = image.permute(1, 2, 0)
    return joined.permute(0, 3, 1, 2), [target for _, target in batch]
