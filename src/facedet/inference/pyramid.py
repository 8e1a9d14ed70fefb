"""Runs a detector over pictures: passes, tiles, and the merging of all of them."""

import math
from collections.abc import Callable, Sequence
from typing import Protocol

import cv2
import numpy as np
import torch
from torch import Tensor

from facedet.boxes import flip as flip_boxes
from facedet.boxes import iou, nms
from facedet.errors import UsageError
from facedet.inference.engines.exported import Engine
from facedet.inference.scales import Pass, Size
from facedet.inference.tiles import OVERLAP, Tile, side_of, spans
from facedet.structures import Detections, Predictions

# IoU above which two detections of one tiled pass are one face.
_TILE_IOU = 0.3


class Merge(Protocol):
    """Joins the detections of several passes over one picture."""

    @property
    def keep(self) -> int | None:
        """Detections of a picture at the most; None: no limit."""

    @property
    def raw(self) -> bool:
        """Whether it needs all candidates: then it also joins those of a single pass."""

    def __call__(self, found: Detections) -> Detections:
        """All passes' detections to the merged ones, best first."""


class Pyramid:
    """A detector on pictures of any size: image to detections in the picture's own pixels.

    Args:
        net: images uint8 [B, 3, H, W] to predictions: a network in evaluation mode, or another
            engine that runs it.
        postprocess: predictions to detections of each image.
        scales: size (height, width) to passes.
        merge: joins the detections of several passes; its `keep` holds for tiles too.
        pixel_budget: a pass over more pixels than this is not run as a whole; None: no limit.
        on_large: what is done then. `tile`: overlapping tiles, plus the whole picture shrunk to
            the budget for the faces that no tile holds; `shrink`: the shrunk picture alone.

    Raises:
        UsageError: `pixel_budget` or `on_large` is nothing of that kind, or no tile fits.
    """

    def __init__(
        self,
        net: Engine,
        postprocess: Callable[[Predictions], list[Detections]],
        scales: Callable[[Size], list[Pass]],
        merge: Merge,
        pixel_budget: int | None = None,
        on_large: str = "tile",
    ) -> None:
        if on_large not in ("tile", "shrink"):
            raise UsageError(f"on_large={on_large!r}: use tile or shrink")
        # A protocol's default is null, in whose place Hydra takes words as well.
        if pixel_budget is not None and not (
            isinstance(pixel_budget, int | float) and 0 < pixel_budget < math.inf
        ):
            raise UsageError(f"pixel_budget={pixel_budget}: expected pixels above 0, or null")
        least = side_of(1) ** 2
        if pixel_budget is not None and on_large == "tile" and pixel_budget < least:
            raise UsageError(
                f"pixel_budget={pixel_budget}: tiles have {least:,} pixels at least: "
                "give so many, or on_large=shrink"
            )
        self.net = net
        self.postprocess = postprocess
        self.scales = scales
        self.merge = merge
        self.pixel_budget = pixel_budget
        self.on_large = on_large

    def __call__(self, image: np.ndarray) -> Detections:
        """Faces of an RGB image, uint8 [H, W, 3]; boxes in its pixels, best first."""
        return self.detect_many([image])[0]

    # Not `inference_mode`: its tensors refuse to be changed in place by whoever gets them.
    @torch.no_grad()
    def detect_many(self, images: Sequence[np.ndarray]) -> list[Detections]:
        """Faces of RGB images, uint8 [H, W, 3]; those of one size go through the network together.

        Memory grows with the batch: `pixel_budget` bounds it as well.
        """
        found: dict[int, Detections] = {}
        by_size: dict[Size, list[int]] = {}
        for position, image in enumerate(images):
            by_size.setdefault(image.shape[:2], []).append(position)
        for size, positions in by_size.items():
            together = self._batch_size(size, len(positions))
            for start in range(0, len(positions), together):
                chosen = positions[start : start + together]
                results = self._same_size([images[i] for i in chosen])
                found.update(zip(chosen, results, strict=True))
        return [found[position] for position in range(len(images))]

    def _batch_size(self, size: Size, images: int) -> int:
        if self.pixel_budget is None:
            return images
        largest = max(one.scale for one in self.scales(size)) ** 2 * size[0] * size[1]
        return max(1, min(images, int(self.pixel_budget / largest)))

    def _same_size(self, images: list[np.ndarray]) -> list[Detections]:
        passes = self.scales(images[0].shape[:2])
        views = [self._view(images, one) for one in passes]
        if len(passes) == 1 and not self.merge.raw:
            return views[0]
        joined = [_join(parts) for parts in zip(*views, strict=True)]
        return [self.merge(found)._replace(note=found.note) for found in joined]

    def _view(self, images: list[np.ndarray], one: Pass) -> list[Detections]:
        """Detections of one pass over images of one size, in their pixels."""
        height, width = images[0].shape[:2]
        pixels = height * width * one.scale**2
        if self.pixel_budget is None or pixels <= self.pixel_budget:
            return [_size_filter(found, one) for found in self._run(images, one.scale, one.flip)]
        fitting = one.scale * math.sqrt(self.pixel_budget / pixels)
        shrunk = self._run(images, fitting, one.flip, cv2.INTER_AREA)
        if self.on_large == "shrink":
            note = f"reduced to {fitting:.3g} of its size (pixel budget {self.pixel_budget})"
            return [_size_filter(found, one)._replace(note=note) for found in shrunk]
        return [
            _size_filter(self._tiled(image, one, overview), one)
            for image, overview in zip(images, shrunk, strict=True)
        ]

    def _tiled(self, image: np.ndarray, one: Pass, overview: Detections) -> Detections:
        assert self.pixel_budget is not None
        image = _resize(image, one.scale, cv2.INTER_LINEAR)
        # Mirrored as a whole: so tiles begin where the cells of the mirrored picture do.
        image = image[:, ::-1] if one.flip else image
        width, side = image.shape[1], side_of(self.pixel_budget)
        rows, columns = (spans(length, side) for length in image.shape[:2])
        tiles = [Tile(row, column) for row in rows for column in columns]
        parts = []
        for tile in tiles:
            y, x = tile.row.start, tile.column.start
            found = self._run([image[y : y + side, x : x + side]], 1.0, flip=False)[0]
            boxes = found.boxes + torch.tensor([x, y, x, y], dtype=found.boxes.dtype)
            parts.append(_keep(found._replace(boxes=boxes), tile.answers_for(boxes)))
        tiled = _join(parts)
        shrunk = overview.boxes * one.scale
        shrunk = flip_boxes(shrunk, width) if one.flip else shrunk
        # Of a face that a tile holds whole the box comes from there, in the pass's own scale.
        is_whole = torch.stack([tile.holds(shrunk) for tile in tiles]).any(dim=0)
        is_known = (iou(shrunk, tiled.boxes) > _TILE_IOU).any(dim=1) & is_whole
        is_large = _longer(overview) * one.scale > OVERLAP / 2
        boxes = flip_boxes(tiled.boxes, width) if one.flip else tiled.boxes
        note = f"in {len(rows)} x {len(columns)} tiles (pixel budget {self.pixel_budget})"
        joined = _join(
            [_keep(overview, is_large & ~is_known), tiled._replace(boxes=boxes / one.scale)]
        )._replace(note=note)
        if self.merge.raw:
            return joined
        kept = nms(joined.boxes, joined.scores, _TILE_IOU, limit=self.merge.keep)
        return _keep(joined, kept)

    def _run(
        self, images: list[np.ndarray], scale: float, flip: bool, filtering: int = cv2.INTER_LINEAR
    ) -> list[Detections]:
        """One network call; boxes in the pixels of `images`."""
        images = [_resize(image, scale, filtering) for image in images]
        if flip:
            images = [image[:, ::-1] for image in images]
        batch = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2)
        results = []
        for found in self.postprocess(self.net(batch)):
            boxes = found.boxes.cpu()
            # Here, where the width is a whole number, as in SmallHardFace's release: the picture's
            # own, times the scale, is up to half a pixel of the network away.
            boxes = flip_boxes(boxes, images[0].shape[1]) if flip else boxes
            results.append(Detections(boxes / scale, found.scores.cpu()))
        return results


