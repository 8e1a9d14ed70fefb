"""Batches for timing training steps: of real pictures, by our way or the slow one, and of noise."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from facedet.data.augmentation.pipeline import ExtdAugmentation, Transformed
from facedet.data.dataset import collate
from facedet.data.images import read_rgb
from facedet.profiling.pipeline import whole_resize
from facedet.structures import Record, Target

Batch = tuple[Tensor, list[Target]]


def noise_batch(size: int, batch: int) -> Batch:
    """Crops of noise, each with ten faces of a sixteenth to a quarter of its side."""
    generator = torch.Generator().manual_seed(0)
    samples = []
    for index in range(batch):
        image = torch.randint(0, 256, (3, size, size), generator=generator, dtype=torch.uint8)
        sides = size * (1 / 16 + 3 / 16 * torch.rand(10, 1, generator=generator))
        corners = (size - sides) * torch.rand(10, 2, generator=generator)
        boxes = torch.cat([corners, corners + sides], dim=1)
        samples.append((image, _target(boxes, torch.zeros(10, dtype=torch.bool), index, size)))
    return collate(samples)


def batches(
    records: Sequence[Record],
    draws: Sequence[tuple[int, int]],
    size: int,
    batch: int,
    is_crops_first: bool = True,
) -> Iterator[Batch]:
    """EXTD's training crops, made by cutting first or, the same ones, by `whole_resize`.

    Args:
        records: pictures with faces.
        draws: (record, seed) of each crop.
        size: side of the crops, px.
        batch: crops per batch.
        is_crops_first: how they are made.
    """
    augmentation = ExtdAugmentation(size)

    def augmented(number: int) -> Transformed:
        index, seed = draws[number]
        record = records[index]
        picture = read_rgb(record.path, record.upright)
        return augmentation(picture, record.boxes, record.ignore, seed)

    # The slow way repeats draws: all are made with the first batch, which warms up.
    made = [] if is_crops_first else [augmented(number)[2:] for number in range(len(draws))]

    def sample(number: int) -> tuple[Tensor, Target]:
        index = draws[number][0]
        record = records[index]
        if is_crops_first:
            image, boxes, rows, _ = augmented(number)
        else:
            rows, applied = made[number]
            image, boxes = whole_resize(record.path, record.boxes, applied, size)
        ignore = torch.from_numpy(record.ignore[rows])
        target = _target(torch.from_numpy(boxes).float(), ignore, index, size)
        return torch.tensor(image).permute(2, 0, 1), target

    for first in range(0, len(draws) - batch + 1, batch):
        yield collate([sample(number) for number in range(first, first + batch)])


def _target(boxes: Tensor, ignore: Tensor, index: int, size: int) -> Target:
    return Target(boxes, ignore, torch.zeros(len(boxes), 0, dtype=torch.bool), index, (size, size))
