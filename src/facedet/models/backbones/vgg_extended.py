"""S3FD's backbone: VGG16 with further layers down to stride 128 (arXiv 1708.05237, §3.1)."""

import math
from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from facedet.errors import UsageError
from facedet.models.backbones.vgg import Vgg16
from facedet.models.layers import L2Norm, convolve, xavier_init


class Vgg16Extended(Vgg16):
    """Six maps: conv3_3, conv4_3 and conv5_3 of VGG16, then fc7, conv6_2 and conv7_2.

    The layers have Caffe's names. fc6 and fc7 are convolutions of 1,024 channels. VGG16's part
    starts as in `Vgg16`; the layers behind it, also fc6 and fc7, from Xavier's weights, whereas
    the paper cuts fc6 and fc7 out of VGG16's classifier.

    Args:
        frozen_blocks: so many first blocks of VGG16 keep their weights (S3FD: none).
        scales: length that the features of conv3_3, conv4_3 and conv5_3 get at the start; None:
            they are handed on as they are (PyramidBox).
        fc6_dilation: of fc6, whose cells lie that far apart (PyramidBox: 1).

    Attributes:
        counted_by_walk: EXTD's paper counts S3FD's multiply-adds by one walk over the modules;
            PyramidBox is not in it.

    Raises:
        UsageError: a scale is missing or not above 0, or there are no such blocks.
    """

    def __init__(
        self,
        frozen_blocks: int = 0,
        scales: Sequence[float] | None = (10.0, 8.0, 5.0),
        fc6_dilation: int = 3,
    ) -> None:
        super().__init__(frozen_blocks, maps=(3, 4, 5))
        if scales and (len(scales) != 3 or not all(0 < scale < math.inf for scale in scales)):
            raise UsageError(
                f"backbone.scales={list(scales)}: three numbers above 0 are expected, for conv3_3, "
                "conv4_3 and conv5_3"
            )
        self.norms = nn.ModuleList(
            L2Norm(width, scale) if scale else nn.Identity()
            for width, scale in zip(self.out_channels, scales or (None,) * 3, strict=True)
        )
        self.counted_by_walk = bool(scales)
        self.pool5 = nn.MaxPool2d(2, ceil_mode=True)
        # S3FD's: every third cell of the classifier's 7 x 7, as far apart as they were.
        self.fc6 = nn.Conv2d(512, 1024, 3, padding=fc6_dilation, dilation=fc6_dilation)
        self.fc7 = nn.Conv2d(1024, 1024, 1)
        self.conv6_1 = nn.Conv2d(1024, 256, 1)
        self.conv6_2 = nn.Conv2d(256, 512, 3, stride=2, padding=1)
        self.conv7_1 = nn.Conv2d(512, 128, 1)
        self.conv7_2 = nn.Conv2d(128, 256, 3, stride=2, padding=1)
        for pair in self._pairs():
            for layer in pair:
                xavier_init(layer)
        self.out_channels += [last.out_channels for _, last in self._pairs()]
        self.strides += [32, 64, 128]

    def _pairs(self) -> tuple[tuple[nn.Conv2d, nn.Conv2d], ...]:
        """The layers behind pool5: each pair makes a map."""
        return (self.fc6, self.fc7), (self.conv6_1, self.conv6_2), (self.conv7_1, self.conv7_2)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Normalised images [B, 3, H, W] to maps [B, C, ceil(H / s), ceil(W / s)], s = 4 … 128."""
        from_vgg = super().forward(images)
        maps = [norm(x) for norm, x in zip(self.norms, from_vgg, strict=True)]
        x = self.pool5(from_vgg[-1])
        for first, last in self._pairs():
            x = F.relu(first(x), inplace=True)
            x = F.relu(convolve(last, x), inplace=True)
            maps.append(x)
        return maps
