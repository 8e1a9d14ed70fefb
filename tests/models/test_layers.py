"""Activations and building blocks."""

import pytest
import torch
from torch import nn

from facedet.errors import UsageError
from facedet.models.layers import ConvNormAct, InvertedResidual, LeakyReLU, activation

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


def test_only_prelu_learns():
    counts = {
        name: sum(value.numel() for value in activation(name).parameters())
        for name in ("relu", "leaky_relu", "prelu")
    }
    assert counts == {"relu": 0, "leaky_relu": 0, "prelu": 1}


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


@pytest.mark.parametrize("kernel", [1, 3])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("size", [(1, 1), (5, 8), (7, 9)])
def test_convolution_keeps_the_rounded_up_size(kernel, stride, size):
    block = ConvNormAct(3, 6, kernel, stride).eval()
    expected = (1, 6, -(-size[0] // stride), -(-size[1] // stride))
    assert block(torch.zeros(1, 3, *size)).shape == expected


def test_order_of_convolution_norm_and_activation():
    block = ConvNormAct(1, 1, act="leaky_relu").eval()
    nn.init.constant_(block.conv.weight, 2.0)
    block.norm.running_mean.fill_(10.0)
    block.norm.running_var.fill_(4.0 - block.norm.eps)
    # 2 * 1 = 2; (2 - 10) / 2 = -4; -4 * 0.25 = -1.
    assert block(torch.ones(1, 1, 1, 1)).item() == pytest.approx(-1.0)


def test_no_activation_is_linear():
    assert isinstance(ConvNormAct(3, 6).act, nn.Identity)


@pytest.mark.parametrize("stride", [1, 2])
def test_the_input_is_added_at_stride_one(stride):
    block = InvertedResidual(4, 3, stride, "relu").eval()
    nn.init.zeros_(block.project.norm.weight)
    x = torch.randn(2, 4, 6, 6)
    # The projection gives 0: what is left is the input, or nothing.
    expected = x if stride == 1 else torch.zeros(2, 4, 3, 3)
    assert torch.equal(block(x), expected)


def test_the_activated_projection_comes_before_the_addition():
    block = InvertedResidual(4, 2, 1, "relu", project_act="relu").eval()
    x = torch.full((1, 4, 3, 3), -5.0)
    nn.init.zeros_(block.project.norm.weight)
    nn.init.constant_(block.project.norm.bias, -1.0)
    # relu(-1) = 0 is added to -5; an activation of the sum would give 0.
    assert torch.equal(block(x), x)


def test_expansion():
    block = InvertedResidual(4, 3, 1, "relu")
    assert block.expand.conv.weight.shape == (12, 4, 1, 1)
    assert block.depthwise.conv.weight.shape == (12, 1, 3, 3)
    assert block.depthwise.conv.bias.shape == (12,)
    assert block.project.conv.weight.shape == (4, 12, 1, 1)
