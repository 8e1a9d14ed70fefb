"""From predictions to faces: score, cut, decode, suppress; and from several passes to one."""

from dataclasses import dataclass
from typing import ClassVar, get_args

from torch import Tensor

from facedet.box_coder import DecodedBoxes, FasterRcnnBoxCoder, SsdBoxCoder
from facedet.boxes import Singletons, clip, nms, vote
from facedet.errors import UsageError
from facedet.structures import Detections, Predictions


@dataclass(frozen=True)
class NmsPostprocess:
    """Softmax, score cut, top-k, decoding of what is left, greedy NMS (EXTD's release, §5).

    Without the NMS it gives the candidates of one pass to a merge that lets them vote, as
    SmallHardFace's release does (score 0.002, of which it also takes the value itself, top 10,000,
    clipped, one box at the least).

    Args:
        box_coder: decodes the deltas.
        score: scores above this stay; 0.05 and less for AP, 0.5 and more for pictures.
        top_k: the best so many go into the NMS, and all of scores above `sure`.
        iou: NMS threshold; None: no NMS.
        keep: detections per image at the most; None: no limit.
        clip: move boxes into the image, to coordinates of pixels: 0 … width - 1, 0 … height - 1.
        at_least: the best so many stay whatever their score.
        sure: see `top_k`; at 1 nothing is.

    Raises:
        UsageError: `iou` is not 0 … 1.
    """

    box_coder: SsdBoxCoder | FasterRcnnBoxCoder | DecodedBoxes
    score: float = 0.05
    top_k: int = 5000
    iou: float | None = 0.3
    keep: int | None = 750
    clip: bool = False
    at_least: int = 0
    sure: float = 1.0

    def __post_init__(self) -> None:
        if self.iou is not None:
            _require_iou("postprocess", self.iou)

    def __call__(self, predictions: Predictions) -> list[Detections]:
        """Detections of each of the B images, best first, in pixels of the network's input."""
        scores = predictions.logits.softmax(dim=2)[..., 1]
        return [
            self._one(*image, predictions.anchors, predictions.size)
            for image in zip(scores, predictions.deltas, strict=True)
        ]

    def _one(
        self, scores: Tensor, deltas: Tensor, anchors: Tensor, size: tuple[int, int] | None
    ) -> Detections:
        index = (scores > self.score).nonzero().flatten()
        if len(index) < self.at_least:
            index = scores.topk(min(self.at_least, len(scores))).indices
        if len(index) > self.top_k:
            limit = max(self.top_k, int((scores > self.sure).sum()))
            index = index[scores[index].topk(min(limit, len(index))).indices]
        boxes = self.box_coder.decode(deltas[index], anchors[index])
        if self.clip and size is not None:
            boxes = clip(boxes, (size[0] - 1, size[1] - 1))
        scores = scores[index]
        if self.iou is None:
            kept = scores.argsort(descending=True, stable=True)[: self.keep]
        else:
            kept = nms(boxes, scores, self.iou, limit=self.keep)
        return Detections(boxes[kept], scores[kept])


@dataclass(frozen=True)
class NmsMerge:
    """Joins the detections of several passes by greedy NMS.

    Args:
        iou: NMS threshold.
        keep: detections at the most; None: no limit.

    Raises:
        UsageError: `iou` is not 0 … 1.
    """

    iou: float = 0.3
    keep: int | None = 750
    raw: ClassVar[bool] = False  # an NMS of what an NMS left changes nothing

    def __post_init__(self) -> None:
        _require_iou("merge", self.iou)

    def __call__(self, found: Detections) -> Detections:
        """Detections of one picture, from all passes, to the merged ones, best first."""
        kept = nms(found.boxes, found.scores, self.iou, limit=self.keep)
        return Detections(found.boxes[kept], found.scores[kept])


@dataclass(frozen=True)
class VoteMerge:
    """Joins the detections of several passes by box voting (EXTD's and SmallHardFace's WIDER test).

    Nothing found stays nothing. SmallHardFace's release then gives a box (10, 10, 20, 20) of score
    0.0001, because its blobs cannot be empty; in a result file it would be a false alarm, and the
    lowest score of the set, from which WIDER's evaluation counts its thresholds.

    Args:
        iou: overlap from which boxes vote together.
        keep: detections at the most; None: no limit.
        score: of all passes' boxes only those with scores above this vote.
        singletons: what becomes of a box that nothing else votes for: drop (EXTD's release),
            keep, or keep_last, which drops it unless it is the last box left (SmallHardFace's).
        raw: the passes come without an NMS, so a single one has to be merged too.

    Raises:
        UsageError: `singletons` is none of these, or `iou` not 0 … 1.
    """

    iou: float = 0.3
    keep: int | None = 750
    score: float = 0.0
    singletons: Singletons = "drop"
    raw: bool = False

    def __post_init__(self) -> None:
        _require_iou("merge", self.iou)
        if self.singletons not in get_args(Singletons):
            choices = ", ".join(get_args(Singletons))
            raise UsageError(f"merge.singletons={self.singletons!r}: there are {choices}")

    def __call__(self, found: Detections) -> Detections:
        """Detections of one picture, from all passes, to the merged ones, best first."""
        voting = found.scores > self.score
        boxes, scores = vote(found.boxes[voting], found.scores[voting], self.iou, self.singletons)
        return Detections(boxes[: self.keep], scores[: self.keep])


def _require_iou(part: str, value: float) -> None:
    """Raises `UsageError` where the IoU of a part of a protocol is none."""
    if not (isinstance(value, int | float) and 0 <= value <= 1):
        raise UsageError(f"{part}.iou={value}: expected 0 … 1")
