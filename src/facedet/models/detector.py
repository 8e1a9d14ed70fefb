"""The detector: backbone, neck and heads, tied together by what they announce."""

import math
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from facedet.errors import UsageError
from facedet.models.anchors import LevelAnchors
from facedet.structures import Predictions


class Detector(nn.Module):
    """Images to predictions: normalise, backbone, neck, head; the anchors go with them.

    Args:
        backbone: images to maps; announces `out_channels` and `strides`, fine to coarse.
        neck: called with (out_channels, strides) of the backbone; announces the same.
        anchors: called with the neck's strides; announces `num_per_location`.
        head: called with (out_channels of the neck, num_per_location of the anchors).
        mean: RGB values in 0 … 255 that are subtracted from the image.
        std: RGB values that it is divided by (EXTD: 1, no scaling).
        enlarge: the picture is enlarged so many times (nearest) before the backbone sees it: what
            a small face wants at no more parameters, but its square in time. Anchors are as many
            times smaller in the picture's pixels.
        multiple: height and width are then padded to a multiple of this (px), to the right and
            below, with zeros after the mean is subtracted; 1: not padded.

    Raises:
        UsageError: `enlarge` or `multiple` is below 1.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        backbone: nn.Module,
        neck: Callable[..., nn.Module],
        anchors: Callable[..., LevelAnchors],
        head: Callable[..., nn.Module],
        mean: Sequence[float] = (123.0, 117.0, 104.0),
        std: Sequence[float] = (1.0, 1.0, 1.0),
        multiple: int = 1,
        enlarge: float = 1.0,
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.neck = neck(backbone.out_channels, backbone.strides)
        if multiple < 1:
            raise UsageError(f"model.net.multiple={multiple}: expected 1 or more")
        if not 1 <= enlarge < math.inf:
            raise UsageError(f"model.net.enlarge={enlarge}: expected 1 or more")
        self.multiple = multiple
        self.enlarge = enlarge
        self.anchors = anchors(self.neck.strides)
        self.head = head(self.neck.out_channels, self.anchors.num_per_location)
        # Not part of the weights: the config says them, and the released weights have none.
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1), persistent=False)

    def normalize(self, images: Tensor) -> Tensor:
        """RGB images [B, 3, H, W], uint8 or float in 0 … 255, as the backbone wants them."""
        # float32 also under autocast: bfloat16 holds only 8 bits of a difference of pixel values.
        return (images.to(self.mean.device).float() - self.mean) / self.std

    def forward(self, images: Tensor) -> Predictions:
        """RGB images [B, 3, H, W] in 0 … 255, of any size, to predictions in float32 or better.

        They may lie on another device than the network.
        """
        height, width = images.shape[-2:]
        x = self.normalize(images)
        if self.enlarge > 1:
            x = F.interpolate(x, scale_factor=self.enlarge, mode="nearest-exact")
        if self.multiple > 1:
            rows, columns = x.shape[-2:]
            x = F.pad(x, (0, -columns % self.multiple, 0, -rows % self.multiple))
        maps = self.neck(self.backbone(x))
        logits, deltas = self.head(maps)
        sizes = [(one.shape[-2], one.shape[-1]) for one in maps]
        anchors = self.anchors(sizes, x.device)
        if self.enlarge > 1:
            anchors = anchors / self.enlarge
        counts = zip(sizes, self.anchors.num_per_location, strict=True)
        levels = tuple(rows * columns * count for (rows, columns), count in counts)
        # Half precisions are for the layers; scores, boxes and losses need more.
        single = torch.promote_types(logits.dtype, torch.float32)
        return Predictions(logits.to(single), deltas.to(single), anchors, levels, (height, width))
