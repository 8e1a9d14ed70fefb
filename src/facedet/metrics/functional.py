"""Matching detections with faces, and precision, recall and average precision of the result.

Pure functions in float64. They follow WIDER FACE's toolbox (Yang et al., 2016) but count instead
of walking through sorted detections, so no result depends on the order of detections.
"""

import torch
from torch import Tensor

from facedet import boxes as box_ops


def is_rounded(integer_quirk: bool, threshold: float) -> bool:
    """Whether IoUs are rounded to 0 or 1: the official toolbox, which does so, only knows 0.5.

    Rounded ones would reach any other threshold where they reach 0.5.
    """
    return integer_quirk and threshold == 0.5


def match_detections(
    boxes: Tensor, faces: Tensor, threshold: float = 0.5, integer_quirk: bool = False
) -> Tensor:
    """Finds the face that each detection of one image matches.

    Every detection takes the face of highest IoU (sides counted as x2 - x1 + 1), the first among
    equals, whatever other detections take.

    Args:
        boxes: detections [N, 4], xyxy pixels.
        faces: all faces [G, 4] of the image, xyxy pixels.
        threshold: the IoU from which a detection matches a face.
        integer_quirk: round the IoU to 0 or 1 first, half upwards, as MATLAB does with the
            int32 boxes of WIDER FACE's files: the first face with IoU 0.5 is then taken instead
            of the best.

    Returns:
        Index [N] int64 into `faces`, or -1 for none.

    >>> match_detections(torch.tensor([[0., 0., 9., 9.]]), torch.tensor([[0., 0., 9., 4.]]))
    tensor([0])
    """
    if not len(boxes) or not len(faces):
        return torch.full((len(boxes),), -1)
    overlap = box_ops.iou(boxes.double(), faces.double(), plus_one=1.0)
    if integer_quirk:
        # Python's and torch's round() take 0.5 to the even 0.
        overlap = (overlap + 0.5).floor()
    best = overlap.argmax(dim=1)
    reached = overlap.gather(1, best[:, None])[:, 0] >= threshold
    return torch.where(reached, best, -1)


def judge_detections(match: Tensor, scores: Tensor, in_subset: Tensor) -> tuple[Tensor, Tensor]:
    """Says what each detection of one image counts as, in each subset of the faces.

    A detection that matches a face outside the subset is not counted. Of those that match the
    same face of the subset, the best-scored recalls it and the others are false positives.

    Args:
        match: face index [N], -1 for none, of `match_detections`.
        scores: [N].
        in_subset: [G, S] bool, the faces of each subset.

    Returns:
        proposals [N, S] bool, the detections that count, and recalls [N, S] bool, those among
        them that are a face's best.
    """
    # A last row stands for "no face": a detection that matches none counts in every subset.
    slot = match % (len(in_subset) + 1)
    proposals = torch.cat([in_subset, in_subset.new_ones(1, in_subset.shape[1])])[slot]
    rank = torch.empty_like(match)
    rank[scores.argsort(descending=True, stable=True)] = torch.arange(len(match))
    best = torch.full((len(in_subset) + 1,), len(match)).scatter_reduce(0, slot, rank, "amin")
    leads = (rank == best[slot]) & (match >= 0)
    return proposals, proposals & leads[:, None]


def normalise_scores(scores: Tensor) -> Tensor:
    """Scores [N] stretched to 0 … 1 (float64) over the whole set; all 1 where they are equal."""
    scores = scores.double()
    if not len(scores) or scores.min() == scores.max():
        return torch.ones_like(scores)
    return (scores - scores.min()) / (scores.max() - scores.min())


def precision_recall(
    scores: Tensor, proposals: Tensor, recalls: Tensor, faces: int, thresholds: int = 1000
) -> tuple[Tensor, Tensor]:
    """Precision and recall at the scores 1 - t / T, t = 1 … T, of a whole set.

    Args:
        scores: [N] in 0 … 1 (`normalise_scores`).
        proposals: [N] bool, the detections that count.
        recalls: [N] bool, those that recall a face; every face at most once.
        faces: number of faces to be recalled.
        thresholds: T.

    Returns:
        precision [T] and recall [T], float64; 0 where nothing was detected yet or no face is.
    """
    levels = 1 - torch.arange(1, thresholds + 1, dtype=torch.float64) / thresholds
    # How many scores reach each level.
    proposed, recalled = (
        (len(some) - torch.searchsorted(some.double().sort().values, levels)).double()
        for some in (scores[proposals], scores[recalls])
    )
    return recalled / proposed.clamp(min=1), recalled / max(faces, 1)


def average_precision(precision: Tensor, recall: Tensor) -> Tensor:
    """The area under a precision-recall curve as PASCAL VOC has it since 2010.

    The curve is extended to recall 0 and 1, and each precision raised to the best one at an equal
    or higher recall.

    Args:
        precision: [T].
        recall: [T], not falling.

    Returns:
        A float64 scalar in [0, 1].
    """
    zero, one = torch.zeros(1, dtype=torch.float64), torch.ones(1, dtype=torch.float64)
    steps = torch.cat([zero, recall.double(), one]).diff()
    envelope = torch.cat([precision.double(), zero]).flip(0).cummax(0).values.flip(0)
    return (steps * envelope).sum()
