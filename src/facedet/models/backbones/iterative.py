"""EXTD's backbone: a stem, then one shared block applied again and again (arXiv 1906.06579, §3)."""

from collections.abc import Sequence

from torch import Tensor, nn

from facedet.errors import UsageError
from facedet.models.layers import ConvNormAct, InvertedResidual, xavier_init

# Channels after the first convolution, at every width.
_STEM_CHANNELS = 64
# (expansion, stride) of the inverted residuals in the shared block, and whether their projections
# are activated: they differ by width in the authors' release.
_RELEASED = {
    32: (((2, 1), (2, 1), (4, 1), (4, 1), (2, 1), (2, 2)), True),
    48: (((2, 1), (2, 1), (4, 1), (4, 2)), False),
    64: (((2, 1), (2, 1), (4, 1), (4, 2)), False),
}


class IterativeBackbone(nn.Module):
    """Makes every feature map with the same block: s1 = F(E(x)), s_{k+1} = F(s_k).

    There is one set of weights and of normalisation statistics for all passes; in training each
    pass updates the shared statistics.

    Args:
        width: channels of every feature map. The released widths 32, 48 and 64 know their blocks;
            any other width needs `blocks`.
        passes: how often the block is applied; pass k gives the map of stride 2^(k+1).
        activation: `relu`, `leaky_relu` or `prelu`.
        blocks: (expansion, stride) of each inverted residual of the shared block; None takes the
            released list of the width. Their strides multiply to 2.
        project_activation: activate the linear projections too; None takes the width's released
            choice (True for 32, else False).

    Attributes:
        counted_by_walk: the paper counts multiply-adds by one walk over the modules.
    """

    counted_by_walk = True

    def __init__(
        self,
        width: int = 64,
        passes: int = 6,
        activation: str = "prelu",
        blocks: Sequence[Sequence[int]] | None = None,
        project_activation: bool | None = None,
    ) -> None:
        super().__init__()
        if passes < 1:
            raise UsageError(f"backbone.passes={passes}: at least one pass is needed")
        if blocks is None and width not in _RELEASED:
            known = ", ".join(str(known) for known in _RELEASED)
            raise UsageError(
                f"backbone.width={width} has no released block list: use one of {known}, "
                "or give backbone.blocks"
            )
        released_blocks, released_act = _RELEASED.get(width, ((), False))
        chosen = [(int(t), int(s)) for t, s in (released_blocks if blocks is None else blocks)]
        strides = [stride for _, stride in chosen]
        if sorted(strides) != [1] * (len(strides) - 1) + [2]:
            raise UsageError(f"backbone.blocks={chosen}: one block must have stride 2, the rest 1")
        projected = released_act if project_activation is None else project_activation
        project_act = activation if projected else None
        self.stem = ConvNormAct(3, _STEM_CHANNELS, 3, stride=2, act=activation)
        self.entry = InvertedResidual(
            _STEM_CHANNELS, None, 1, activation, project_act, out_channels=width
        )
        self.shared = nn.Sequential(
            *(InvertedResidual(width, t, stride, activation, project_act) for t, stride in chosen)
        )
        self.passes = passes
        self.out_channels = [width] * passes
        self.strides = [2 ** (k + 2) for k in range(passes)]
        self.apply(xavier_init)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Normalised images [B, 3, H, W] to maps [B, width, ceil(H / s), ceil(W / s)]."""
        x = self.entry(self.stem(images))
        maps = []
        for _ in range(self.passes):
            x = self.shared(x)
            maps.append(x)
        return maps
