"""Depthwise convolution whose gradient is written for strides above 1."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class _StridedDepthwise(torch.autograd.Function):
    """A depthwise convolution of stride s, its input's gradient computed at stride 1.

    Output (i, j) of stride s is output (s i, s j) of stride 1, so the gradient, with zeros put
    between its cells, goes backwards through the convolution of stride 1. On a CPU the library
    takes five times as long for the strided one. Kernel and bias get the library's gradients.
    """

    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401
        x: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        stride: list[int],
        padding: list[int],
    ) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.layout = (stride, padding, None if bias is None else list(bias.shape))
        return F.conv2d(x, weight, bias, stride, padding, groups=len(weight))

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401
        x, weight = ctx.saved_tensors
        stride, padding, bias_shape = ctx.layout
        needs_x, needs_weight, needs_bias = ctx.needs_input_grad[:3]
        grad_x = grad_weight = grad_bias = None
        rest = ([1, 1], False, [0, 0], len(weight))
        if needs_x:
            height, width = x.shape[2] + 2 * padding[0], x.shape[3] + 2 * padding[1]
            shape = (*grad.shape[:2], height - weight.shape[2] + 1, width - weight.shape[3] + 1)
            spread = torch.empty(shape, dtype=grad.dtype, memory_format=torch.channels_last).zero_()
            spread[:, :, :: stride[0], :: stride[1]] = grad
            grad_x = torch.ops.aten.convolution_backward(
                spread, x, weight, None, [1, 1], padding, *rest, [True, False, False]
            )[0]
        if needs_weight or needs_bias:
            if x.shape[3] == 1:
                # The library's bfloat16 kernel adds what lies in memory behind a row of one cell.
                grad, x, weight = grad.float(), x.float(), weight.float()
            _, grad_weight, grad_bias = torch.ops.aten.convolution_backward(
                grad,
                x,
                weight,
                bias_shape,
                stride,
                padding,
                *rest,
                [False, needs_weight, needs_bias],
            )
        return grad_x, grad_weight, grad_bias, None, None


class DepthwiseConv2d(nn.Conv2d):
    """`nn.Conv2d` with as many groups as channels, quicker to train on a CPU at strides above 1.

    `kernel` is the side of the kernel; the padding keeps `ceil(H / stride)`.
    """

    def __init__(self, channels: int, kernel: int, stride: int = 1, bias: bool = True) -> None:
        super().__init__(
            channels, channels, kernel, stride, kernel // 2, groups=channels, bias=bias
        )

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] to [B, C, ceil(H / stride), ceil(W / stride)]."""
        if (
            self.stride == (1, 1)
            or x.device.type != "cpu"
            or not torch.is_grad_enabled()
            or torch.compiler.is_compiling()
        ):
            return super().forward(x)
        weight, bias = self.weight, self.bias
        if torch.is_autocast_enabled("cpu"):
            dtype = torch.get_autocast_dtype("cpu")
            x, weight = x.to(dtype), weight.to(dtype)
            bias = None if bias is None else bias.to(dtype)
        return _StridedDepthwise.apply(x, weight, bias, list(self.stride), list(self.padding))
