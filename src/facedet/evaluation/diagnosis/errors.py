"""What goes wrong with the faces and boxes of a set, and what each kind of error costs in AP.

In the manner of TIDE (Bolya et al., 2020), an oracle mends the errors of one kind and nothing
else, and the AP is computed again. The kinds are those of a single class under WIDER FACE's
protocol, in which the faces outside a subset are ignored.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from facedet.evaluation.diagnosis.matching import Verdicts, is_found, plain_ap
from facedet.metrics.functional import judge_detections, normalise_scores

# IoU from which a box that means no face is said to lie badly on one, not on background.
NEAR = 0.3


class Errors(NamedTuple):
    """The errors of one kind, and what they cost."""

    kind: str
    number: int  # faces, or detections of any score
    of: str  # "faces" or "boxes"
    shown: int  # of these boxes, those with at least the operating score; all faces
    mended: float  # the AP in [0, 1] without these errors


def sort_faces(verdicts: Verdicts, subset: int, score: float) -> dict[str, Tensor]:
    """Says what became of every face of a subset.

    Args:
        verdicts: of the set.
        subset: its column.
        score: the operating score, in the files' scale.

    Returns:
        Masks [F] bool that share out the subset's faces:
        `found`: a detection with at least the operating score means it.
        `low-scored`: one means it, but none with that score.
        `badly localised`: none means it, but it is the nearest face of one that means no face,
        at an IoU of 0.3 or more.
        `crowded out`: a detection has IoU 0.3 or more with it, but each such one means another
        face or lies nearer to it.
        `missed`: every detection has IoU below 0.3 with it.
    """
    kept = verdicts.kept[:, subset]
    unfound = kept & ~is_found(verdicts)
    missed = unfound & (verdicts.reach < NEAR)
    localised = torch.zeros_like(kept)
    localised[verdicts.nearest[sort_boxes(verdicts, subset)["badly localised"]]] = True
    return {
        "found": kept & is_found(verdicts, score),
        "low-scored": kept & is_found(verdicts) & ~is_found(verdicts, score),
        "badly localised": unfound & localised,
        "crowded out": unfound & ~missed & ~localised,
        "missed": missed,
    }


def sort_boxes(verdicts: Verdicts, subset: int) -> dict[str, Tensor]:
    """Says why detections count in a subset and recall no face, whatever their score.

    Returns:
        Masks [D] bool that share out these detections:
        `badly localised`: means no face; the nearest one is in the subset, at IoU 0.3 or more.
        `duplicate`: means a face that a better-scored one means.
        `near an ignored face`: the nearest face is outside the subset, at IoU 0.3 or more but too
        far to be meant, and so for the detection to be ignored.
        `background`: IoU below 0.3 with every face.
    """
    kept = verdicts.kept[:, subset]
    false = verdicts.proposals[:, subset] & ~verdicts.recalls[:, subset]
    near = ~verdicts.means & (verdicts.overlap >= NEAR)
    on_kept = near & _at(kept, verdicts.nearest)
    return {
        "badly localised": on_kept,
        "duplicate": false & verdicts.means,
        "near an ignored face": near & ~on_kept,
        "background": ~verdicts.means & ~near,
    }


def price_errors(verdicts: Verdicts, subset: int, score: float) -> list[Errors]:
    """The errors of a subset by kind (`sort_faces`, `sort_boxes`), and the AP without each.

    An oracle mends a kind so:
    `missed`, `crowded out`: the faces are not counted, as in TIDE, since nobody knows the scores
    of boxes that are not there.
    `low-scored`: the best detection of each such face gets the operating score.
    `badly localised`: every such box moves onto its face. The best-scored one recalls it at its
    own score; the others, and those near a face that is found anyway, vanish.
    `duplicate`, `near an ignored face`, `background`: the boxes vanish.

    Each kind is mended alone, with the scores as the whole set has them, so the gains do not add
    up to what is missing: mended recall is worth more at a mended precision.

    Args:
        verdicts: of the set.
        subset: its column.
        score: the operating score, in the files' scale.

    Returns:
        The seven kinds, then `all unfound faces` (missed, crowded out and badly localised: not
        counted) and `all false boxes` (the four kinds of boxes: vanish).
    """
    faces, boxes = sort_faces(verdicts, subset, score), sort_boxes(verdicts, subset)
    shown = verdicts.scores >= score
    scores, proposals, recalls = _points(verdicts, subset)
    total = int(verdicts.kept[:, subset].sum())
    # The lowest score that passes; where none does, the best there is.
    level = scores[shown].min() if shown.any() else scores.new_ones(())
    raised = torch.where(recalls & ~shown, level, scores)
    leads = _leads(verdicts, boxes["badly localised"], faces["badly localised"])
    moved = proposals & ~boxes["badly localised"] | leads, recalls | leads
    unfound = faces["missed"] | faces["crowded out"] | faces["badly localised"]
    false = proposals & ~recalls

    def without_faces(kind: str, which: Tensor) -> Errors:
        left = total - int(which.sum())
        return _errors(kind, "faces", which, which, plain_ap(scores, proposals, recalls, left))

    def without_boxes(kind: str, which: Tensor) -> Errors:
        ap = plain_ap(scores, proposals & ~which, recalls, total)
        return _errors(kind, "boxes", which, shown, ap)

    low, loose = faces["low-scored"], boxes["badly localised"]
    return [
        *(without_faces(kind, faces[kind]) for kind in ("missed", "crowded out")),
        _errors("low-scored", "faces", low, low, plain_ap(raised, proposals, recalls, total)),
        _errors("badly localised", "boxes", loose, shown, plain_ap(scores, *moved, total)),
        *(without_boxes(kind, boxes[kind]) for kind in list(boxes)[1:]),
        without_faces("all unfound faces", unfound),
        without_boxes("all false boxes", false),
    ]


def _errors(kind: str, of: str, which: Tensor, shown: Tensor, mended: float) -> Errors:
    return Errors(kind, int(which.sum()), of, int((which & shown).sum()), mended)


def _points(verdicts: Verdicts, subset: int) -> tuple[Tensor, Tensor, Tensor]:
    """Scores [D] in 0 … 1 over the whole set, and what they count as in a subset."""
    scores = normalise_scores(verdicts.scores)
    return scores, verdicts.proposals[:, subset], verdicts.recalls[:, subset]


def _leads(verdicts: Verdicts, loose: Tensor, faces: Tensor) -> Tensor:
    """Which loose boxes [D] are the best-scored near one of these faces [F]: [D] bool."""
    target = torch.where(loose & _at(faces, verdicts.nearest), verdicts.nearest, -1)
    return judge_detections(target, verdicts.scores, faces[:, None])[1][:, 0]


def _at(faces: Tensor, places: Tensor) -> Tensor:
    """The values [D] of a mask [F] at places [D]; False at the place -1, no face."""
    return torch.cat([faces, faces.new_zeros(1)])[places]
