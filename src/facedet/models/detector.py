"""The detector: backbone, neck and heads, tied together by what they announce."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from facedet.models.anchors import AnchorGenerator
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
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        backbone: nn.Module,
        neck: Callable[..., nn.Module],
        anchors: Callable[..., AnchorGenerator],
        head: Callable[..., nn.Module],
        mean: Sequence[float] = (123.0, 117.0, 104.0),
        std: Sequence[float] = (1.0, 1.0, 1.0),
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.neck = neck(backbone.out_channels, backbone.strides)
        self.anchors = anchors(self.neck.strides)
        self.head = head(self.neck.out_channels, self.anchors.num_per_location)
        # Not part of the weights: the config says them, and the released weights have none.
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1), persistent=False)

    def normalize(self, images: Tensor) -> Tensor:
        """RGB images [B, 3, H, W], uint8 or float in 0 … 255, as the backbone wants them."""
        # float32 also under autocast: bfloat16 holds only 8 bits of a difference of pixel values.
        return (images.float() - self.mean) / self.std

    def forward(self, images: Tensor) -> Predictions:
        """RGB images [B, 3, H, W] in 0 … 255, of any size, to predictions in float32."""
        maps = self.neck(self.backbone(self.normalize(images)))
        logits, deltas = self.head(maps)
        sizes = [(x.shape[-2], x.shape[-1]) for x in maps]
        return Predictions(logits.float(), deltas.float(), self.anchors(sizes, images.device))
