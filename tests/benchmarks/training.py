"""How fast a training step is: a plain loop, and each further thing that facedet's loop does.

A step: reading and augmenting, forward, loss, backward, SGD, on the same crops of real pictures.
Each loop takes turns with the plain one, both in processes of their own (how memory is freed is a
matter of a process); two at a time, for each takes gigabytes.

    python tests/benchmarks/training.py --data WIDER --threads 1 --runs 5
"""

import argparse
import copy
import json
import multiprocessing
import statistics
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.pipeline import crop_first, read_records
from facedet.allocator import keep_freed_memory
from facedet.config import build, compose
from facedet.data.augmentation.pipeline import ExtdAugmentation
from facedet.data.dataset import collate
from facedet.models.depthwise import DepthwiseConv2d
from facedet.models.scalar_prelu import ScalarPReLU
from facedet.profiling.timing import compare, describe_machine
from facedet.structures import Target
from reference.whole_resize import whole_resize

WARMUP = 2


class Loop(NamedTuple):
    """What of facedet's training loop a loop does; all the rest is plain."""

    crops_first: bool = False  # crops are cut from the picture before they are resized
    channels_last: bool = False
    bfloat16: bool = False
    own_gradients: bool = False  # of PReLUs of one slope and of strided depthwise convolutions
    kept_memory: bool = False  # freed memory stays with the process


PLAIN, OURS = Loop(), Loop(True, True, True, True, True)
LADDER = {
    "plain: whole pictures resized, NCHW, float32": PLAIN,
    "+ crops cut before resizing": Loop(True),
    "+ channels-last": Loop(True, True),
    "+ bfloat16": Loop(True, True, True),
    "+ gradients of our own": Loop(True, True, True, True),
    "+ freed memory kept": OURS,
}


def noise_batch(size, batch):
    """Crops of noise, each with ten faces of a sixteenth to a quarter of its side."""
    torch.manual_seed(0)
    samples = []
    for index in range(batch):
        image = torch.randint(0, 256, (3, size, size), dtype=torch.uint8)
        sides = size * (1 / 16 + 3 / 16 * torch.rand(10, 1))
        corners = (size - sides) * torch.rand(10, 2)
        boxes = torch.cat([corners, corners + sides], dim=1)
        samples.append((image, _target(boxes, torch.zeros(10, dtype=torch.bool), index, size)))
    return collate(samples)


def batches(records, draws, size, batch, crops_first=True):
    """EXTD's training crops of (record, seed) draws, cut first or, the same ones, resized first."""
    augmentation = ExtdAugmentation(size)
    pairs = [(records[index], seed) for index, seed in draws]
    # The slow way repeats draws: all are made with the first batch, which warms up.
    made = [] if crops_first else [crop_first(augmentation, *pair)[2:] for pair in pairs]

    def sample(number):
        record, seed = pairs[number]
        if crops_first:
            image, boxes, rows, _ = crop_first(augmentation, record, seed)
        else:
            rows, applied = made[number]
            image, boxes = whole_resize(record.path, record.boxes, applied, size)
        ignore = torch.from_numpy(record.ignore[rows])
        target = _target(torch.from_numpy(boxes).float(), ignore, draws[number][0], size)
        return torch.tensor(image).permute(2, 0, 1), target

    for first in range(0, len(draws) - batch + 1, batch):
        yield collate([sample(number) for number in range(first, first + batch)])


def _target(boxes, ignore, index, size):
    return Target(boxes, ignore, torch.zeros(len(boxes), 0, dtype=torch.bool), index, (size, size))


