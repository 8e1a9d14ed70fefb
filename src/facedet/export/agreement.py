"""Whether an exported network finds what PyTorch finds."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from facedet.box_coder import DecodedBoxes
from facedet.boxes import iou
from facedet.errors import FacedetError
from facedet.inference.engines.exported import ExportedNetwork
from facedet.inference.postprocess import NmsPostprocess
from facedet.structures import Detections, Predictions

# By precision: how much scores and, in px, corners may differ, how far above the cut a face counts
# here, and which share of these faces must be found.
_LIMITS = {
    "fp32": (1e-3, 0.5, 1e-3, 1.0),
    "fp16": (0.03, 4.0, 0.03, 0.95),
    "bf16": (0.1, 16.0, 0.1, 0.9),
    "int8": (0.4, 32.0, 0.1, 0.8),
}
_SAME_FACE = 0.5  # IoU


class Agreement(NamedTuple):
    """How an exported network compares with PyTorch's."""

    pictures: int
    faces: int  # that either finds, clearly above the cut
    matched: int  # of these, found by both
    score: float  # largest difference of a score; of matched faces at end-to-end
    pixels: float  # largest difference of a corner of a box above the cut

    def in_words(self) -> str:
        """A line for people."""
        return (
            f"compared with PyTorch on {self.pictures} pictures: {self.matched} of {self.faces} "
            f"faces are found by both, scores differ by up to {self.score:.1g}, corners by up to "
            f"{self.pixels:.1g} px"
        )


def require_agreement(
    net: nn.Module,
    box_coder: Any,  # noqa: ANN401
    exported: ExportedNetwork,
    pictures: Sequence[np.ndarray],
    source: str,
) -> Agreement:
    """Compares an exported network with the one that it was made of.

    Args:
        net: a `Detector` in evaluation mode.
        box_coder: its.
        exported: the file, opened again.
        pictures: RGB uint8 [H, W, 3].
        source: the file, for messages.

    Raises:
        FacedetError: they differ by more than the precision explains.
    """
    description = exported.description
    limit, pixels, margin, share = _LIMITS[description.precision]
    found = [_compare(net, box_coder, exported, picture, margin) for picture in pictures]
    agreement = Agreement(
        len(pictures),
        sum(one.faces for one in found),
        sum(one.matched for one in found),
        max(one.score for one in found),
        max(one.pixels for one in found),
    )
    is_far = agreement.score > limit or agreement.pixels > pixels
    if is_far or agreement.matched < share * agreement.faces:
        raise FacedetError(
            f"{source}: does not agree with PyTorch: {agreement.matched} of {agreement.faces} "
            f"faces are found by both, scores differ by up to {agreement.score:.2g} and corners by "
            f"up to {agreement.pixels:.2g} px; the file is not kept"
        )
    return agreement


@torch.no_grad()
def _compare(
    net: nn.Module,
    box_coder: Any,  # noqa: ANN401
    exported: ExportedNetwork,
    picture: np.ndarray,
    margin: float,
) -> Agreement:
    form, cut = exported.description.form, exported.description.score
    images = torch.from_numpy(picture).permute(2, 0, 1)[None]
    expected, given = net(images), exported(images)
    coder = box_coder if form == "raw" else DecodedBoxes()
    ours = _faces(expected, box_coder, cut - margin)
    others = _faces(given, coder, cut - margin)
    # A score at the cut may fall on either side of it.
    clear = [_above(faces, cut + margin) for faces in (ours, others)]
    partners = [_partners(clear[0], others), _partners(clear[1], ours)]
    faces, matched = sum(map(len, partners)), sum(int((one >= 0).sum()) for one in partners)
    if form == "end-to-end":
        pairs = partners[0] >= 0
        scores = clear[0].scores[pairs] - others.scores[partners[0][pairs]]
        boxes = clear[0].boxes[pairs] - others.boxes[partners[0][pairs]]
    else:
        first, second = (one.logits.softmax(dim=2)[0, :, 1] for one in (expected, given))
        scores, is_face = first - second, first > cut
        boxes = box_coder.decode(expected.deltas, expected.anchors)[0, is_face]
        boxes = boxes - coder.decode(given.deltas, given.anchors)[0, is_face]
    return Agreement(1, faces, matched, _largest(scores), _largest(boxes))


def _faces(predictions: Predictions, box_coder: Any, cut: float) -> Detections:  # noqa: ANN401
    return NmsPostprocess(box_coder, score=cut, keep=None)(predictions)[0]


def _above(faces: Detections, cut: float) -> Detections:
    return Detections(faces.boxes[faces.scores > cut], faces.scores[faces.scores > cut])


def _partners(faces: Detections, others: Detections) -> Tensor:
    """For each face the index of the other that covers it best; -1: there is none."""
    if not len(others.scores):
        return torch.full((len(faces.scores),), -1)
    best = iou(faces.boxes, others.boxes).max(dim=1)
    return best.indices.masked_fill(best.values < _SAME_FACE, -1)


def _largest(values: Tensor) -> float:
    return float(values.abs().max()) if values.numel() else 0.0
