"""What WIDER FACE's protocol says of every single detection and face, and what each error costs.

The verdicts are those of `facedet.metrics.functional`, so their sums are the numbers of `WiderAP`.
In the manner of TIDE (Bolya et al., 2020), an oracle fixes the errors of one kind and nothing else,
and the AP is computed again. The kinds are those of a single class under WIDER FACE's protocol, in
which the faces outside a subset are ignored.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from facedet import boxes as box_ops
from facedet.evaluation.detection_files import to_detections
from facedet.metrics.functional import (
    average_precision,
    judge_detections,
    match_detections,
    normalise_scores,
    precision_recall,
)
from facedet.structures import Record

# IoU from which a box that matches no face counts as badly localised, not as background.
NEAR = 0.3
KINDS = """\
Faces missed: no box reaches IoU 0.3; crowded out: boxes do, but match other faces or lie nearer to
them; low-scored: found below the operating score. Boxes badly localised: nearest to a face at IoU
0.3 or more, but too far to match it; near an ignored face: likewise, to a face that does not count;
duplicate: the face has a better-scored one; background: IoU below 0.3 with every face."""


class Verdicts(NamedTuple):
    """What the protocol says of a set's D detections and F faces in I images, S subsets.

    AP, recall and precision are in [0, 1], of the detections with at least the score `lowest`.
    """

    scores: Tensor  # [D] float64, as the files have them
    proposals: Tensor  # [D, S] bool: counts in the subset
    recalls: Tensor  # [D, S] bool: recalls a face of the subset
    matched: Tensor  # [D] bool: matches a face, one of the subset or not
    nearest: Tensor  # [D] the face of highest IoU, -1 where the image has none
    overlap: Tensor  # [D] float64, that IoU (sides + 1 px), 0 … 1
    in_subset: Tensor  # [F, S] bool: the faces of each subset
    best_score: Tensor  # [F] float64: of the detections that match the face, -inf for none
    best_iou: Tensor  # [F] float64: the highest IoU with any detection, 0 … 1
    image: Tensor  # [F] the image of a face
    sizes: Tensor  # [I] detections of each image

    def ap(self, subset: int, lowest: float = -np.inf) -> float:
        """As `WiderAP` has it for files of no more detections: scores are stretched over these."""
        left = self.scores >= lowest
        points = self.proposals[left, subset], self.recalls[left, subset]
        faces = int(self.in_subset[:, subset].sum())
        return plain_ap(normalise_scores(self.scores[left]), *points, faces)

    def false(self, subset: int) -> Tensor:
        """Which detections count in a subset and recall no face: [D] bool."""
        return self.proposals[:, subset] & ~self.recalls[:, subset]

    def found(self, lowest: float = -np.inf) -> Tensor:
        """Which faces a detection matches: [F] bool."""
        return self.best_score.isfinite() & (self.best_score >= lowest)

    def recall(self, subset: int, lowest: float = -np.inf) -> float:
        """Of all detections it is the ceiling that no order of them passes; 0 without faces."""
        faces = self.in_subset[:, subset]
        return int((faces & self.found(lowest)).sum()) / max(int(faces.sum()), 1)

    def precision(self, subset: int, lowest: float) -> float:
        """0 where no detection counts."""
        proposed = self.proposals[:, subset] & (self.scores >= lowest)
        return int(self.recalls[proposed, subset].sum()) / max(int(proposed.sum()), 1)

    def best_f1_score(self, subset: int) -> float:
        """The score from which detections should be kept for the best F1 on a subset.

        F1 is 2 TP / (detections that count + faces). Of several such scores it is the highest; 0
        where nothing is recalled.
        """
        proposals = self.proposals[:, subset]
        scores, order = self.scores[proposals].sort(descending=True)
        hits = self.recalls[proposals, subset][order].double().cumsum(0)
        if not len(scores) or not hits[-1]:
            return 0.0
        f1 = hits / (torch.arange(1, len(scores) + 1) + self.in_subset[:, subset].sum())
        # Equal scores pass a threshold together: only the last of them is a choice.
        is_last = torch.cat([scores[:-1] != scores[1:], torch.ones(1, dtype=torch.bool)])
        return float(scores[torch.where(is_last, f1, -1.0).argmax()])

    def image_aps(self, subset: int) -> tuple[np.ndarray, np.ndarray]:
        """How hard each image is alone (arXiv 1811.11662, figure 1).

        The scores, in [0, 1], are taken as they are: the worst detection of an image is not the
        worst of the set, over which a set's scores are stretched.

        Returns:
            AP [I] float64, not a number where no face of an image counts, and the number of faces
            [I] that count.
        """
        faces = self.image[self.in_subset[:, subset]].bincount(minlength=len(self.sizes))
        columns = (self.scores, self.proposals[:, subset], self.recalls[:, subset])
        parts = (column.split(self.sizes.tolist()) for column in columns)
        images = zip(*parts, faces.tolist(), strict=True)
        values = [plain_ap(*image) if image[-1] else np.nan for image in images]
        return np.array(values), faces.numpy()


def judge_records(
    records: Sequence[Record],
    found: Mapping[str, np.ndarray],
    iou: float = 0.5,
    integer_quirk: bool = True,
) -> Verdicts:
    """Matches the detections of a set with its faces, as the protocol does.

    Args:
        records: annotated pictures, boxes xyxy pixels, whose tags hold "subsets" [G, S].
        found: by record name, detections [N, 5] as x, y, w, h, score in pixels; no entry: none.
        iou: from which a detection matches a face.
        integer_quirk: see `match_detections`.
    """
    parts: list[tuple[Tensor, ...]] = []
    faces_before = 0
    bar = tqdm(records, desc="matching", delay=3.0, disable=None, leave=False)
    for place, record in enumerate(bar):
        boxes, scores = to_detections(found.get(record.name, np.zeros((0, 5))))[:2]
        faces = torch.from_numpy(record.boxes).double()
        in_subset = torch.from_numpy(record.tags["subsets"] & ~record.ignore[:, None])
        match = match_detections(boxes, faces, iou, integer_quirk)
        # A column and a row of no overlap stand for "no face" and "no detection".
        overlaps = torch.zeros(len(boxes) + 1, len(faces) + 1, dtype=torch.float64)
        overlaps[:-1, :-1] = box_ops.iou(boxes, faces, plus_one=1.0)
        overlap, nearest = overlaps[:-1].max(dim=1)
        best = torch.full((len(faces) + 1,), -torch.inf, dtype=torch.float64)
        best = best.scatter_reduce(0, match % (len(faces) + 1), scores, "amax")[:-1]
        parts.append(
            (
                *(scores, *judge_detections(match, scores, in_subset), match >= 0),
                torch.where(nearest == len(faces), -1, nearest + faces_before),
                *(overlap, in_subset, best, overlaps[:, :-1].amax(dim=0)),
                torch.full((len(faces),), place),
                torch.tensor([len(boxes)]),
            )
        )
        faces_before += len(faces)
    return Verdicts._make(torch.cat(column) for column in zip(*parts, strict=True))


def plain_ap(scores: Tensor, proposals: Tensor, recalls: Tensor, faces: int) -> float:
    """The AP in [0, 1] of scores [N] in 0 … 1, see `precision_recall`."""
    return average_precision(*precision_recall(scores, proposals, recalls, faces)).item()


class Errors(NamedTuple):
    """The errors of one kind, and what they cost."""

    kind: str
    number: int  # faces, or detections of any score
    of: str  # "faces" or "boxes"
    shown: int  # of these boxes, those with at least the operating score; all faces
    fixed: float  # the AP in [0, 1] without these errors


def sort_faces(verdicts: Verdicts, subset: int, score: float) -> dict[str, Tensor]:
    """What became of every face of a subset at an operating score: masks [F] that share them out.

    Badly localised are those that nothing matches and to which such a box is nearest.
    """
    faces, matched, found = verdicts.in_subset[:, subset], verdicts.found(), verdicts.found(score)
    unmatched = faces & ~matched
    missed = unmatched & (verdicts.best_iou < NEAR)
    localised = torch.zeros_like(faces)
    localised[verdicts.nearest[sort_boxes(verdicts, subset)["badly localised"]]] = True
    return {
        "found": faces & found,
        "low-scored": faces & matched & ~found,
        "badly localised": unmatched & localised,
        "crowded out": unmatched & ~missed & ~localised,
        "missed": missed,
    }


def sort_boxes(verdicts: Verdicts, subset: int) -> dict[str, Tensor]:
    """Why detections of any score count in a subset and recall no face: masks [D], likewise."""
    near = ~verdicts.matched & (verdicts.overlap >= NEAR)
    near_own = near & _at(verdicts.in_subset[:, subset], verdicts.nearest)
    return {
        "badly localised": near_own,
        "duplicate": verdicts.false(subset) & verdicts.matched,
        "near an ignored face": near & ~near_own,
        "background": ~verdicts.matched & ~near,
    }


def price_errors(verdicts: Verdicts, subset: int, score: float) -> list[Errors]:
    """The errors of a subset by kind, and the AP without each.

    An oracle fixes `missed` and `crowded out` faces by not counting them, as in TIDE, since nobody
    knows the scores of boxes that are not there. Of a `low-scored` face the best detection gets the
    operating score. Every `badly localised` box moves onto its face: the best-scored one recalls it
    at its own score; the others, and those near a face that is found anyway, vanish, as do all
    boxes of the other three kinds.

    Each kind is fixed alone, with the scores as the whole set has them, so the gains do not add
    up to what is missing: recall gained is worth more at a higher precision.

    Returns:
        The seven kinds, then `all unfound faces` (missed, crowded out, badly localised) and `all
        false boxes`.
    """
    faces, boxes = sort_faces(verdicts, subset, score), sort_boxes(verdicts, subset)
    # Scores in 0 … 1 over the whole set.
    shown, scores = verdicts.scores >= score, normalise_scores(verdicts.scores)
    proposals, recalls = verdicts.proposals[:, subset], verdicts.recalls[:, subset]
    total = int(verdicts.in_subset[:, subset].sum())
    # The lowest score that passes; where none does, the best there is.
    level = scores[shown].min() if shown.any() else scores.new_ones(())
    raised = torch.where(recalls & ~shown, level, scores)
    # The loose boxes that are the best-scored ones near a face that nothing finds.
    loose, unfound = boxes.pop("badly localised"), faces["badly localised"]
    target = torch.where(loose & _at(unfound, verdicts.nearest), verdicts.nearest, -1)
    leads = judge_detections(target, verdicts.scores, unfound[:, None])[1][:, 0]
    moved = proposals & ~loose | leads, recalls | leads

    def of_faces(kind: str, which: Tensor, ap: float | None = None) -> Errors:
        number = int(which.sum())
        ap = plain_ap(scores, proposals, recalls, total - number) if ap is None else ap
        return Errors(kind, number, "faces", number, ap)

    def of_boxes(kind: str, which: Tensor, ap: float | None = None) -> Errors:
        ap = plain_ap(scores, proposals & ~which, recalls, total) if ap is None else ap
        return Errors(kind, int(which.sum()), "boxes", int((which & shown).sum()), ap)

    return [
        *(of_faces(kind, faces[kind]) for kind in ("missed", "crowded out")),
        of_faces("low-scored", faces["low-scored"], plain_ap(raised, proposals, recalls, total)),
        of_boxes("badly localised", loose, plain_ap(scores, *moved, total)),
        *(of_boxes(kind, which) for kind, which in boxes.items()),
        of_faces("all unfound faces", faces["missed"] | faces["crowded out"] | unfound),
        of_boxes("all false boxes", verdicts.false(subset)),
    ]


def _at(faces: Tensor, places: Tensor) -> Tensor:
    """The values [D] of a mask [F] at places [D]; False at the place -1, no face."""
    return torch.cat([faces, faces.new_zeros(1)])[places]
