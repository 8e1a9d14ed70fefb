"""Crops made of several: four crops as a mosaic, and faces of one pasted into another."""

from collections.abc import Callable
from typing import NamedTuple

import cv2
import numpy as np

from facedet.data.augmentation.extd import MIN_AREA

_CENTRE = (0.25, 0.75)  # where the four crops of a mosaic meet, of its sides
_TRIES = 20  # places drawn until one has room for a face
_MOST_FACES = 4  # pasted into one crop
_LARGEST = 0.25  # side of a pasted face, of the crop's
_MARGIN = 0.2  # of a face's sides, around it: hair and chin come along, and no other face is near
_FEATHER = 0.15  # of the oval's radius, over which a pasted face fades out


class Sample(NamedTuple):
    """A crop and its faces, before they are tensors."""

    image: np.ndarray  # [H, W, 3] uint8 RGB
    boxes: np.ndarray  # [G, 4] float32 xyxy pixels
    ignore: np.ndarray  # [G] bool
    subsets: np.ndarray  # [G, S] bool

    def chosen(self, keep: np.ndarray) -> "Sample":
        """The same picture with the faces `keep` [G] bool of it."""
        return Sample(self.image, self.boxes[keep], self.ignore[keep], self.subsets[keep])

    def moved(self, shift: np.ndarray) -> "Sample":
        """The same picture with boxes moved by (x, y)."""
        return self._replace(boxes=self.boxes + np.tile(shift, 2).astype(np.float32))


class Mixing:
    """Mixes crops of one size: a mosaic or not, then pasted faces or not.

    Args:
        mosaic: probability of a mosaic; see `join_four`.
        paste: probability of pasted faces; see `paste_faces`.
    """

    def __init__(self, mosaic: float, paste: float) -> None:
        self.mosaic = mosaic
        self.paste = paste

    def __call__(
        self, sample: Sample, another: Callable[[], Sample], rng: np.random.Generator
    ) -> Sample:
        """Gives the crop itself, or one made of it and others.

        Args:
            sample: the crop that was drawn.
            another: gives a crop of a random picture, of the same size.
            rng: source of every draw.
        """
        if rng.random() < self.mosaic:
            sample = join_four([sample, another(), another(), another()], rng)
        if rng.random() < self.paste:
            sample = paste_faces(sample, another(), rng)
        return sample


def join_four(samples: list[Sample], rng: np.random.Generator) -> Sample:
    """A mosaic of windows of four crops, which meet at a random point of its middle half.

    Each window is chosen at random among those that hold the centre of a face of its crop, any
    where there is none. Faces stay whose centre is strictly inside their window and which, clipped
    to it, have more than 36 px^2.

    Args:
        samples: four crops of one size: upper left, upper right, lower left, lower right.
        rng: source of every draw.

    Returns:
        A crop of that size.
    """
    height, width = samples[0].image.shape[:2]
    y, x = (round(side * rng.uniform(*_CENTRE)) for side in (height, width))
    image = np.empty_like(samples[0].image)
    parts = []
    for place, sample in enumerate(samples):
        low = np.array([x * (place % 2), y * (place // 2)])
        size = np.where(low > 0, (width - x, height - y), (x, y))
        part = _window(sample, size, rng)
        (left, top), (right, bottom) = low, low + size
        image[top:bottom, left:right] = part.image
        parts.append(part.moved(low))
    return _joined(image, parts)


def paste_faces(sample: Sample, source: Sample, rng: np.random.Generator) -> Sample:
    """Pastes one to four faces of another crop, as large as they are, where none is.

    A face is taken with a fifth of its sides around it, inside an oval that fades out. Faces are
    taken that are not to be ignored, lie in their crop with those surroundings and are at most a
    quarter of it wide and high. One for which 20 places drawn have no room is left out.

    Args:
        sample: the crop that faces are pasted into.
        source: the crop that they are taken from.
        rng: source of every draw.
    """
    size = np.array(sample.image.shape[1::-1])
    low, high = source.boxes[:, :2], source.boxes[:, 2:]
    sides = high - low
    low, high = np.floor(low - _MARGIN * sides), np.ceil(high + _MARGIN * sides)
    usable = ((low >= 0) & (high <= size) & (sides <= _LARGEST * size)).all(axis=1)
    usable &= ~source.ignore & (sides.prod(axis=1) > MIN_AREA)
    rows = rng.permutation(np.flatnonzero(usable))[: rng.integers(1, _MOST_FACES + 1)]
    image, parts = sample.image.copy(), [sample]
    for row in rows:
        (left, top), (right, bottom) = low[row].astype(int), high[row].astype(int)
        taken = np.concatenate([part.boxes for part in parts])
        corner = _free_corner(size, np.array([right - left, bottom - top]), taken, rng)
        if corner is not None:
            _blend(image, corner, source.image[top:bottom, left:right])
            face = source.chosen(np.arange(len(source.boxes)) == row)
            parts.append(face.moved(corner - (left, top)))
    return _joined(image, parts)


def _window(sample: Sample, size: np.ndarray, rng: np.random.Generator) -> Sample:
    """A window (width, height) of a crop, chosen around a face's centre."""
    room = np.array(sample.image.shape[1::-1]) - size
    low, high = np.zeros(2), room
    faces = np.flatnonzero(~sample.ignore)
    if len(faces):
        box = sample.boxes[rng.choice(faces)]
        centre = (box[:2] + box[2:]) / 2
        # The centre is to lie inside, not on the edge.
        low = (np.floor(centre - size) + 1).clip(0, room)
        high = (np.ceil(centre) - 1).clip(0, room)
    corner = rng.integers(low.astype(int), high.astype(int) + 1)
    (left, top), (right, bottom) = corner, corner + size
    boxes = sample.moved(-corner).boxes
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    boxes = boxes.clip(0, np.tile(size, 2).astype(np.float32))
    keep = ((centres > 0) & (centres < size)).all(axis=1)
    keep &= (boxes[:, 2:] - boxes[:, :2]).prod(axis=1) > MIN_AREA
    return sample._replace(image=sample.image[top:bottom, left:right], boxes=boxes).chosen(keep)


def _free_corner(
    size: np.ndarray, patch: np.ndarray, boxes: np.ndarray, rng: np.random.Generator
) -> np.ndarray | None:
    """An upper left corner for a patch (width, height) that touches none of the boxes, or None."""
    corners = np.floor(rng.uniform(0, size - patch + 1, (_TRIES, 2))).astype(int)
    low, high = corners[:, None], (corners + patch)[:, None]
    free = ((low >= boxes[:, 2:]) | (high <= boxes[:, :2])).any(axis=-1).all(axis=1)
    return corners[free.argmax()] if free.any() else None


def _blend(image: np.ndarray, corner: np.ndarray, patch: np.ndarray) -> None:
    """Blends a patch into a picture, in place, inside the oval that fills it."""
    height, width = patch.shape[:2]
    y, x = np.ogrid[:height, :width]
    radius = np.hypot((2 * x + 1) / width - 1, (2 * y + 1) / height - 1)
    alpha = ((1 - radius) / _FEATHER).clip(0, 1).astype(np.float32)[..., None]
    ground = image[corner[1] : corner[1] + height, corner[0] : corner[0] + width]
    mixed = ground + alpha * (patch.astype(np.float32) - ground)
    ground[:] = cv2.convertScaleAbs(mixed)


def _joined(image: np.ndarray, parts: list[Sample]) -> Sample:
    """A picture with the faces of several."""
    faces = (np.concatenate(columns) for columns in zip(*(part[1:] for part in parts), strict=True))
    return Sample(image, *faces)
