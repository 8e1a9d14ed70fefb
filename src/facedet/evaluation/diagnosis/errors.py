"""What goes wrong with the faces and boxes of a set, and what each kind of error costs in AP.

In the manner of TIDE (Bolya et al., 2020), an oracle fixes the errors of one kind and nothing
else, and the AP is computed again. The kinds are those of a single class under WIDER FACE's
protocol, in which the faces outside a subset are ignored.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from facedet.evaluation.diagnosis.matching import Verdicts, plain_ap
from facedet.metrics.functional import judge_detections, normalise_scores

# IoU from which a box that matches no face counts as badly localised, not as background.
NEAR = 0.3
KINDS = """\
Faces missed: no box reaches IoU 0.3; crowded out: boxes do, but match other faces or lie nearer to
them; low-scored: found below the operating score. Boxes badly localised: nearest to a face at IoU
0.3 or more, but too far to match it; near an ignored face: likewise, to a face that does not count;
duplicate: the face has a better-scored one; background: IoU below 0.3 with every face."""


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