def _resize(image: np.ndarray, scale: float, filtering: int) -> np.ndarray:
    """The image times `scale`, its sides rounded, but to no less than a pixel."""
    if scale == 1.0:
        return image
    if min(image.shape[:2]) * scale > 0.5:
        return cv2.resize(image, None, fx=scale, fy=scale, interpolation=filtering)
    height, width = (max(1, round(side * scale)) for side in image.shape[:2])
    return cv2.resize(image, (width, height), interpolation=filtering)


def _longer(found: Detections) -> Tensor:
    return (found.boxes[:, 2:] - found.boxes[:, :2]).amax(dim=1)


def _keep(found: Detections, chosen: Tensor) -> Detections:
    return found._replace(boxes=found.boxes[chosen], scores=found.scores[chosen])


def _size_filter(found: Detections, one: Pass) -> Detections:
    sides = found.boxes[:, 2:] - found.boxes[:, :2] + 1
    is_kept = (sides.amax(dim=1) > one.larger_than) & (sides.amin(dim=1) < one.smaller_than)
    return _keep(found, is_kept)


def _join(parts: Sequence[Detections]) -> Detections:
    boxes = torch.cat([part.boxes for part in parts])
    scores = torch.cat([part.scores for part in parts])
    note = next((part.note for part in parts if part.note), "")
    return Detections(boxes, scores, note)
