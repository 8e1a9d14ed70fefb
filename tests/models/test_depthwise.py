"""The depthwise convolution with its own gradient, against the library's."""

import pytest
import torch
from torch import nn

from facedet.models.depthwise import DepthwiseConv2d


def pair(stride, bias=True, kernel=3):
    torch.manual_seed(0)
    own = DepthwiseConv2d(4, kernel, stride, bias)
    library = nn.Conv2d(4, 4, kernel, stride, kernel // 2, groups=4, bias=bias)
    library.load_state_dict(own.state_dict())
    return own, library


def gradients(module, x, seed=1):
    x = x.clone().requires_grad_()
    y = module(x)
    torch.manual_seed(seed)
    (y * torch.randn_like(y)).sum().backward()
    return y.detach(), x.grad, *(parameter.grad for parameter in module.parameters())


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("size", [(8, 8), (7, 10), (1, 3), (9, 1)])
@pytest.mark.parametrize(("stride", "kernel"), [(1, 3), (2, 3), (3, 3), (2, 5), (2, 1)])
def test_same_as_the_library(stride, kernel, size, bias):
    own, library = pair(stride, bias, kernel)
    x = torch.randn(2, 4, *size)
    for mine, theirs in zip(gradients(own, x), gradients(library, x), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-5, atol=1e-5)


def test_gradient_by_hand():
    own = DepthwiseConv2d(1, 3, 2)
    with torch.no_grad():
        own.weight.copy_(torch.arange(9.0).reshape(1, 1, 3, 3))
    x = torch.zeros(1, 1, 3, 3, requires_grad=True)
    own(x).backward(torch.tensor([[[[1.0, 10.0], [100.0, 1000.0]]]]))
    # Outputs look at (0, 0), (0, 2), (2, 0), (2, 2); the kernel's middle is weight 4, so the
    # corners get 4 g. The cell between two outputs is the one's right (5) and the other's left
    # (3) neighbour, or the lower (7) and the upper (1); the middle is a corner (8, 6, 2, 0) of all.
    assert x.grad[0, 0].tolist() == [
        [4.0, 5.0 * 1 + 3 * 10, 40.0],
        [7.0 * 1 + 1 * 100, 8.0 * 1 + 6 * 10 + 2 * 100 + 0 * 1000, 7.0 * 10 + 1 * 1000],
        [400.0, 5.0 * 100 + 3 * 1000, 4000.0],
    ]
    assert own.bias.grad.tolist() == [1111.0]


def test_in_mixed_precision():
    own, library = pair(2)
    x = torch.randn(2, 4, 16, 16)
    results = []
    for module in (own, library):
        with torch.autocast("cpu", torch.bfloat16):
            y = module(x)
        y.float().square().sum().backward()
        results.append((y, *(parameter.grad for parameter in module.parameters())))
    assert results[0][0].dtype == torch.bfloat16
    for mine, theirs in zip(*results, strict=True):
        assert mine.dtype == theirs.dtype
        # bfloat16 has 8 bits; the gradients are sums of 128 terms.
        torch.testing.assert_close(mine, theirs, rtol=0.02, atol=0.02)


@pytest.mark.parametrize("needed", ["input", "weight"])
def test_what_needs_no_gradient_gets_none(needed):
    own, _ = pair(2)
    own.requires_grad_(needed == "weight")
    x = torch.randn(1, 4, 6, 6, requires_grad=needed == "input")
    own(x).sum().backward()
    assert (x.grad is not None) == (needed == "input")
    assert (own.weight.grad is not None) == (needed == "weight")


def test_memory_format_is_kept():
    own, _ = pair(2)
    x = torch.randn(2, 4, 8, 8).to(memory_format=torch.channels_last).requires_grad_()
    y = own(x)
    y.sum().backward()
    assert y.is_contiguous(memory_format=torch.channels_last)
    assert x.grad.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("height", [1, 2, 3])
def test_the_kernels_gradient_on_maps_one_cell_wide(height):
    """In bfloat16 the library adds what lies behind a row, up to 1e35 or NaN."""
    torch.manual_seed(0)
    conv = DepthwiseConv2d(64, 3, 2)
    cells = 8 * height * 64
    # The map lies, channels last, at the beginning of memory that is full of large numbers.
    memory = torch.full((cells + 65536,), 3e30, dtype=torch.bfloat16)
    memory[:cells] = torch.randn(cells)
    x = memory[:cells].view(8, height, 1, 64).permute(0, 3, 1, 2)
    grads = []
    for dtype in (torch.bfloat16, torch.float32):
        conv.zero_grad()
        conv.to(dtype)(x.to(dtype)).float().sum().backward()
        grads.append(conv.weight.grad.float())
    torch.testing.assert_close(*grads, rtol=0.01, atol=0.05)
