"""How fast a training step is: a plain loop, and one more thing of ours added at a time."""

import copy
import multiprocessing
import statistics
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
from torch import nn

from facedet.allocator import keep_freed_memory
from facedet.criteria.multibox import MultiBoxLoss
from facedet.errors import FacedetError
from facedet.models.depthwise import DepthwiseConv2d
from facedet.models.scalar_prelu import ScalarPReLU
from facedet.profiling.timing import Comparison, compare
from facedet.profiling.training_batches import Batch, batches
from facedet.structures import Record

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

    A step: reading and augmenting, forward, loss, backward, SGD. Each loop takes turns with the
    plain one, both in processes of their own (how memory is freed is a matter of a process); two
    at a time, for each takes gigabytes.

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
        and 10th and 90th percentile); `to_before`, the quotient of `to_plain` and that of the one
        before; `speedup`, the last one's `to_plain`.

    Raises:
        FacedetError: a picture cannot be read, or memory does not suffice for two loops.
    """
    draws = _draws(len(records), batch * (runs + _WARMUP))

    def stepping(loop: Loop) -> AbstractContextManager[Callable[[], None]]:
        return _stepping(net, criterion, records, draws, size, batch, loop)

    plain, *others = LADDER
    loops: list[dict[str, Any]] = []
    plain_seconds = []
    for name in others:
        with stepping(LADDER[plain]) as plain_step, stepping(LADDER[name]) as step:
            compared = compare(plain_step, step, runs, _WARMUP)
        plain_seconds.append(compared.a.median)
        loops.append(_row(name, batch / compared.b.median, compared, loops))
    first = _row(plain, batch / statistics.median(plain_seconds), None, [])
    return {
        "size": size,
        "batch": batch,
        "loops": [first, *loops],
        "speedup": loops[-1]["to_plain"],
    }


def _row(
    name: str, speed: float, compared: Comparison | None, before: Sequence[dict[str, Any]]
) -> dict[str, Any]:
    ratio = compared.ratio if compared else 1.0
    return {
        "loop": name,
        "images_per_second": speed,
        "to_plain": ratio,
        "to_plain_low": compared.ratio_low if compared else 1.0,
        "to_plain_high": compared.ratio_high if compared else 1.0,
        "to_before": ratio / before[-1]["to_plain"] if before else ratio,
    }


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
        try:
            said = here.recv()
        except EOFError:
            raise FacedetError(
                "a loop's process was ended; where memory is short, take a smaller batch or size"
            ) from None
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
