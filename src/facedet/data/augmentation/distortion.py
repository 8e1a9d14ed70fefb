"""EXTD's photometric distortion: brightness, contrast, saturation and hue as Pillow defines them.

Works on RGB `uint8 [H, W, 3]`. Tables and OpenCV stand in for Pillow's enhancers, which
take some five times as long; how close they come is held by the tests.
"""

import math
from typing import NamedTuple

import cv2
import numpy as np

from facedet.data.augmentation.face_crop import Distortion

# A contrast change needs the whole picture's mean grey; so many pixels give it to half a level.
_MEAN_PIXELS = 65536
_STRIP_PIXELS = 32768
_LEVELS = np.arange(256, dtype=np.float32)
_LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)  # ITU-R 601, as Pillow's mode L


class Step(NamedTuple):
    """One operation of a distortion."""

    kind: str  # brightness | contrast | saturation | hue
    amount: float  # a factor; for hue the shift of Pillow's 8-bit hue, 255 to the turn


class PhotometricDistortion(Distortion):
    """Brightness, contrast, saturation and hue in SSD's two orders, each with probability 0.5.

    Contrast comes second or last, evenly. As SSD, S3FD and EXTD train with.

    Args:
        brightness, contrast, saturation: factor 1 + U(-brightness, brightness), and so on.
        hue: shift U(-hue, hue) of Pillow's 8-bit hue.
        p: probability of the whole.
    """

    def __init__(
        self,
        brightness: float = 0.125,
        contrast: float = 0.5,
        saturation: float = 0.5,
        hue: float = 18.0,
        p: float = 1.0,
    ) -> None:
        ranges = {"brightness": brightness, "contrast": contrast, "saturation": saturation}
        super().__init__(ranges | {"hue": hue}, p)

    def draw(self, rng: np.random.Generator) -> tuple[Step, ...]:
        """The operations that were drawn, in order."""
        early = ("brightness", "contrast", "saturation", "hue")
        late = ("brightness", "saturation", "hue", "contrast")
        steps = []
        for kind in early if rng.random() < 0.5 else late:
            if rng.random() < 0.5:
                half = self.ranges[kind]
                centre = 0.0 if kind == "hue" else 1.0
                steps.append(Step(kind, centre + float(rng.uniform(-half, half))))
        return tuple(steps)

    def alter(self, piece: np.ndarray, drawn: tuple[Step, ...], picture: np.ndarray) -> np.ndarray:
        """A part uint8 [h, w, 3] of `picture` uint8 [H, W, 3], changed as drawn."""
        return distort(piece, drawn, picture)


def distort(piece: np.ndarray, steps: tuple[Step, ...], picture: np.ndarray) -> np.ndarray:
    """Applies a distortion to a part of a picture.

    Args:
        piece: uint8 [h, w, 3], the part that is needed.
        steps: as `PhotometricDistortion` draws them.
        picture: uint8 [H, W, 3], the whole: contrast turns about its mean grey.

    Returns:
        uint8 [h, w, 3]; `piece` itself where there are no steps.
    """
    for position, (kind, amount) in enumerate(steps):
        if kind == "brightness":
            piece = cv2.LUT(piece, _blend_table(0, amount))
        elif kind == "contrast":
            sample = thin_out(picture)
            grey = mean_grey(distort(sample, steps[:position], sample))
            piece = cv2.LUT(piece, _blend_table(grey, amount))
        elif kind == "saturation":
            piece = _saturate(piece, amount)
        else:
            piece = _turn_hue(piece, amount)
    return piece


def thin_out(picture: np.ndarray) -> np.ndarray:
    """Every n-th pixel of every n-th row: about 65,536 pixels of a picture that has more."""
    height, width = picture.shape[:2]
    step = max(1, math.isqrt(height * width // _MEAN_PIXELS))
    return np.ascontiguousarray(picture[::step, ::step])


def mean_grey(picture: np.ndarray) -> int:
    """The mean luma of uint8 [H, W, 3], rounded."""
    return int(cv2.mean(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY))[0] + 0.5)


def _blend_table(base: int, factor: float) -> np.ndarray:
    """Level -> base + factor * (level - base), cut off like Pillow's blend rather than rounded."""
    return np.clip(base + np.float32(factor) * (_LEVELS - base), 0, 255).astype(np.uint8)


def _saturate(piece: np.ndarray, factor: float) -> np.ndarray:
    """Moves every pixel from its own grey by `factor`: one linear map of the three channels."""
    matrix = factor * np.eye(3, dtype=np.float32) + (1 - factor) * _LUMA
    # Half a level less turns OpenCV's rounding into Pillow's cutting off.
    return cv2.transform(piece, np.hstack([matrix, np.full((3, 1), -0.5, np.float32)]))


def _turn_hue(piece: np.ndarray, shift: float) -> np.ndarray:
    """Adds `shift` to the 8-bit hue, cut off to whole steps and wrapped at 256.

    OpenCV's 8-bit hue divides the turn by 256 and rounds where Pillow's divides it by 255 and cuts
    off, up to 20 levels apart; so the hue is quantised here, from OpenCV's float one.
    """
    shifted = np.trunc(np.arange(256) + shift).astype(np.int64) & 255
    degrees = (shifted * (360 / 255) % 360).astype(np.float32)
    turned = np.empty_like(piece)
    # In strips, for the float copies of a whole picture leave the cache: three times slower.
    rows = max(1, _STRIP_PIXELS // piece.shape[1])
    for start in range(0, len(piece), rows):
        strip = slice(start, start + rows)
        turned[strip] = _replace_hue(piece[strip], degrees)
    return turned


def _replace_hue(piece: np.ndarray, degrees: np.ndarray) -> np.ndarray:
    """Looks every pixel's 8-bit hue up in `degrees` [256]."""
    hue, saturation, value = cv2.split(cv2.cvtColor(piece.astype(np.float32), cv2.COLOR_RGB2HSV))
    # The small term keeps exact steps from falling to the step below by float rounding.
    steps = (hue * np.float32(255 / 360) + np.float32(1e-4)).astype(np.uint8)
    saturation = np.floor(saturation * np.float32(255) + np.float32(1e-4)) * np.float32(1 / 255)
    turned = cv2.merge([cv2.LUT(steps, degrees), saturation, value])
    return cv2.convertScaleAbs(cv2.cvtColor(turned, cv2.COLOR_HSV2RGB))
