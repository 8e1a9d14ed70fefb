"""Activations and building blocks."""

import os
import subprocess
import sys

import pytest
import torch
from torch import nn

from facedet.errors import UsageError
from facedet.models.layers import ConvNormAct, InvertedResidual, L2Norm, LeakyReLU, activation

POINTS = torch.tensor([-4.0, -1.0, 0.0, 2.0])


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("relu", [0.0, 0.0, 0.0, 2.0]),
        ("leaky_relu", [-1.0, -0.25, 0.0, 2.0]),
        ("prelu", [-1.0, -0.25, 0.0, 2.0]),
    ],
)
def test_activations_by_hand(name, expected):
    assert activation(name)(POINTS).tolist() == expected
    with torch.no_grad():
        assert activation(name)(POINTS).tolist() == expected


def test_unknown_activation():
    with pytest.raises(UsageError, match="'gelu' is unknown: use one of relu, leaky_relu, prelu"):
        activation("gelu")


@pytest.mark.parametrize(
    ("slope", "expected"), [(-0.5, [2.0, 0.5, 0.0, 2.0]), (1.5, [-6.0, -1.5, 0.0, 2.0])]
)
def test_leaky_relu_of_any_slope(slope, expected):
    # max(x, slope * x) would be wrong for both.
    assert LeakyReLU(slope)(POINTS).tolist() == expected
    overwritten = POINTS.clone()
    assert LeakyReLU(slope, inplace=True)(overwritten) is overwritten
    assert overwritten.tolist() == expected


def test_order_of_convolution_norm_and_activation():
    block = ConvNormAct(1, 1, act="leaky_relu").eval()
    nn.init.constant_(block.conv.weight, 2.0)
    block.norm.running_mean.fill_(10.0)
    block.norm.running_var.fill_(4.0 - block.norm.eps)
    # 2 * 1 = 2; (2 - 10) / 2 = -4; -4 * 0.25 = -1.
    assert block(torch.ones(1, 1, 1, 1)).item() == pytest.approx(-1.0)


@pytest.mark.parametrize("stride", [1, 2])
def test_the_input_is_added_at_stride_one(stride):
    block = InvertedResidual(4, 3, stride, "relu").eval()
    nn.init.zeros_(block.project.norm.weight)
    x = torch.randn(2, 4, 6, 6)
    # The projection gives 0: what is left is the input, or nothing.
    expected = x if stride == 1 else torch.zeros(2, 4, 3, 3)
    assert torch.equal(block(x), expected)


@pytest.mark.parametrize(("stride", "out"), [(1, 6), (2, 6), (2, 4)])
def test_other_channels_or_sizes_are_not_added_to(stride, out):
    block = InvertedResidual(4, 2, stride, "relu", out_channels=out, bias=False).eval()
    nn.init.zeros_(block.project.norm.weight)
    y = block(torch.randn(1, 4, 6, 6))
    assert torch.equal(y, torch.zeros(1, out, 6 // stride, 6 // stride))
    assert block.depthwise.conv.bias is None


def cells(*features, dtype=torch.float32):
    """A picture of one row: [1, C, 1, cells]."""
    return torch.tensor(features, dtype=dtype).T[None, :, None]


def test_features_get_one_length_and_channels_their_factors():
    norm = L2Norm(2, 10)
    # (3, 4) and (0.03, 0.04) have the direction (0.6, 0.8); nothing has none.
    x = cells((3.0, 4.0), (0.03, 0.04), (0.0, 0.0))
    torch.testing.assert_close(norm(x), cells((6.0, 8.0), (6.0, 8.0), (0.0, 0.0)))
    norm.weight.data = torch.tensor([10.0, 5.0])
    torch.testing.assert_close(norm(x), cells((6.0, 4.0), (6.0, 4.0), (0.0, 0.0)))


def test_factors_learn_and_nothing_is_divided_by_zero():
    norm = L2Norm(2, 10)
    x = cells((3.0, 4.0), (0.0, 0.0)).requires_grad_()
    norm(torch.relu(x)).sum().backward()
    torch.testing.assert_close(norm.weight.grad, torch.tensor([0.6, 0.8]))
    # Along (3, 4) nothing changes: 10 / 5 * ((1, 1) - 1.4 * (0.6, 0.8)).
    torch.testing.assert_close(x.grad, cells((0.32, -0.24), (0.0, 0.0)))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_lengths_in_other_precisions(dtype):
    # Squares of 3,000 and 4,000 are beyond half precision.
    y = L2Norm(2, 10)(cells((3000.0, 4000.0), (0.0, 0.0), dtype=dtype))
    assert y.dtype is dtype
    torch.testing.assert_close(y.float(), cells((6.0, 8.0), (0.0, 0.0)), rtol=0, atol=0.01)


NARROW = """
import sys, torch
from facedet.models.backbones.vgg_extended import Vgg16Extended
from facedet.models.layers import ConvNormAct
if sys.argv[1] == "vgg":
    net, x = Vgg16Extended(frozen_blocks=5), torch.randn(1, 3, 64, 64)
    # Small gradients: seventeen layers in bfloat16 round much.
    layer, weight = lambda x: net(x)[-1] / 100, net.conv7_2.weight
else:
    layer, x = ConvNormAct(32, 32, 3, stride=2).eval(), torch.randn(2, 32, 2, 1)
    weight = layer.conv.weight
grads = []
for dtype in (torch.float32, torch.bfloat16):
    weight.grad = None
    with torch.autocast("cpu", dtype, enabled=dtype is torch.bfloat16):
        layer(x).sum().backward()
    grads.append(weight.grad)
torch.testing.assert_close(grads[1], grads[0], rtol=0, atol=0.1)
"""


@pytest.mark.parametrize("network", ["layer", "vgg"])
def test_the_gradient_of_one_cell_in_bfloat16(network):
    # glibc fills memory that nobody has written with this.
    environment = {**os.environ, "MALLOC_PERTURB_": "128"}
    subprocess.run([sys.executable, "-c", NARROW, network], env=environment, check=True)
