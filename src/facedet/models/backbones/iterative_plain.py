"""EXTD's iteration with plain 3x3 convolutions: one shared body makes every feature map."""

from torch import Tensor, nn

from facedet.errors import UsageError
from facedet.models.layers import ConvNormAct, ResidualBlock, he_init


class IterativePlainBackbone(nn.Module):
    """Makes every feature map with the same body: m_1 = F(E(x)), m_{k+1} = F(D(m_k)).

    EXTD's block spends its time in depthwise convolutions, and half of it at twice the resolution
    of the map it makes. Here the body F is residual blocks of plain 3x3 convolutions at the map's
    own resolution, and one shared convolution D of stride 2 leads to the next pass. Dense kernels
    of few channels are quick on CPUs (as in EResFD, arXiv 2204.01209). As in EXTD there is one set
    of weights and of normalisation statistics for all passes.

    Args:
        width: channels of every feature map.
        passes: how often the body is applied; pass k gives the map of stride 2^(k+1).
        blocks_per_pass: residual blocks of the body.
        stem_width: channels between the two convolutions of the stem.
        activation: `relu`, `leaky_relu` or `prelu`.
    """

    def __init__(
        self,
        width: int = 64,
        passes: int = 6,
        blocks_per_pass: int = 1,
        stem_width: int = 24,
        activation: str = "relu",
    ) -> None:
        super().__init__()
        for name, value in (
            ("width", width),
            ("passes", passes),
            ("blocks_per_pass", blocks_per_pass),
            ("stem_width", stem_width),
        ):
            if value < 1:
                raise UsageError(f"backbone.{name}={value}: at least 1 is needed")
        self.stem = nn.Sequential(
            ConvNormAct(3, stem_width, 3, stride=2, act=activation),
            ConvNormAct(stem_width, width, 3, stride=2, act=activation),
        )
        self.shared = nn.Sequential(
            *(ResidualBlock(width, activation) for _ in range(blocks_per_pass))
        )
        self.down = ConvNormAct(width, width, 3, stride=2, act=activation)
        self.passes = passes
        self.out_channels = [width] * passes
        self.strides = [2 ** (k + 2) for k in range(passes)]
        self.apply(he_init)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Normalised images [B, 3, H, W] to maps [B, width, ceil(H / s), ceil(W / s)]."""
        maps = [self.shared(self.stem(images))]
        for _ in range(self.passes - 1):
            maps.append(self.shared(self.down(maps[-1])))
        return maps
