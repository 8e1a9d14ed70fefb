"""Small sets of detections and faces for the tests of the WIDER FACE metric."""

import importlib.util
from pathlib import Path

import numpy as np
import torch

from facedet.metrics.wider import WiderAP
from facedet.structures import Detections, Target


def load_file(path):
    spec = importlib.util.spec_from_file_location(Path(path).stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def detections(rows):
    rows = torch.tensor(np.array(rows, dtype=np.float64).reshape(-1, 5))
    return Detections(torch.cat([rows[:, :2], rows[:, :2] + rows[:, 2:4]], dim=1), rows[:, 4])


def target(faces, kept, index, ignore=None):
    """Faces as x, y, w, h; kept an array [G, S]."""
    faces = torch.tensor(np.array(faces, dtype=np.float64).reshape(-1, 4))
    xyxy = torch.cat([faces[:, :2], faces[:, :2] + faces[:, 2:]], dim=1)
    kept = torch.as_tensor(np.array(kept, dtype=bool).reshape(len(faces), np.shape(kept)[-1]))
    ignore = torch.zeros(len(faces), dtype=torch.bool) if ignore is None else torch.tensor(ignore)
    return Target(xyxy, ignore, kept, index, (0, 0))


def one_subset(images, order=None, **options):
    """The metric over (rows, faces, kept) images with a single subset."""
    metric = WiderAP(subsets=("all",), **options)
    for index in range(len(images)) if order is None else order:
        rows, faces, kept = images[index]
        flags = np.array(kept, dtype=bool).reshape(-1, 1)
        metric.update([detections(rows)], [target(faces, flags, index)])
    return metric


def random_images(seed=0, count=6):
    """Images full of overlaps, with three nested subsets."""
    generator = np.random.default_rng(seed)
    images = []
    for _ in range(count):
        faces = generator.integers(0, 40, (8, 4)) + [0, 0, 5, 5]
        rows = np.repeat(faces, 2, axis=0) + generator.integers(-4, 5, (16, 4))
        rows = np.column_stack([rows.clip(min=1), generator.random(16)])
        images.append((rows, faces, np.sort(generator.random((8, 3)) < 0.6, axis=1)))
    return images


def target_of(record, index):
    return Target(
        *map(torch.from_numpy, (record.boxes, record.ignore, record.tags["subsets"])), index, (0, 0)
    )


def feed(metric, images, indices):
    for index in indices:
        rows, faces, kept = images[index]
        metric.update([detections(rows)], [target(faces, kept, index)])
    return metric
