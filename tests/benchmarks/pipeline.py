"""The input pipeline against resizing whole pictures, as EXTD's release is described to do.

Each picture becomes the same sample by both ways, which take turns in going first, on one core.

    python tests/benchmarks/pipeline.py --data WIDER
"""

import argparse
import json
import sys
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[1]))

from facedet.data.augmentation.pipeline import ExtdAugmentation
from facedet.data.images import read_rgb
from facedet.data.readers.wider import read_wider
from facedet.profiling.timing import compare, describe_machine
from reference.whole_resize import whole_resize


def read_records(root):
    """The training pictures of WIDER FACE that are on disk and have faces that count."""
    records = read_wider(root, "train", images="present").records
    return [record for record in records if not record.ignore.all()]


def crop_first(augmentation, record, seed):
    rgb = read_rgb(record.path, record.upright)
    return augmentation(rgb, record.boxes, record.ignore, seed)


def measure_pipeline(records, size=640, images=100, seed=0):
    """Images per second of both ways, and how many times as fast ours is.

    A run before the timed ones makes the draws and brings the files into memory, so that the disk
    is not measured.
    """
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    rng = np.random.default_rng(seed)
    augmentation = ExtdAugmentation(size)
    ours, whole = [], []
    for _ in range(images + 1):
        record, draw = records[int(rng.integers(len(records)))], int(rng.integers(2**32))
        applied = crop_first(augmentation, record, draw).applied
        ours.append(partial(crop_first, augmentation, record, draw))
        whole.append(partial(whole_resize, record.path, record.boxes, applied, size))
    a, b = (iter(calls) for calls in (whole, ours))
    compared = compare(lambda: next(a)(), lambda: next(b)(), images, warmup=1)
    return {
        "images": images,
        "size": size,
        "images_per_second": 1 / compared.b.median,
        "whole_images_per_second": 1 / compared.a.median,
        "speedup": compared.ratio.median,
        "speedup_low": compared.ratio.low,
        "speedup_high": compared.ratio.high,
    }


def main(words=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="WIDER FACE")
    parser.add_argument("--size", type=int, default=640, help="side of the crops, px")
    parser.add_argument("--images", type=int, default=100)
    args = parser.parse_args(words)
    result = measure_pipeline(read_records(args.data), args.size, args.images)
    print(json.dumps({**result, "machine": describe_machine()}, indent=1))


if __name__ == "__main__":
    main()
