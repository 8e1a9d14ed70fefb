"""The parts of SmallHardFace's augmentation as albumentations transforms (arXiv 1811.11662)."""

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

from facedet.data.augmentation import windows as crops
from facedet.data.augmentation.face_crop import A, FaceCrop
from facedet.data.augmentation.hsv_distortion import Tone, draw_tone, retouch
from facedet.data.augmentation.short_side import choose_short_side_window
from facedet.errors import UsageError


class HsvDistortion(A.ImageOnlyTransform):
    """Brightness, contrast, saturation and hue on floats, each with probability 0.5.

    Args:
        brightness: levels U(-brightness, brightness) added.
        contrast: factor 1 + U(-contrast, contrast); likewise saturation.
        saturation: see contrast.
        hue: degrees U(-hue, hue) added.
        p: probability of the whole.
    """

    def __init__(
        self,
        brightness: float = 32.0,
        contrast: float = 0.5,
        saturation: float = 0.5,
        hue: float = 18.0,
        p: float = 1.0,
    ) -> None:
        super().__init__(p=p)
        self.ranges = (brightness, contrast, saturation, hue)

    def draw(self, rng: np.random.Generator) -> Tone:
        """One distortion."""
        return draw_tone(rng, *self.ranges) if rng.random() < self.p else Tone()

    def alter(self, piece: np.ndarray, drawn: Tone, picture: np.ndarray) -> np.ndarray:
        """Distorts a part uint8 [h, w, 3] of a picture; every pixel goes by itself."""
        return retouch(piece, drawn)

    def get_params(self) -> dict[str, Any]:
        """Draws the distortion; albumentations has drawn `p` already."""
        return {"tone": draw_tone(self.random_generator, *self.ranges)}

    def apply(self, img: np.ndarray, tone: Tone, **_: Any) -> np.ndarray:  # noqa: ANN401
        """Distorts uint8 [H, W, 3]."""
        return retouch(img, tone)


class ShortSideCrop(FaceCrop):
    """Resizes to a random short side, and cuts out a rectangle with a face in it, or none.

    See `short_side.choose_short_side_window`. A window that is cut from a smaller picture differs
    from the same window of the whole resized picture by the shift of a small part of a source
    pixel at its edges (`crops.cut_window`); where the picture shrinks, the distortion comes after
    the resizing.

    Args:
        scales: short sides in pixels, to draw from.
        long_limit: of the long side after resizing, in pixels.
        crop: probability of trying rectangles.
        min_ratio: of the picture's sides, for the smallest rectangle.
        tries: rectangles drawn.
        distortion: see `FaceCrop`.
        ignore_column: see `FaceCrop`.
        p: probability of the step.

    Raises:
        UsageError: an argument is out of its range.
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
        distortion: HsvDistortion | None = None,
        ignore_column: int | None = None,
        p: float = 1.0,
    ) -> None:
        super().__init__(distortion, ignore_column, p)
        if not scales or min(scales) < 1 or max(scales) > long_limit:
            raise UsageError(
                f"scales={list(scales)}: short sides from 1 to long_limit={long_limit} are wanted"
            )
        if not (0 <= crop <= 1 and 0 < min_ratio <= 1 and tries >= 1):
            raise UsageError(
                f"crop={crop}, min_ratio={min_ratio}, tries={tries}: numbers of [0, 1], (0, 1] "
                "and at least 1 are wanted"
            )
        self.scales = tuple(scales)
        self.long_limit = long_limit
        self.crop = crop
        self.min_ratio = min_ratio
        self.tries = tries

    def choose(
        self, picture: tuple[int, int], boxes: np.ndarray, pickable: np.ndarray
    ) -> crops.Crop:
        """A window of the resized picture."""
        how = (self.scales, self.long_limit, self.crop, self.min_ratio, self.tries)
        return choose_short_side_window(picture, boxes, pickable, self.random_generator, *how)

    def apply(
        self,
        img: np.ndarray,
        window: crops.Window,
        steps: Any,  # noqa: ANN401
        **_: Any,  # noqa: ANN401
    ) -> np.ndarray:
        """The window's pixels of uint8 [H, W, 3], distorted and resized."""
        piece = super().apply(img, window=window, steps=steps)
        size = (window.width, window.height)
        # An enlarged picture that is wanted whole is left to be resized.
        return piece if piece.shape[1::-1] == size else cv2.resize(piece, size)
