"""How hard an image was, seen from its loss: what hard image mining goes by."""

from collections.abc import Sequence

import torch
from torch import Tensor

from facedet.boxes import paired_overlap
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
    for row, match, target in zip(near, matches, targets, strict=True):
        places = (match >= 0).nonzero().flatten()
        faces = target.boxes[match[places]]
        shared, union = paired_overlap(faces, anchors[places], plus_one)
        row[places] = shared / union >= threshold
    return near
