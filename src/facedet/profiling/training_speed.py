"""How fast a training step is: our loop against a plain one, each in a process of its own."""

import copy
import multiprocessing
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import Any

import torch
from torch import nn

from facedet.allocator import keep_freed_memory
from facedet.criteria.multibox import MultiBoxLoss
from facedet.models.depthwise import DepthwiseConv2d
from facedet.models.scalar_prelu import ScalarPReLU
from facedet.profiling.timing import compare
from facedet.structures import Target


def measure_training(
    net: nn.Module, criterion: MultiBoxLoss, size: int = 320, batch: int = 8, pairs: int = 8
) -> dict[str, Any]:
    """Times a training step of our loop against a plain one, on the same random crops.

    Ours: channels-last, bfloat16 autocast, the gradients written for PReLUs of one slope and
    strided depthwise convolutions, and freed memory that is kept. Plain: NCHW, float32, the
    library's layers and malloc as it comes; so each runs in a process of its own, in turn. Both:
    forward, loss, backward, SGD.
    """
    plain = copy.deepcopy(net)
    use_library_layers(plain)
    with (
        _stepping(plain, criterion, size, batch, False) as plain_step,
        _stepping(net, criterion, size, batch, True) as our_step,
    ):
        comparison = compare(plain_step, our_step, pairs)
    return {
        "size": size,
        "batch": batch,
        "plain_images_per_second": batch / comparison.a.median,
        "our_images_per_second": batch / comparison.b.median,
        "speedup": comparison.ratio,
        "speedup_range": [comparison.ratio_low, comparison.ratio_high],
    }


def make_step(
    net: nn.Module, criterion: MultiBoxLoss, size: int, batch: int, is_ours: bool = True
) -> Callable[[], None]:
    """A training step on random crops of `size` px, in our formats or in plain ones."""
    memory_format = torch.channels_last if is_ours else torch.contiguous_format
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (batch, 3, size, size), generator=generator, dtype=torch.uint8)
    images = images.contiguous(memory_format=memory_format)
    targets = [_faces(size, index, generator) for index in range(batch)]
    net = net.train().to(memory_format=memory_format)  # type: ignore[call-overload]
    optimizer = torch.optim.SGD(net.parameters(), lr=1e-3, momentum=0.9)

    def step() -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=is_ours):
            losses = criterion(net(images), targets)
        optimizer.zero_grad()
        (losses.classification + losses.box).backward()
        optimizer.step()

    return step


@contextmanager
def _stepping(
    net: nn.Module, criterion: MultiBoxLoss, size: int, batch: int, is_ours: bool
) -> Iterator[Callable[[], None]]:
    """A step that a process of its own makes; it ends with the block."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    threads = torch.get_num_threads()
    arguments = (there, net, criterion, size, batch, is_ours, threads)
    process = context.Process(target=_serve, args=arguments, daemon=True)
    process.start()
    there.close()

    def step() -> None:
        here.send(True)
        here.recv()

    try:
        yield step
    finally:
        here.close()
        process.join()


def _serve(
    pipe: Connection,
    net: nn.Module,
    criterion: MultiBoxLoss,
    size: int,
    batch: int,
    is_ours: bool,
    threads: int,
) -> None:
    """Makes a step for each message, until the other end is closed."""
    torch.set_num_threads(threads)
    if is_ours:
        keep_freed_memory()
    step = make_step(net, criterion, size, batch, is_ours)
    while True:
        try:
            pipe.recv()
        except EOFError:
            return
        step()
        pipe.send(True)


def _faces(size: int, index: int, generator: torch.Generator) -> Target:
    """Ten random faces of a sixteenth to a quarter of the crop."""
    sides = size * (1 / 16 + 3 / 16 * torch.rand(10, 1, generator=generator))
    corners = (size - sides) * torch.rand(10, 2, generator=generator)
    boxes = torch.cat([corners, corners + sides], dim=1)
    ignore, subsets = torch.zeros(10, dtype=torch.bool), torch.zeros(10, 0, dtype=torch.bool)
    return Target(boxes, ignore, subsets, index, (size, size))


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
