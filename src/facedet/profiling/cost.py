"""What a detector costs: parameters, and multiply-adds counted in two ways."""

import copy
from typing import NamedTuple

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from facedet.models.layers import LeakyReLU
from facedet.models.scalar_prelu import ScalarPReLU

_NOT_COUNTED = (nn.BatchNorm2d, nn.ReLU, nn.PReLU, ScalarPReLU, LeakyReLU)


class Cost(NamedTuple):
    """Cost of one network at one input size."""

    parameters: int  # scalars, frozen ones too, shared ones once
    madds: int  # multiply-adds of all convolutions, every use counted
    madds_paper: int | None  # each convolution counted once, as EXTD's paper does; None: no sense


def measure_cost(net: nn.Module, size: tuple[int, int] = (640, 640)) -> Cost:
    """Counts a network for one image of `size` (height, width) px.

    Multiply-adds are those of convolutions; normalisation, activation and interpolation are left
    out, as in the papers. The count of EXTD's paper ignores that its backbone is applied six
    times; it is given for networks with a part that announces `counted_by_walk`.
    """
    parameters = sum(value.numel() for value in net.parameters())
    # Shapes are all that counts: on the meta device nothing is computed, and `net` stays as it is.
    shapes = _convolutions_of(copy.deepcopy(net)).eval().to("meta")
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        shapes(torch.zeros(1, 3, *size, device="meta"))
    has_walk = any(getattr(module, "counted_by_walk", False) for module in net.modules())
    paper = _paper_count(net, size) if has_walk else None
    return Cost(parameters, counter.get_total_flops() // 2, paper)


def _convolutions_of(net: nn.Module) -> nn.Module:
    """The network without its normalisations and activations, of which nothing is counted.

    On the meta device each is put together from dozens of operations in Python, which takes ten
    times as long as the convolutions.
    """
    for parent in list(net.modules()):
        for name, child in parent.named_children():
            if isinstance(child, _NOT_COUNTED):
                setattr(parent, name, nn.Identity())
    return net


def _paper_count(net: nn.Module, size: tuple[int, int]) -> int:
    """Multiply-adds of a walk over the modules in the order in which they are registered.

    The map's size follows from the strides met so far: a module that is used several times, or at
    several sizes, counts once, at the size of its place in the walk. So necks and heads, which
    come last, all count at the size that the backbone's last stride left.
    """
    height, width = size
    total = 0
    for module in net.modules():
        if isinstance(module, (nn.Conv2d, nn.MaxPool2d)):
            stride = module.stride if isinstance(module.stride, int) else module.stride[0]
            height, width = -(-height // stride), -(-width // stride)
        if isinstance(module, nn.Conv2d):
            total += module.weight.numel() * height * width
    return total
