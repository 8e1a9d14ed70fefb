"""Whether an exported network finds what PyTorch finds."""

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from facedet.box_coder import DecodedBoxes
from facedet.boxes import iou
from facedet.errors import FacedetError
from facedet.export.graph import MAX_FACES
from facedet.inference.engines.exported import ExportedNetwork
from facedet.inference.postprocess import NmsPostprocess
from facedet.structures import Detections

# By precision: how much scores and, in px, corners may differ, how far above the cut a face counts
# here, and which share of these faces must be found.
_LIMITS = {
    "fp32": (1e-3, 0.5, 1e-3, 1.0),
    "fp16": (0.03, 4.0, 0.03, 0.95),
    "bf16": (0.1, 16.0, 0.1, 0.9),
    "int8": (0.4, 32.0, 0.1, 0.8),
}
# IoU below the threshold of the NMS at which a box still counts as suppressed: for rounding.
_ROUNDING = 1e-3
_FACES_AT_ONCE = 256  # compared with all candidates: it bounds the memory


class Agreement(NamedTuple):
    """How an exported network compares with PyTorch's."""

    pictures: int
    faces: int  # that either finds, clearly above the cut
    matched: int  # of these, found by both
    score: float  # largest difference of a score; at end-to-end from PyTorch's nearest candidate
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
    """Compares an exported network with the `Detector`, in evaluation mode, that it was made of.

    The pictures are RGB uint8 [H, W, 3]; messages name the file as `source`.

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
    about = exported.description
    is_whole, limit = about.form == "end-to-end", _LIMITS[about.precision]
    images = torch.from_numpy(picture).permute(2, 0, 1)[None]
    expected, given = net(images), exported(images)
    coder = box_coder if about.form == "raw" else DecodedBoxes()
    suppress = partial(
        NmsPostprocess,
        score=about.score - margin,
        iou=about.iou,
        top_k=len(expected.anchors),  # an exported NMS sees all candidates
        keep=MAX_FACES if is_whole else None,
    )
    ours, others = suppress(box_coder)(expected)[0], suppress(coder)(given)[0]
    # A score at the cut may fall on either side of it, and one at the end of a full list.
    ends = [float(one.scores[-1]) for one in (ours, others) if len(one.scores) == MAX_FACES]
    cut = max([about.score, *(ends if is_whole else [])]) + margin
    clear = [_above(faces, cut) for faces in (ours, others)]
    overlap = about.iou - _ROUNDING
    found = [
        _is_found(some, all_others, overlap, limit[0])
        for some, all_others in zip(clear, (others, ours), strict=True)
    ]
    first = expected.logits.softmax(dim=2)[0, :, 1]
    decoded = box_coder.decode(expected.deltas, expected.anchors)[0]
    if is_whole:
        scores, boxes = _from_nearest(clear[1], Detections(decoded, first), limit[0], limit[1])
    else:
        scores = first - given.logits.softmax(dim=2)[0, :, 1]
        boxes = (decoded - coder.decode(given.deltas, given.anchors)[0])[first > about.score]
    faces, matched = sum(map(len, found)), sum(int(one.sum()) for one in found)
    return Agreement(1, faces, matched, _largest(scores), _largest(boxes))


def _above(faces: Detections, cut: float) -> Detections:
    return Detections(faces.boxes[faces.scores > cut], faces.scores[faces.scores > cut])


def _is_found(faces: Detections, others: Detections, overlap: float, limit: float) -> Tensor:
    """Whether each face is among the others, or rightly suppressed by one of them.

    Of two candidates whose scores differ by rounding either may suppress the other, and then
    others that only one of them overlaps: the same NMS leaves other boxes.
    """
    is_near = iou(faces.boxes, others.boxes) > overlap
    return (is_near & (others.scores[None] >= faces.scores[:, None] - limit)).any(dim=1)


def _from_nearest(
    faces: Detections, candidates: Detections, limit: float, pixels: float
) -> tuple[Tensor, Tensor]:
    """How far scores [N] and boxes [N, 4] are from those of the candidate that is nearest."""
    unit = torch.tensor([pixels] * 4 + [limit])
    places, there = (
        torch.cat([one.boxes, one.scores[:, None]], dim=1) / unit for one in (faces, candidates)
    )
    nearest = [
        torch.cdist(some, there, p=torch.inf).argmin(dim=1) for some in places.split(_FACES_AT_ONCE)
    ]
    index = torch.cat(nearest)
    return faces.scores - candidates.scores[index], faces.boxes - candidates.boxes[index]


def _largest(values: Tensor) -> float:
    return float(values.abs().max()) if values.numel() else 0.0
