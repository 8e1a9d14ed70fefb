"""Building blocks of the backbones and necks: convolution, normalisation, activation."""

from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from facedet.errors import UsageError
from facedet.models.depthwise import DepthwiseConv2d
from facedet.models.scalar_prelu import ScalarPReLU

# PReLU starts at the slope that Leaky-ReLU keeps (EXTD §4: both 0.25).
LEAKY_SLOPE = 0.25
# The shortest length that L2Norm divides by: a cell of zeros stays zeros.
_SHORTEST = 1e-10


class LeakyReLU(nn.Module):
    """x where x > 0, else `slope * x`; holds any slope, also negative ones and those above 1.

    Args:
        slope: of the negative half.
        inplace: overwrite the input; for inference only.
    """

    def __init__(self, slope: float = LEAKY_SLOPE, inplace: bool = False) -> None:
        super().__init__()
        self.slope = slope
        self.inplace = inplace

    def forward(self, x: Tensor) -> Tensor:
        """Activation of x, of any shape."""
        return F.leaky_relu(x, self.slope, self.inplace)

    def extra_repr(self) -> str:
        """The slope, for printing."""
        return f"slope={self.slope}"


_ACTIVATIONS = {"relu": nn.ReLU, "leaky_relu": LeakyReLU, "prelu": ScalarPReLU}


def activation(name: str) -> nn.Module:
    """A new activation module: `relu`, `leaky_relu` (slope 0.25) or `prelu` (one scalar each)."""
    if name not in _ACTIVATIONS:
        raise UsageError(f"activation {name!r} is unknown: use one of {', '.join(_ACTIVATIONS)}")
    return _ACTIVATIONS[name]()


class ConvNormAct(nn.Module):
    """Convolution, batch normalisation and, where one is named, an activation.

    Args:
        in_channels: channels of the input [B, C, H, W].
        out_channels: channels of the output.
        kernel: side of the kernel; the padding keeps `ceil(H / stride)`.
        stride: of the convolution.
        groups: `in_channels` for a depthwise convolution.
        bias: give the convolution a bias although a normalisation follows (EXTD's depthwise
            layers have one in the released weights).
        act: name of the activation, or None for a linear output.
        norms: how many normalisations: a convolution that is applied several times to one image
            may have one for each pass, and one set of weights.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int = 1,
        stride: int = 1,
        groups: int = 1,
        bias: bool = False,
        act: str | None = None,
        norms: int = 1,
    ) -> None:
        super().__init__()
        self.conv: nn.Conv2d = (
            DepthwiseConv2d(in_channels, kernel, stride, bias)
            if groups == in_channels == out_channels > 1
            else nn.Conv2d(
                in_channels, out_channels, kernel, stride, kernel // 2, groups=groups, bias=bias
            )
        )
        self.norm: nn.Module = (
            nn.BatchNorm2d(out_channels)
            if norms == 1
            else nn.ModuleList(nn.BatchNorm2d(out_channels) for _ in range(norms))
        )
        self.act: nn.Module = activation(act) if act else nn.Identity()

    def forward(self, x: Tensor, index: int = 0) -> Tensor:
        """[B, C_in, H, W] to [B, C_out, ceil(H / stride), ceil(W / stride)], in pass `index`."""
        norm = self.norm[index] if isinstance(self.norm, nn.ModuleList) else self.norm
        return self.act(norm(convolve(self.conv, x)))


def convolve(conv: nn.Conv2d, x: Tensor) -> Tensor:
    """`conv(x)`, with gradients that are right for maps one cell wide too.

    In bfloat16 on CPUs (torch 2.13) the gradient of the weights of a strided convolution reads
    memory that nobody has written, where the input is one cell wide and the padding is its own.
    """
    is_narrow = x.device.type == "cpu" and x.shape[-1] == 1 and conv.stride[0] > 1
    if torch.is_grad_enabled() and is_narrow and conv.groups == 1:
        padded = F.pad(x, [conv.kernel_size[0] // 2] * 4)
        return F.conv2d(padded, conv.weight, conv.bias, conv.stride)
    return conv(x)


class InvertedResidual(nn.Module):
    """MobileNetV2's block: expand (1x1), filter (depthwise 3x3), project (1x1).

    Args:
        channels: of the input.
        expansion: hidden channels over `channels`; None: they are not expanded.
        stride: of the depthwise convolution.
        act: name of the activation after expansion and filter.
        project_act: name of the activation after the projection; None for a linear bottleneck.
        out_channels: of the output; None: as many as the input has. The input is added where
            they are as many and the stride is 1.
        bias: give the depthwise convolution a bias (see `ConvNormAct`).
    """

    def __init__(
        self,
        channels: int,
        expansion: int | None,
        stride: int,
        act: str,
        project_act: str | None = None,
        out_channels: int | None = None,
        bias: bool = True,
    ) -> None:
        super().__init__()
        hidden, width = (expansion or 1) * channels, out_channels or channels
        self.expand = ConvNormAct(channels, hidden, act=act) if expansion else nn.Identity()
        self.depthwise = ConvNormAct(hidden, hidden, 3, stride, groups=hidden, bias=bias, act=act)
        self.project = ConvNormAct(hidden, width, act=project_act)
        self.has_residual = stride == 1 and width == channels

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] to [B, C_out, ceil(H / stride), ceil(W / stride)]."""
        y = self.project(self.depthwise(self.expand(x)))
        return x + y if self.has_residual else y