def make_step(net, criterion, next_batch, loop=OURS):
    """A training step of a loop, on ever new batches."""
    memory_format = torch.channels_last if loop.channels_last else torch.contiguous_format
    if not loop.own_gradients:
        net = copy.deepcopy(net)
        use_library_layers(net)
    net = net.train().to(memory_format=memory_format)
    optimizer = torch.optim.SGD(net.parameters(), lr=1e-3, momentum=0.9)

    def step():
        images, targets = next_batch()
        images = images.contiguous(memory_format=memory_format)
        with torch.autocast("cpu", torch.bfloat16, enabled=loop.bfloat16):
            losses = criterion(net(images), targets)
        optimizer.zero_grad()
        (losses.classification + losses.box).backward()
        optimizer.step()

    return step


def use_library_layers(module):
    """Replaces layers whose gradient is our own by the library's, with the same parameters."""
    for name, child in module.named_children():
        if isinstance(child, ScalarPReLU):
            prelu = nn.PReLU()
            prelu.weight = child.weight
            setattr(module, name, prelu)
        elif isinstance(child, DepthwiseConv2d):
            sizes = child.kernel_size[0], child.stride[0], int(child.padding[0])
            n, bias = child.in_channels, child.bias is not None
            library = nn.Conv2d(n, n, *sizes, groups=n, bias=bias)
            library.load_state_dict(child.state_dict())
            setattr(module, name, library)
        else:
            use_library_layers(child)


def measure_training(net, criterion, records, size=320, batch=8, runs=8):
    """Images per second of each loop, and how many times as fast as the plain one it is.

    `to_plain` is the median over pairs of steps, with 10th and 90th percentile; `to_before` its
    quotient by that of the loop before.
    """
    rng = np.random.default_rng(0)
    crops = batch * (runs + WARMUP)
    draws = [(int(rng.integers(len(records))), int(rng.integers(2**32))) for _ in range(crops)]
    shared = (net, criterion, records, draws, size, batch)
    plain, *others = LADDER
    rows, plain_seconds, before = [], [], 1.0
    for name in others:
        with stepping(*shared, PLAIN) as plain_step, stepping(*shared, LADDER[name]) as step:
            compared = compare(plain_step, step, runs, WARMUP)
        plain_seconds.append(compared.a.median)
        rows.append(
            {
                "loop": name,
                "images_per_second": batch / compared.b.median,
                "to_plain": compared.ratio.median,
                "to_plain_low": compared.ratio.low,
                "to_plain_high": compared.ratio.high,
                "to_before": compared.ratio.median / before,
            }
        )
        before = compared.ratio.median
    first = {"loop": plain, "images_per_second": batch / statistics.median(plain_seconds)}
    return {"size": size, "batch": batch, "loops": [first, *rows]}


@contextmanager
def stepping(*arguments):
    """A step that a process of its own makes (`_serve`); the process ends with the block."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    words = (there, torch.get_num_threads(), *arguments)
    process = context.Process(target=_serve, args=words, daemon=True)
    process.start()
    there.close()

    def step():
        here.send(True)
        here.recv()

    try:
        here.recv()
        yield step
    finally:
        here.close()
        process.join()


def _serve(pipe, threads, net, criterion, records, draws, size, batch, loop):
    """Makes a step for each message, until the other end is closed."""
    torch.set_num_threads(threads)
    cv2.setNumThreads(threads)
    if loop.kept_memory:
        keep_freed_memory()
    crops = batches(records, draws, size, batch, loop.crops_first)
    step = make_step(net, criterion, lambda: next(crops), loop)
    try:
        while True:
            pipe.send(True)
            pipe.recv()
            step()
    except EOFError:
        return


def main(words=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="WIDER FACE")
    parser.add_argument("--preset", default="extd_fpn_32_prelu")
    parser.add_argument("--size", type=int, default=320, help="side of the crops, px")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--runs", type=int, default=8)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    args = parser.parse_args(words)
    torch.set_num_threads(args.threads)
    config = compose("network", [f"preset={args.preset}"])
    parts = build(config.model.net), build(config.criterion), read_records(args.data)
    result = measure_training(*parts, args.size, args.batch, args.runs)
    print(json.dumps({"net": args.preset, **result, "machine": describe_machine()}, indent=1))


if __name__ == "__main__":
    main()
