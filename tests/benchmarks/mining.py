"""What hard image mining adds to a training step, as a share of the step.

Each part is timed by itself, for it is far below the spread of a step's time: the weakest positive
of each image, its storage, and once an epoch the table's new scores and the next drawing.

    python tests/benchmarks/mining.py --preset extd_fpn_32_prelu
"""

import argparse
import json
import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.training import make_step, noise_batch
from facedet.config import build, compose
from facedet.criteria.difficulty import hardest_positive
from facedet.data.difficulty import DifficultyRule, DifficultyTable
from facedet.data.samplers import DifficultySampler
from facedet.profiling.timing import describe_machine, time_calls

WIDER_IMAGES = 25_760  # mirrored copies included


def measure_mining(net, criterion, size, batch, runs, images=WIDER_IMAGES):
    crops = noise_batch(size, batch)
    step = time_calls(make_step(net, criterion, lambda: crops), runs)
    logits = torch.zeros(batch, size * size // 16, 2)
    positive = torch.zeros(logits.shape[:2], dtype=torch.bool)
    positive[:, :100] = True
    score = time_calls(lambda: hardest_positive(logits, positive), 100)
    scores = hardest_positive(logits, positive)
    visits = []
    keep = time_calls(lambda: visits.append((torch.arange(batch), scores.float())), 1000)
    table = DifficultyTable(images, DifficultyRule())
    sampler = DifficultySampler(table, batch_size=batch)
    entries, drawn = torch.arange(images), torch.rand(images)

    def end_epoch():
        table.record(entries, drawn)
        sampler.set_epoch(1)

    epoch = time_calls(end_epoch, 20)
    per_step = score.median + keep.median + epoch.median * batch / images
    return {
        "size": size,
        "batch": batch,
        "step_seconds": step.median,
        "added_per_step_seconds": per_step,
        "of_it_per_epoch_seconds": epoch.median,
        "share": per_step / step.median,
    }


def main(words=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--preset", default="extd_fpn_32_prelu")
    parser.add_argument("--size", type=int, default=320, help="side of the crops, px")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--runs", type=int, default=20)
    args = parser.parse_args(words)
    config = compose("network", [f"preset={args.preset}"])
    parts = build(config.model.net), build(config.criterion)
    result = measure_mining(*parts, args.size, args.batch, args.runs)
    print(json.dumps({"net": args.preset, **result, "machine": describe_machine()}, indent=1))


if __name__ == "__main__":
    main()
