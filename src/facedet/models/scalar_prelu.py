"""PReLU with one slope for all channels, and a gradient written for that case."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class _ScalarPReLUFunction(torch.autograd.Function):
    """PReLU of one slope: dL/dx = g where x > 0 else a * g, and dL/da = sum(g * min(x, 0)).

    The library's backward pass writes the slope's gradient for every element before it adds them
    up, which on a CPU takes three to four times as long, and adds them up in the input's precision.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, slope: Tensor) -> Tensor:  # noqa: ANN401
        ctx.save_for_backward(x, slope)
        return F.leaky_relu(x, float(slope))

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor]:  # noqa: ANN401
        x, slope = ctx.saved_tensors
        grad_x = torch.ops.aten.leaky_relu_backward(grad, x, float(slope), False)
        grad_slope = (x.clamp(max=0) * grad).sum(dtype=torch.float32)
        return grad_x, grad_slope.to(slope.dtype).reshape(slope.shape)


class ScalarPReLU(nn.Module):
    """x where x > 0, else `weight * x`, with one learned scalar (EXTD: one per layer, from 0.25).

    The slope is not clamped: in the released EXTD models it runs from -0.72 to 1.82.
    """

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full((1,), 0.25))

    def forward(self, x: Tensor) -> Tensor:
        """Activation of x, of any shape and floating type."""
        # Reading the slope as a number would make a GPU wait and break a compiled graph.
        if torch.is_grad_enabled() and x.device.type == "cpu" and not torch.compiler.is_compiling():
            return _ScalarPReLUFunction.apply(x, self.weight)
        return F.prelu(x, self.weight.to(x.dtype))
