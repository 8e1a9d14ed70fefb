"""How hard an image was, seen from its loss: what hard image mining goes by."""

from torch import Tensor


def hardest_positive(logits: Tensor, positive: Tensor) -> Tensor:
    """Lowest face score among each image's positive anchors (SmallHardFace, hard image mining).

    All positives count, before any miner takes its share. An image without a positive anchor has
    the score 1: as in the release it is an easy one.

    Args:
        logits: [B, A, 2] background, face.
        positive: [B, A] bool.

    Returns:
        [B] in [0, 1], without a gradient.
    """
    scores = logits.detach().softmax(dim=2)[..., 1]
    return scores.masked_fill(~positive, 1.0).amin(dim=1)
