"""SmallHardFace's training scales and crop as an albumentations transform (arXiv 1811.11662)."""

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

from facedet.data.augmentation.distortion import Distortion
from facedet.data.augmentation.face_crop import FaceCrop
from facedet.data.augmentation.windows import Crop, Size, Window
from facedet.errors import UsageError


class ShortSideCrop(FaceCrop):
    """Resizes to a random short side, and cuts out a rectangle with a face in it, or none.

    Of the rectangles tried, with sides of U(min_ratio, 1) of the picture's, each for itself, the
    first with a face's centre strictly inside is taken; without any, the whole picture. Faces
    stay whose centre is strictly inside and which, clipped to the window, are nowhere thinner than
    a pixel. Centres are of the boxes clipped to the picture.

    The rectangle is chosen before anything is resized, so that only its pixels are. It differs
    from the same window of the whole resized picture by the shift of a small part of a source
    pixel at its edges; where the picture shrinks, the distortion comes after the resizing.

    Args:
        scales: short sides in pixels, to draw from.
        long_limit: of the long side after resizing, in pixels.
        crop: probability of trying rectangles.
        min_ratio: of the picture's sides, for the smallest rectangle.
        tries: rectangles drawn.
        distortion: see `FaceCrop`.
    """

    clips = True
    is_for_faces = False

    def __init__(
        self,
        scales: Sequence[int] = (400, 800, 1200),
        long_limit: int = 2000,
        crop: float = 0.5,
        min_ratio: float = 0.6,
        tries: int = 50,
        distortion: Distortion | None = None,
    ) -> None:
        super().__init__(distortion, p=1.0)
        is_sound = bool(scales) and 1 <= min(scales) <= max(scales) <= long_limit
        if not (is_sound and 0 <= crop <= 1 and 0 < min_ratio <= 1 and tries >= 1):
            raise UsageError(
                f"scales={list(scales)}, crop={crop}, min_ratio={min_ratio}, tries={tries}: "
                f"expected sides from 1 to long_limit={long_limit}, [0, 1], (0, 1], at least 1"
            )
        self.scales = tuple(scales)
        self.long_limit = long_limit
        self.crop = crop
        self.min_ratio = min_ratio
        self.tries = tries

    def choose(
        self, picture: Size, boxes: np.ndarray, pickable: np.ndarray, rng: np.random.Generator
    ) -> Crop:
        """The whole resized picture, or a rectangle of it."""
        short = self.scales[int(rng.integers(len(self.scales)))]
        resized = resized_size(picture, short, self.long_limit)
        extent = np.array(resized[::-1])  # (width, height), as boxes have their coordinates
        factor = extent / picture[::-1]
        faces = (boxes * np.tile(factor, 2)).clip(0, np.tile(extent, 2))
        centres = (faces[:, :2] + faces[:, 2:]) / 2
        low, size = np.zeros(2, dtype=np.int64), extent
        if rng.random() < self.crop:
            sizes = np.maximum(1, np.rint(extent * rng.uniform(self.min_ratio, 1, (self.tries, 2))))
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

    def apply(self, img: np.ndarray, window: Window, steps: Any, **_: object) -> np.ndarray:  # noqa: ANN401
        """The window's pixels of uint8 [H, W, 3], distorted and resized."""
        piece = super().apply(img, window=window, steps=steps)
        size = (window.width, window.height)
        # An enlarged picture that is needed whole is left to be resized.
        return piece if piece.shape[1::-1] == size else cv2.resize(piece, size)


def resized_size(picture: Size, short: int, long_limit: int) -> Size:
    """Size after resizing to a short side, less where the long side would exceed its limit."""
    factor = short / min(picture)
    if round(factor * max(picture)) > long_limit:
        factor = long_limit / max(picture)
    height, width = (max(1, round(side * factor)) for side in picture)
    return height, width


def _holds(corners: np.ndarray, sizes: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """Which rectangles hold which centres [N, 2]: [T, N] bool, from corners and sizes [T, 2]."""
    low = corners[:, None]
    inside = (centres > low) & (centres < low + sizes[:, None])
    return np.asarray(inside.all(axis=-1))
