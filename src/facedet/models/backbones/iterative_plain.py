"""EXTD's iteration with plain 3x3 convolutions: one shared body makes every feature map."""

from torch import Tensor, nn

from facedet.errors import UsageError
from facedet.models.layers import ConvNormAct, ResidualBlock, he_init

_STEM_STRIDE = 4


class IterativePlainBackbone(nn.Module):
    """Makes every feature map with the same body: m_1 = F(E(x)), m_{k+1} = F(D(m_k)).

    EXTD's block spends its time in depthwise convolutions, and half of it at twice the resolution
    of the map it makes. Here the body F is residual blocks of plain 3x3 convolutions at the map's
    own resolution, and one shared convolution D of stride 2 leads to the next pass. Dense kernels
    of few channels are quick on CPUs (as in EResFD, arXiv 2204.01209). There is one set of weights
    for all passes and, as in EXTD, one of normalisation statistics.

    Args:
        width: channels of every feature map.
        passes: how often the body is applied; every pass doubles the stride.
        blocks_per_pass: residual blocks of the body.
        stem_width: channels between the two convolutions of the stem.
        activation: `relu`, `leaky_relu` or `prelu`.
        first_stride: of the first map: 4, or 8 with one more use of D in front of it.
        norm_per_pass: every pass has normalisations of its own, so that a training by batch
            statistics sees what the test does.
    """

    def __init__(
        self,
        width: int = 64,
        passes: int = 6,
        blocks_per_pass: int = 1,
        stem_width: int = 24,
        activation: str = "relu",
        first_stride: int = 4,
        norm_per_pass: bool = False,
    ) -> None:
        super().__init__()
        if first_stride not in (4, 8):
            raise UsageError(f"backbone.first_stride={first_stride}: 4 or 8 is needed")
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
        self.first_down = 0 if first_stride > _STEM_STRIDE else 1  # the pass that begins with D
        norms, downs = (passes, passes - self.first_down) if norm_per_pass else (1, 1)
        self.shared = nn.ModuleList(
            ResidualBlock(width, activation, norms) for _ in range(blocks_per_pass)
        )
        self.down = ConvNormAct(width, width, 3, stride=2, act=activation, norms=downs)
        self.passes = passes
        self.out_channels = [width] * passes
        self.strides = [first_stride * 2**k for k in range(passes)]
        self.apply(he_init)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Normalised images [B, 3, H, W] to maps [B, width, ceil(H / s), ceil(W / s)]."""
        x, maps = self.stem(images), []
        for index in range(self.passes):
            if index >= self.first_down:
                x = self.down(x, index - self.first_down)
            for block in self.shared:
                x = block(x, index)
            maps.append(x)
        return maps
