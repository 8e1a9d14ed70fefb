"""Box arithmetic: pure functions on tensors of xyxy pixels."""

from typing import Literal

import numpy as np
import torch
from torch import Tensor

Singletons = Literal["drop", "keep", "keep_last"]

# Boxes per block of the greedy NMS: large enough to amortise a call, small enough for the cache.
_NMS_BLOCK = 256


def area(boxes: Tensor) -> Tensor:
    """Areas [N] of boxes [N, 4]."""
    return (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])


def intersection(a: Tensor, b: Tensor, plus_one: float = 0.0) -> Tensor:
    """Intersection areas [N, M] of boxes [N, 4] and [M, 4].

    `plus_one` is 1 where a side is counted in whole pixels (x2 - x1 + 1), as older protocols do.
    """
    # Width and height apart and in place: thousands of faces meet tens of thousands of anchors.
    width = torch.minimum(a[:, None, 2], b[None, :, 2])
    width = width.sub_(torch.maximum(a[:, None, 0], b[None, :, 0])).add_(plus_one).clamp_(min=0)
    height = torch.minimum(a[:, None, 3], b[None, :, 3])
    height = height.sub_(torch.maximum(a[:, None, 1], b[None, :, 1])).add_(plus_one).clamp_(min=0)
    return width.mul_(height)


def iou(a: Tensor, b: Tensor, plus_one: float = 0.0) -> Tensor:
    """Intersection over union [N, M] in [0, 1]; 0 where both boxes are empty.

    >>> iou(torch.tensor([[0., 0., 2., 2.]]), torch.tensor([[1., 0., 3., 2.]])).item()
    0.3333333432674408
    """
    shared = intersection(a, b, plus_one)
    edge = torch.tensor([0.0, 0.0, plus_one, plus_one], dtype=a.dtype, device=a.device)
    union = (area(a + edge)[:, None] + area(b + edge)[None, :]).sub_(shared)
    # An empty union has an empty intersection: dividing it by 1 gives the 0 that is meant.
    return shared.div_(union.masked_fill_(union <= 0, 1.0))


def paired_overlap(a: Tensor, b: Tensor, plus_one: float = 0.0) -> tuple[Tensor, Tensor]:
    """Intersection and union [N] of each box of a [N, 4] with the one of b [N, 4] at its place.

    `plus_one` is as of `intersection`.
    """
    sides = torch.minimum(a[:, 2:], b[:, 2:]) - torch.maximum(a[:, :2], b[:, :2])
    shared = (sides + plus_one).clamp(min=0).prod(dim=1)
    edge = a.new_tensor([0.0, 0.0, plus_one, plus_one])
    return shared, area(a + edge) + area(b + edge) - shared


def to_cxcywh(boxes: Tensor) -> Tensor:
    """Centre form (cx, cy, w, h) of xyxy boxes [..., 4]."""
    low, high = boxes[..., :2], boxes[..., 2:]
    return torch.cat([(low + high) / 2, high - low], dim=-1)


def from_cxcywh(boxes_cxcywh: Tensor) -> Tensor:
    """The xyxy form of boxes given as (cx, cy, w, h) [..., 4]."""
    centre, half = boxes_cxcywh[..., :2], boxes_cxcywh[..., 2:] / 2
    return torch.cat([centre - half, centre + half], dim=-1)


def clip(boxes: Tensor, size: tuple[int, int]) -> Tensor:
    """Boxes [N, 4] cut off at the borders of an image of `size` (height, width)."""
    height, width = size
    limit = torch.tensor([width, height, width, height], dtype=boxes.dtype, device=boxes.device)
    return torch.minimum(boxes.clamp(min=0), limit)


def flip(boxes: Tensor, width: float) -> Tensor:
    """Boxes [N, 4] of a mirrored image of `width` pixels."""
    return torch.stack([width - boxes[:, 2], boxes[:, 1], width - boxes[:, 0], boxes[:, 3]], dim=1)


def nms(boxes: Tensor, scores: Tensor, threshold: float, limit: int | None = None) -> Tensor:
    """Greedy non-maximum suppression.

    Works in blocks: a block is first cleared by the boxes already kept, then within itself, so
    the full N x N matrix never exists.

    Args:
        boxes: [N, 4] xyxy.
        scores: [N].
        threshold: a box is dropped where its IoU with a better kept one is above this.
        limit: stop after so many boxes (None: all).

    Returns:
        Indices [K] of the kept boxes, best first.
    """
    order = scores.argsort(descending=True, stable=True)
    sorted_boxes = boxes[order].float().cpu()
    kept: list[int] = []
    for start in range(0, len(sorted_boxes), _NMS_BLOCK):
        block = sorted_boxes[start : start + _NMS_BLOCK]
        alive = np.ones(len(block), dtype=bool)
        if kept:
            alive = (iou(block, sorted_boxes[kept]) <= threshold).all(dim=1).numpy()
        overlaps = (iou(block, block) > threshold).numpy()
        for row in range(len(block)):
            if alive[row]:
                alive[row + 1 :] &= ~overlaps[row, row + 1 :]
        kept.extend((start + np.flatnonzero(alive)).tolist())
        if limit is not None and len(kept) >= limit:
            break
    return order[torch.tensor(kept[:limit], dtype=torch.long, device=order.device)]


def vote(
    boxes: Tensor, scores: Tensor, threshold: float, singletons: Singletons = "drop"
) -> tuple[Tensor, Tensor]:
    """Box voting: each group of overlapping boxes becomes its score-weighted mean.

    The best remaining box gathers all boxes whose IoU (sides counted in whole pixels) reaches
    `threshold`; the group's score is its maximum.

    Args:
        boxes: [N, 4] xyxy.
        scores: [N].
        threshold: IoU from which a box joins the group.
        singletons: what becomes of a group of one box. `drop`: with several passes over an image,
            a face seen once is likely no face; `keep`; `keep_last`: drop, but for a box that is
            the last one left (SmallHardFace's release).

    Returns:
        Boxes [K, 4] and scores [K], best first.
    """
    order = scores.argsort(descending=True, stable=True)
    rest, weights = boxes[order].double().cpu(), scores[order].double().cpu()
    voted, best = [], []
    while len(rest):
        joins = iou(rest[:1], rest, plus_one=1.0)[0] >= threshold
        # The first box leads the group even where rounding keeps its IoU with itself below 1.
        joins[0] = True
        is_kept = singletons == "keep" or (singletons == "keep_last" and len(rest) == 1)
        if is_kept or int(joins.sum()) > 1:
            share = weights[joins]
            voted.append((rest[joins] * share[:, None]).sum(dim=0) / share.sum())
            best.append(share.max())
        rest, weights = rest[~joins], weights[~joins]
    if not voted:
        return boxes.new_zeros((0, 4)), scores.new_zeros((0,))
    return torch.stack(voted).to(boxes), torch.stack(best).to(scores)
