"""How fast a training step is: a plain loop, and one more thing of ours added at a time."""

import copy
import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from facedet.allocator import keep_freed_memory
from facedet.criteria.multibox import MultiBoxLoss
from facedet.data.dataset import collate
from facedet.data.images import read_rgb
from facedet.data.transforms import ExtdAugmentation
from facedet.errors import FacedetError
from facedet.models.depthwise import DepthwiseConv2d
from facedet.models.scalar_prelu import ScalarPReLU
from facedet.profiling.pipeline import whole_resize
from facedet.profiling.timing import summarise, take_turns
from facedet.structures import Record, Target

Batch = tuple[Tensor, list[Target]]
_WARMUP = 2


class Loop(NamedTuple):
    """What of our training loop a loop has; all the rest is plain."""

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


def measure_training(
    net: nn.Module,
    criterion: MultiBoxLoss,
    records: Sequence[Record],
    size: int = 320,
    batch: int = 8,
    runs: int = 8,
) -> dict[str, Any]:
    """Times a whole training step of each loop of `LADDER`, on the same crops of real pictures.

    A step: reading and augmenting, forward, loss, backward, SGD. Each loop runs in a process of its
    own (how memory is freed is a matter of a process), and all take turns.

    Args:
        net: a detector.
        criterion: its loss.
        records: pictures with faces, to draw from.
        size: side of the crops, px.
        batch: images per step.
        runs: steps of each loop that count.

    Returns:
        `size`, `batch`; `loops`, for each its name, `images_per_second`, and how much faster it is
        than the plain one in the same turn, as `to_plain`, `to_plain_low`, `to_plain_high` (median
        and 10th and 90th percentile), and than the one before, `to_before`; `speedup`, the last
        one's `to_plain`.
    """
    draws = _draws(len(records), batch * (runs + _WARMUP))
    with ExitStack() as stack:
        steps = [
            stack.enter_context(_stepping(net, criterion, records, draws, size, batch, loop))
            for loop in LADDER.values()
        ]
        seconds = np.array(take_turns(steps, runs, _WARMUP))
    to_plain, to_before = seconds[0] / seconds, seconds[:-1] / seconds[1:]
    loops = []
    for index, name in enumerate(LADDER):
        ratio = summarise(to_plain[index].tolist())
        loops.append(
            {
                "loop": name,
                "images_per_second": batch / float(np.median(seconds[index])),
                "to_plain": ratio.median,
                "to_plain_low": ratio.low,
                "to_plain_high": ratio.high,
                "to_before": float(np.median(to_before[index - 1])) if index else 1.0,
            }
        )
    return {"size": size, "batch": batch, "loops": loops, "speedup": loops[-1]["to_plain"]}


def make_step(
    net: nn.Module,
    criterion: MultiBoxLoss,
    next_batch: Callable[[], Batch],
    loop: Loop = OURS,
) -> Callable[[], None]:
    """A training step of a loop, on ever new batches."""
    memory_format = torch.channels_last if loop.channels_last else torch.contiguous_format
    if not loop.own_gradients:
        net = copy.deepcopy(net)
        use_library_layers(net)
    net = net.train().to(memory_format=memory_format)  # type: ignore[call-overload]
    optimizer = torch.optim.SGD(net.parameters(), lr=1e-3, momentum=0.9)

    def step() -> None:
        images, targets = next_batch()
        images = images.contiguous(memory_format=memory_format)
        with torch.autocast("cpu", torch.bfloat16, enabled=loop.bfloat16):
            losses = criterion(net(images), targets)
        optimizer.zero_grad()
        (losses.classification + losses.box).backward()
        optimizer.step()

    return step


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

    def augmented(record: Record, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, list]:
        done = augmentation(read_rgb(record.path), record.boxes, record.ignore, seed)
        return done.image, done.boxes, record.ignore[done.rows], done.applied

    # The slow way repeats draws: all are made with the first batch, which warms up.
    applied = [] if is_crops_first else [augmented(records[i], seed)[3] for i, seed in draws]

    def sample(number: int) -> tuple[Tensor, Target]:
        index, seed = draws[number]
        record = records[index]
        if is_crops_first:
            image, boxes, ignore, _ = augmented(record, seed)
        else:
            image, boxes = whole_resize(record.path, record.boxes, applied[number], size)
            ignore = record.ignore[_kept(applied[number])]
        target = _target(torch.from_numpy(boxes).float(), torch.from_numpy(ignore), index, size)
        return torch.tensor(image).permute(2, 0, 1), target

    for first in range(0, len(draws) - batch + 1, batch):
        yield collate([sample(number) for number in range(first, first + batch)])


def use_library_layers(module: nn.Module) -> None:
    """Replaces layers whose gradient is our own by the library's, with the same parameters."""
    for name, child in module.named_children():
        if isinstance(child, ScalarPReLU):
            prelu = nn.PReLU()
            prelu.weight = child.weight
            setattr(module, name, prelu)
        elif isinstance(child, DepthwiseConv2d):
            channels, bias = child.in_channels, child.bias is not None
            library = nn.Conv2d(
                channels, channels, child.kernel_size[0], child.stride[0], int(child.padding[0]),
                groups=channels, bias=bias,
            )  # fmt: skip
            library.load_state_dict(child.state_dict())
            setattr(module, name, library)
        else:
            use_library_layers(child)


@contextmanager
def _stepping(*arguments: Any) -> Iterator[Callable[[], None]]:  # noqa: ANN401
    """A step that a process of its own makes (`_serve`); it ends with the block."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(
        target=_serve, args=(there, torch.get_num_threads(), *arguments), daemon=True
    )
    process.start()
    there.close()

    def answer() -> None:
        said = here.recv()
        if isinstance(said, FacedetError):
            raise said

    def step() -> None:
        here.send(True)
        answer()

    try:
        answer()
        yield step
    finally:
        here.close()
        process.join()


def _serve(
    pipe: Connection,
    threads: int,
    net: nn.Module,
    criterion: MultiBoxLoss,
    records: Sequence[Record],
    draws: Sequence[tuple[int, int]],
    size: int,
    batch: int,
    loop: Loop,
) -> None:
    """Makes a step for each message, until the other end is closed."""
    torch.set_num_threads(threads)
    cv2.setNumThreads(threads)
    if loop.kept_memory:
        keep_freed_memory()
    crops = batches(records, draws, size, batch, loop.crops_first)
    step = make_step(net, criterion, lambda: next(crops), loop)
    pipe.send(True)
    while True:
        try:
            pipe.recv()
        except EOFError:
            return
        try:
            step()
        except FacedetError as error:
            pipe.send(error)
            return
        pipe.send(True)


def _draws(records: int, crops: int) -> list[tuple[int, int]]:
    rng = np.random.default_rng(0)
    return [(int(rng.integers(records)), int(rng.integers(2**32))) for _ in range(crops)]


def _kept(applied: Sequence[tuple[str, dict[str, Any]]]) -> np.ndarray:
    """Which faces a crop has kept."""
    return next(draw["keep"] for _, draw in applied if "keep" in draw)


def _target(boxes: Tensor, ignore: Tensor, index: int, size: int) -> Target:
    return Target(boxes, ignore, torch.zeros(len(boxes), 0, dtype=torch.bool), index, (size, size))
