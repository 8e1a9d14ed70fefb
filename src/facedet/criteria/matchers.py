"""Matchers: which face does an anchor serve?"""

from dataclasses import dataclass

import torch
from torch import Tensor

from facedet.errors import UsageError

BACKGROUND = -1  # an anchor that serves no face
NEITHER = -2  # an anchor that is not to be learned from


@dataclass(frozen=True)
class IoUMatcher:
    """SSD's rule: an anchor serves its best face from `threshold` on; no face is left without one.

    Each face's best anchor is forced to it, whatever their IoU; where two faces share their best
    anchor, the later face has it.

    Args:
        threshold: IoU from which an anchor is positive.
    """

    threshold: float = 0.35

    def __call__(self, overlaps: Tensor) -> Tensor:
        """IoU [G, A] to the face index [A] that each anchor serves, or `BACKGROUND`."""
        return self.match(overlaps)[0]

    def match(self, overlaps: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The match [A], and each anchor's best face [A] and overlap [A] (2 where forced)."""
        num_faces, num_anchors = overlaps.shape
        if num_faces == 0 or num_anchors == 0:
            nothing = torch.full((num_anchors,), BACKGROUND, device=overlaps.device)
            return nothing, nothing, overlaps.new_zeros(num_anchors)
        best_overlap, best_face = overlaps.max(dim=0)
        # One by one: with a repeated index an assignment leaves open which face comes last.
        for face, anchor in enumerate(overlaps.argmax(dim=1).tolist()):
            best_face[anchor] = face
            best_overlap[anchor] = 2.0
        match = best_face.masked_fill(best_overlap < self.threshold, BACKGROUND)
        return match, best_face, best_overlap


@dataclass(frozen=True)
class CompensatingMatcher(IoUMatcher):
    """S3FD's matching with a second pass for the faces that fall between the anchors' sizes.

    First pass as in `IoUMatcher`. The second makes anchors between `low` and `threshold` positive,
    best overlap first. How many: by default the released EXTD's rule, once per image (half the sum
    of the faces whose best IoU reaches `threshold` and of those whose best reaches `high`); with
    `per_face` S3FD's published rule (S3FD §3.2): every face with fewer anchors than the average
    of the first pass is filled up to it.

    Args:
        threshold: IoU of the first pass.
        low: an anchor of the second pass overlaps its face by more than this.
        high: see above.
        per_face: compensate face by face.
    """

    low: float = 0.1
    high: float = 0.5
    per_face: bool = False

    def __call__(self, overlaps: Tensor) -> Tensor:
        """IoU [G, A] to the face index [A] that each anchor serves, or `BACKGROUND`."""
        match, best_face, best_overlap = self.match(overlaps)
        if overlaps.numel() == 0:
            return match
        if self.per_face:
            return self._fill_each_face(overlaps, match)
        best_of_face = overlaps.amax(dim=1)
        reach = (best_of_face >= self.threshold).sum() + (best_of_face >= self.high).sum()
        between = (best_overlap > self.low) & (best_overlap < self.threshold)
        count = min(int(reach) // 2, int(between.sum()))
        candidates = best_overlap.masked_fill(~between, -1.0)
        chosen = candidates.argsort(descending=True, stable=True)[:count]
        match[chosen] = best_face[chosen]
        return match

    def _fill_each_face(self, overlaps: Tensor, match: Tensor) -> Tensor:
        num_faces = len(overlaps)
        counts = torch.bincount(match[match >= 0], minlength=num_faces)
        average = int(counts.sum()) // num_faces
        for face in (counts < average).nonzero().flatten().tolist():
            free = overlaps[face].masked_fill(match != BACKGROUND, 0.0)
            order = free.argsort(descending=True, stable=True)[: average - int(counts[face])]
            chosen = order[free[order] > self.low]
            match[chosen] = face
        return match


@dataclass(frozen=True)
class TwoThresholdMatcher:
    """Faster R-CNN's rule, as SmallHardFace has it: what lies between the thresholds is neither.

    No anchor is forced: a face whose best anchor stays below `positive` is left without one.

    Args:
        positive: IoU from which an anchor serves its best face.
        negative: IoU below which it is background.

    Raises:
        UsageError: `positive` is the lower one.
    """

    positive: float = 0.5
    negative: float = 0.3

    def __post_init__(self) -> None:
        if self.positive < self.negative:
            raise UsageError(
                f"matcher.positive={self.positive} lies below matcher.negative={self.negative}"
            )

    def __call__(self, overlaps: Tensor) -> Tensor:
        """IoU [G, A] to the face index [A] that each anchor serves, `BACKGROUND` or `NEITHER`."""
        if len(overlaps) == 0:
            return torch.full((overlaps.shape[1],), BACKGROUND, device=overlaps.device)
        best_overlap, best_face = overlaps.max(dim=0)
        match = best_face.masked_fill(best_overlap < self.positive, NEITHER)
        return match.masked_fill(best_overlap < self.negative, BACKGROUND)
