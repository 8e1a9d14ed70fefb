"""SSD's photometric distortion on floats, as SmallHardFace trains with (arXiv 1811.11662).

Brightness adds levels and contrast multiplies them, each cut off at 0 and 255; saturation and hue
are those of HSV. Rounding comes last. Works on RGB `uint8 [H, W, 3]`.
"""

from typing import NamedTuple

import cv2
import numpy as np

from facedet.data.augmentation.face_crop import Distortion

# Float copies of a whole picture leave the cache: strips of so many pixels are faster.
_STRIP_PIXELS = 16384
_LEVELS = np.arange(256, dtype=np.float32)


class Tone(NamedTuple):
    """One distortion; as it stands it changes nothing."""

    brightness: float = 0.0  # levels added to every channel
    contrast: float = 1.0  # factor of every channel, cut off at 255
    saturation: float = 1.0  # factor of HSV's saturation, which ends at 1
    hue: float = 0.0  # degrees added to HSV's hue
    contrast_last: bool = False  # contrast after saturation and hue, not before


class HsvDistortion(Distortion):
    """Brightness, contrast, saturation and hue on floats, each with probability 0.5.

    A coin decides whether contrast comes before or after the HSV part. What it cuts off at 255 is
    lost to the colours if it comes before.

    Args:
        brightness: levels U(-brightness, brightness) added.
        contrast, saturation: factor 1 + U(-contrast, contrast), and so on.
        hue: degrees U(-hue, hue) added.
        p: probability of the whole.
    """

    unchanged = Tone()

    def __init__(
        self,
        brightness: float = 32.0,
        contrast: float = 0.5,
        saturation: float = 0.5,
        hue: float = 18.0,
        p: float = 1.0,
    ) -> None:
        ranges = {"brightness": brightness, "contrast": contrast, "saturation": saturation}
        super().__init__(ranges | {"hue": hue}, p)

    def draw(self, rng: np.random.Generator) -> Tone:
        """One distortion."""
        happens = rng.random(4) < 0.5
        half = np.array(list(self.ranges.values()))
        amounts = np.array(Tone()[:4]) + np.where(happens, rng.uniform(-half, half), 0)
        return Tone(*amounts.tolist())._replace(contrast_last=bool(rng.random() < 0.5))

    def alter(self, piece: np.ndarray, drawn: Tone, picture: np.ndarray) -> np.ndarray:
        """A part uint8 [h, w, 3] of a picture, changed as drawn; every pixel goes by itself."""
        return retouch(piece, drawn)


def retouch(piece: np.ndarray, tone: Tone) -> np.ndarray:
    """Applies a distortion to uint8 [H, W, 3]; `piece` itself where there is none."""
    if tone[:4] == Tone()[:4]:
        return piece
    levels = np.clip(_LEVELS + np.float32(tone.brightness), 0, 255)
    is_grey = tone.saturation == 1 and tone.hue == 0
    if is_grey or not tone.contrast_last:
        levels = (levels * np.float32(tone.contrast)).clip(max=255)
    if is_grey:
        return cv2.LUT(piece, np.rint(levels).astype(np.uint8))
    done = np.empty_like(piece)
    rows = max(1, _STRIP_PIXELS // piece.shape[1])
    for start in range(0, len(piece), rows):
        strip = slice(start, start + rows)
        hsv = cv2.cvtColor(cv2.LUT(piece[strip], levels), cv2.COLOR_RGB2HSV)
        hue, saturation, value = cv2.split(hsv)
        hue += np.float32(tone.hue)
        # `np.mod` takes half of the whole time.
        hue -= np.float32(360) * (hue >= 360)
        hue += np.float32(360) * (hue < 0)
        saturation = np.minimum(saturation * np.float32(tone.saturation), np.float32(1))
        turned = cv2.cvtColor(cv2.merge([hue, saturation, value]), cv2.COLOR_HSV2RGB)
        # It rounds, and cuts off at 255.
        done[strip] = cv2.convertScaleAbs(turned, alpha=tone.contrast if tone.contrast_last else 1)
    return done
