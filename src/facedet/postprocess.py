"""From predictions to faces: score, cut, decode, suppress; and from several passes to one."""

from dataclasses import dataclass

from torch import Tensor

from facedet.box_coder import SsdBoxCoder
from facedet.boxes import nms, vote
from facedet.structures import Detections, Predictions


@dataclass(frozen=True)
class NmsPostprocess:
    """Softmax, score cut, top-k, decoding of what is left, greedy NMS (EXTD's release, §5).

    Args:
        box_coder: decodes the deltas.
        score: scores above this stay; 0.05 and less for AP, 0.5 and more for pictures.
        top_k: the best so many go into the NMS.
        iou: NMS threshold.
        keep: detections per image at the most.
    """

    box_coder: SsdBoxCoder
    score: float = 0.05
    top_k: int = 5000
    iou: float = 0.3
    keep: int = 750

    def __call__(self, predictions: Predictions) -> list[Detections]:
        """Detections of each of the B images, best first, in pixels of the network's input."""
        scores = predictions.logits.softmax(dim=2)[..., 1]
        return [
            self._one(*image, predictions.anchors)
            for image in zip(scores, predictions.deltas, strict=True)
        ]

    def _one(self, scores: Tensor, deltas: Tensor, anchors: Tensor) -> Detections:
        index = (scores > self.score).nonzero().flatten()
        if len(index) > self.top_k:
            index = index[scores[index].topk(self.top_k).indices]
        boxes = self.box_coder.decode(deltas[index], anchors[index])
        kept = nms(boxes, scores[index], self.iou, limit=self.keep)
        return Detections(boxes[kept], scores[index[kept]])


@dataclass(frozen=True)
class NmsMerge:
    """Joins the detections of several passes by greedy NMS.

    Args:
        iou: NMS threshold.
        keep: detections at the most.
    """

    iou: float = 0.3
    keep: int = 750

    def __call__(self, found: Detections) -> Detections:
        """Detections of one picture, from all passes, to the merged ones, best first."""
        kept = nms(found.boxes, found.scores, self.iou, limit=self.keep)
        return Detections(found.boxes[kept], found.scores[kept])


@dataclass(frozen=True)
class VoteMerge:
    """Joins the detections of several passes by box voting (EXTD's and S3FD's WIDER test).

    Args:
        iou: overlap from which boxes vote together.
        keep: detections at the most.
        keep_singletons: keep what only one pass saw; the releases drop it.
    """

    iou: float = 0.3
    keep: int = 750
    keep_singletons: bool = False

    def __call__(self, found: Detections) -> Detections:
        """Detections of one picture, from all passes, to the merged ones, best first."""
        boxes, scores = vote(found.boxes, found.scores, self.iou, self.keep_singletons)
        return Detections(boxes[: self.keep], scores[: self.keep])
