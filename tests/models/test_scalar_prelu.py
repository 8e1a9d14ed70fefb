"""PReLU with one slope against the library's."""

import pytest
import torch
from torch import nn

from facedet.models.scalar_prelu import ScalarPReLU

# The released slopes run from -0.72 to 1.82.
SLOPES = [-0.72, 0.0, 0.25, 1.0, 1.82]


def pair(slope, dtype=torch.float32):
    own, library = ScalarPReLU(), nn.PReLU()
    with torch.no_grad():
        own.weight.fill_(slope)
        library.weight.fill_(slope)
    return own, library.to(dtype)


def points(dtype=torch.float32):
    torch.manual_seed(1)
    x = torch.randn(2, 5, 7, 6).to(dtype)
    # The kink belongs to the negative half.
    x[0, 0, 0, :3] = torch.tensor([0.0, -0.0, 1e-30], dtype=dtype)
    return x, torch.randn_like(x)


def gradients(module, x, weights):
    x = x.clone().requires_grad_()
    y = module(x)
    (y * weights).sum().backward()
    return y.detach(), x.grad, module.weight.grad


def test_gradient_by_hand():
    module = ScalarPReLU()
    x = torch.tensor([-2.0, 3.0, -1.0])
    y, grad_x, grad_slope = gradients(module, x, torch.tensor([1.0, 10.0, 5.0]))
    assert y.tolist() == [-0.5, 3.0, -0.25]
    assert grad_x.tolist() == [0.25, 10.0, 1.25]
    # -2 * 1 + -1 * 5
    assert grad_slope.tolist() == [-7.0]


@pytest.mark.parametrize("slope", SLOPES)
def test_same_as_the_library(slope):
    own, library = pair(slope)
    for mine, theirs in zip(gradients(own, *points()), gradients(library, *points()), strict=True):
        torch.testing.assert_close(mine, theirs)


@pytest.mark.parametrize("slope", SLOPES)
def test_same_as_the_library_in_bfloat16(slope):
    own, library = pair(slope, torch.bfloat16)
    x, weights = points(torch.bfloat16)
    y, grad_x, grad_slope = gradients(own, x, weights)
    expected_y, expected_grad, _ = gradients(library, x, weights)
    assert (y.dtype, grad_x.dtype) == (torch.bfloat16, torch.bfloat16)
    # bfloat16 has 8 bits, and only the library rounds the slope to them too.
    torch.testing.assert_close(y, expected_y, rtol=0.01, atol=1e-3)
    torch.testing.assert_close(grad_x, expected_grad, rtol=0.01, atol=1e-3)
    # The slope and its gradient stay float32: here the exact sum is the measure.
    exact = (x.float().clamp(max=0) * weights.float()).sum()
    assert grad_slope.dtype == torch.float32
    torch.testing.assert_close(grad_slope, exact.reshape(1), rtol=0.01, atol=0.02)


def test_the_slopes_gradient_is_summed_in_float32():
    # 257 is no bfloat16: the next are 256 and 258.
    x = torch.full((257,), -1.0, dtype=torch.bfloat16)
    _, _, grad_slope = gradients(ScalarPReLU(), x, torch.ones_like(x))
    assert grad_slope.tolist() == [-257.0]


def test_the_slope_takes_part_in_autocast():
    own = ScalarPReLU()
    convolution = nn.Conv2d(3, 4, 1)
    with torch.autocast("cpu", torch.bfloat16):
        y = own(convolution(torch.randn(1, 3, 5, 5)))
    y.float().sum().backward()
    assert y.dtype == torch.bfloat16
    assert own.weight.grad.dtype == torch.float32
    assert convolution.weight.grad.abs().sum() > 0
