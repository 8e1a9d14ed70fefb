"""MobileFaceNet (Chen et al., arXiv 1804.07573) as a backbone for S3FD's heads; our reading."""

from torch import Tensor, nn

from facedet.models.layers import ConvNormAct, InvertedResidual, xavier_init

_STEM_CHANNELS = 64
# (expansion, channels, blocks, stride of the first block) of the bottlenecks up to the map of
# stride 4, then to that of 8, then to that of 16 (MobileFaceNet, table 1).
_BODY = (
    ((2, 64, 5, 2),),
    ((4, 128, 1, 2), (2, 128, 6, 1)),
    ((4, 128, 1, 2), (2, 128, 2, 1)),
)
# Maps behind the body, at strides 32, 64 and 128.
_FURTHER = 3


def _bottlenecks(
    width: int, expansion: int, channels: int, count: int, stride: int, act: str
) -> list[nn.Module]:
    """A row of the table: `width` channels to `channels`, the first block with the stride."""
    first = InvertedResidual(width, expansion, stride, act, out_channels=channels, bias=False)
    others = (InvertedResidual(channels, expansion, 1, act, bias=False) for _ in range(1, count))
    return [first, *others]


class MobileFaceNet(nn.Module):
    """Six maps: the last of the body's strides 4, 8 and 16, and three of further layers.

    EXTD's paper compares with S3FD on this network; how it was extended there is not known. Our
    reading: the body ends with its last bottleneck, without the layers that make an embedding of
    a face. Behind it come pairs in S3FD's manner (like conv6_1 and conv6_2): a 1x1 convolution
    to half the channels, then a 3x3 convolution of stride 2 to all 128. They are normalised and
    activated as the body is, so no map needs S3FD's L2 normalisation. New weights are Xavier's.

    Args:
        activation: `relu`, `leaky_relu` or `prelu`. PReLU has one slope per layer, as in EXTD;
            MobileFaceNet has one per channel.

    Attributes:
        counted_by_walk: multiply-adds are also counted in the way of EXTD's paper, to compare.

    Raises:
        UsageError: the activation is unknown.
    """

    counted_by_walk = True

    def __init__(self, activation: str = "prelu") -> None:
        super().__init__()
        width = _STEM_CHANNELS
        self.stem = nn.Sequential(
            ConvNormAct(3, width, 3, stride=2, act=activation),
            ConvNormAct(width, width, 3, groups=width, act=activation),
        )
        self.body = nn.ModuleList()
        self.out_channels: list[int] = []
        for rows in _BODY:
            blocks: list[nn.Module] = []
            for expansion, channels, count, stride in rows:
                blocks += _bottlenecks(width, expansion, channels, count, stride, activation)
                width = channels
            self.body.append(nn.Sequential(*blocks))
            self.out_channels.append(width)
        self.further = nn.ModuleList(
            nn.Sequential(
                ConvNormAct(width, width // 2, act=activation),
                ConvNormAct(width // 2, width, 3, stride=2, act=activation),
            )
            for _ in range(_FURTHER)
        )
        self.out_channels += [width] * _FURTHER
        self.strides = [2 ** (level + 2) for level in range(len(self.out_channels))]
        self.apply(xavier_init)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Normalised images [B, 3, H, W] to maps [B, C, ceil(H / s), ceil(W / s)], s = 4 … 128."""
        x = self.stem(images)
        maps = []
        for part in (*self.body, *self.further):
            x = part(x)
            maps.append(x)
        return maps