class ResidualBlock(nn.Module):
    """ResNet's basic block: two plain 3x3 convolutions, the input added, then the activation.

    Args:
        channels: of input and output.
        act: name of the activation.
        norms: see `ConvNormAct`.
    """

    def __init__(self, channels: int, act: str, norms: int = 1) -> None:
        super().__init__()
        self.first = ConvNormAct(channels, channels, 3, act=act, norms=norms)
        self.second = ConvNormAct(channels, channels, 3, norms=norms)
        self.act = activation(act)

    def forward(self, x: Tensor, index: int = 0) -> Tensor:
        """[B, C, H, W] to the same shape, in pass `index`."""
        return self.act(x + self.second(self.first(x, index), index))


class L2Norm(nn.Module):
    """Gives the features of every cell one length, then weighs the channels (S3FD §3.1).

    Maps of different depths differ in size; the heads behind them start alike. The factors of the
    channels are learnt.

    Args:
        channels: of the map.
        scale: of all channels at the start, so the length that features get.
    """

    def __init__(self, channels: int, scale: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full((channels,), float(scale)))

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] to the same shape and type; a cell of zeros stays as it is."""
        # In half precision the squares overflow, and the shortest length is 0.
        wide = x.to(torch.promote_types(x.dtype, torch.float32))
        unit = F.normalize(wide, dim=1, eps=_SHORTEST)
        return (unit * self.weight.view(1, -1, 1, 1)).to(x.dtype)


def _init_convolution(fill: Callable[[Tensor], Tensor], module: nn.Module) -> None:
    """Fills a convolution's weights and sets its biases to 0; leaves other modules as they are."""
    if isinstance(module, nn.Conv2d):
        fill(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


# For `Module.apply`: Xavier-uniform, Gaussian of deviation 0.01, He's Gaussian (before ReLU).
xavier_init = partial(_init_convolution, nn.init.xavier_uniform_)
gaussian_init = partial(_init_convolution, partial(nn.init.normal_, std=0.01))
he_init = partial(_init_convolution, partial(nn.init.kaiming_normal_, nonlinearity="relu"))


def init_of(name: str, key: str) -> Callable[[nn.Module], None]:
    """`gaussian_init` or `he_init` by its name; `key` is the setting that it is the value of.

    Raises:
        UsageError: there is no such one.
    """
    inits = {"gaussian": gaussian_init, "he": he_init}
    if name not in inits:
        raise UsageError(f"{key}={name}: use {' or '.join(inits)}")
    return inits[name]
