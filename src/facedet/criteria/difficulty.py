"""How hard an image was, seen from its loss: what hard image mining goes by."""

from collections.abc import Sequence

import torch
from torch import Tensor

from facedet.boxes import area
from facedet.structures import NO_POSITIVE, Target


def hardest_positive(logits: Tensor, near: Tensor) -> Tensor:
    """Lowest face score among each image's near anchors (SmallHardFace, hard image mining).

    All of them count, before any miner takes its share.

    Args:
        logits: [B, A, 2] background, face.
        near: [B, A] bool, the positive anchors that lie well on their face; see `near_anchors`.

    Returns:
        [B] in [0, 1], or `NO_POSITIVE` of an image without such an anchor; without a gradient.
    """
    scores = logits.detach().softmax(dim=2)[..., 1]
    return scores.masked_fill(~near, NO_POSITIVE).amin(dim=1)


def near_anchors(
    matches: Tensor,
    targets: Sequence[Target],
    anchors: Tensor,
    threshold: float,
    plus_one: float = 0.0,
) -> Tensor:
    """The positive anchors whose IoU with the face that they serve reaches a threshold.

    A matcher may give a face anchors that hardly touch it, so that no face is left without one
    (SSD, S3FD). Their scores say little about the image.

    Args:
        matches: [B, A] face index of each anchor, below 0 for those that serve none.
        targets: B targets.
        anchors: [A, 4] xyxy pixels.
        threshold: IoU in [0, 1].
        plus_one: see `boxes.iou`.

    Returns:
        [B, A] bool.
    """
    near = torch.zeros_like(matches, dtype=torch.bool)
    edge = anchors.new_tensor([0.0, 0.0, plus_one, plus_one])
    for row, match, target in zip(near, matches, targets, strict=True):
        places = (match >= 0).nonzero().flatten()
        faces, own = target.boxes[match[places]], anchors[places]
        sides = torch.minimum(faces[:, 2:], own[:, 2:]) - torch.maximum(faces[:, :2], own[:, :2])
        shared = (sides + plus_one).clamp(min=0).prod(dim=1)
        union = area(faces + edge) + area(own + edge) - shared
        row[places] = shared / union >= threshold
    return near
