"""SmallHardFace's training scales and crops, chosen from boxes alone (arXiv 1811.11662).

A picture is resized to one of a few short sides, and half of the time a rectangle that holds a
face's centre is cut out of it. The rectangle is chosen before anything is resized, so that only
the pixels in it are.
"""

from collections.abc import Sequence

import numpy as np

from facedet.data.augmentation.windows import Crop, Window


def resized_size(picture: tuple[int, int], short: int, long_limit: int) -> tuple[int, int]:
    """(height, width) of a picture of that size, resized to a short side.

    Args:
        picture: (height, width) in pixels.
        short: the short side in pixels, less where the long side would exceed its limit.
        long_limit: of the long side, in pixels.
    """
    factor = short / min(picture)
    if round(factor * max(picture)) > long_limit:
        factor = long_limit / max(picture)
    height, width = (max(1, round(side * factor)) for side in picture)
    return height, width


def choose_short_side_window(
    picture: tuple[int, int],
    boxes: np.ndarray,
    pickable: np.ndarray,
    rng: np.random.Generator,
    scales: Sequence[int] = (400, 800, 1200),
    long_limit: int = 2000,
    crop: float = 0.5,
    min_ratio: float = 0.6,
    tries: int = 50,
) -> Crop:
    """The whole resized picture, or a rectangle of it.

    Of the rectangles tried, with sides of U(min_ratio, 1) of the picture's, each for itself, the
    first with a face's centre strictly inside is taken; without any, the whole picture. Faces
    stay whose centre is strictly inside and which, clipped to the window, are nowhere thinner than
    a pixel. Centres are of the boxes clipped to the picture.

    Args:
        picture: (height, width) in pixels.
        boxes: [N, 4] float xyxy pixels.
        pickable: [N] bool: the faces a rectangle may be chosen for.
        rng: source of every draw.
        scales: short sides in pixels, to draw from.
        long_limit: of the long side after resizing, in pixels.
        crop: probability of trying rectangles.
        min_ratio: of the picture's sides, for the smallest rectangle.
        tries: rectangles drawn.
    """
    resized = resized_size(picture, scales[int(rng.integers(len(scales)))], long_limit)
    extent = np.array(resized[::-1])  # (width, height), as boxes have their coordinates
    factor = extent / picture[::-1]
    faces = (boxes * np.tile(factor, 2)).clip(0, np.tile(extent, 2))
    centres = (faces[:, :2] + faces[:, 2:]) / 2
    low, size = np.zeros(2, dtype=np.int64), extent
    if rng.random() < crop:
        sizes = np.maximum(1, np.rint(extent * rng.uniform(min_ratio, 1, (tries, 2))))
        sizes = sizes.astype(np.int64)
        corners = rng.integers(0, extent - sizes + 1)
        found = _holds(corners, sizes, centres[pickable]).any(axis=1)
        if found.any():
            low, size = corners[found.argmax()], sizes[found.argmax()]
    inside = _holds(low[None], size[None], centres)[0]
    clipped = faces.clip(np.tile(low, 2), np.tile(low + size, 2))
    thick = (clipped[:, 2:] - clipped[:, :2] >= 1).all(axis=1)
    (left, top), (width, height) = low.tolist(), size.tolist()
    return Crop(Window(resized, top, left, height, width), inside & thick)


def _holds(corners: np.ndarray, sizes: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """Which rectangles hold which centres [N, 2]: [T, N] bool, from corners and sizes [T, 2]."""
    low = corners[:, None]
    inside = (centres > low) & (centres < low + sizes[:, None])
    return np.asarray(inside.all(axis=-1))
