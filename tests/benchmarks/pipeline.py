"""The input pipeline against resizing whole pictures, as EXTD's release is described to do.

Each picture becomes the same sample by both ways, which take turns in going first, on one core.

    python tests/benchmarks/pipeline.py --data WIDER
"""

import argparse
import json
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[1]))

from facedet.data.augmentation.pipeline import ExtdAugmentation
from facedet.data.images import read_rgb
from facedet.data.readers.wider import read_wider
from facedet.profiling.timing import describe_machine, summarise
from reference.whole_resize import whole_resize


def read_records(root):
    """The training pictures of WIDER FACE that are on disk and have faces that count."""
    records = read_wider(root, "train", images="present").records
    return [record for record in records if not record.ignore.all()]


def measure_pipeline(records, size=640, images=100, seed=0):
    """Images per second of both ways, and the ratio of their times over the pictures.

    A run before the timed ones makes the draws and brings the file into memory, so that the disk
    is not measured.
    """
    rng = np.random.default_rng(seed)
    augmentation = ExtdAugmentation(size)
    ours, whole = np.zeros(images), np.zeros(images)
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    for pair in range(-1, images):  # the pair before the first warms up
        record = records[int(rng.integers(len(records)))]
        sample_seed = int(rng.integers(2**32))

        def crop_first(record=record, seed=sample_seed):
            return augmentation(
                read_rgb(record.path, record.upright), record.boxes, record.ignore, seed
            )

        draws = crop_first().applied

        def resize_first(record=record, draws=draws):
            whole_resize(record.path, record.boxes, draws, size)

        calls = [(ours, crop_first), (whole, resize_first)]
        for seconds, call in calls[::-1] if pair % 2 else calls:
            start = time.perf_counter()
            call()
            if pair >= 0:
                seconds[pair] = time.perf_counter() - start
    return {
        "images": images,
        "size": size,
        "images_per_second": float(images / ours.sum()),
        "whole_images_per_second": float(images / whole.sum()),
        "speedup": float(whole.sum() / ours.sum()),
        "speedup_of_pairs": summarise(list(whole / ours))._asdict(),
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
