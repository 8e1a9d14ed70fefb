"""Photometric distortions of RGB `uint8 [H, W, 3]`: EXTD's, and SmallHardFace's on floats.

EXTD changes brightness, contrast, saturation and hue as Pillow defines them. Tables and OpenCV
stand in for Pillow's enhancers, which take some five times as long; how close they come is held by
the tests. SmallHardFace takes SSD's distortion: brightness adds levels and contrast multiplies
them, each cut off at 0 and 255; saturation and hue are those of HSV, and rounding comes last.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import cv2
import numpy as np

# A contrast change needs the whole picture's mean grey; so many pixels give it to half a level.
_MEAN_PIXELS = 65536
# Float copies of a whole picture leave the cache: strips of so many pixels are faster.
_STRIP_PIXELS = 16384
_LEVELS = np.arange(256, dtype=np.float32)
_LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)  # ITU-R 601, as Pillow's mode L
# Half the width of the range that is drawn from, as SSD, S3FD and EXTD train with.
_RANGES = {"brightness": 0.125, "contrast": 0.5, "saturation": 0.5, "hue": 18.0}
_TONE_RANGES = np.array([32.0, 0.5, 0.5, 18.0])  # of the first four fields of `Tone`


class Distortion(NamedTuple):
    """How a change of brightness, contrast, saturation and hue is drawn, and how it is done."""

    draw: Callable[[np.random.Generator], Any]
    # A part uint8 [h, w, 3] of a picture, what was drawn, and the picture: the part, changed.
    alter: Callable[[np.ndarray, Any, np.ndarray], np.ndarray]


class Step(NamedTuple):
    """One operation of EXTD's distortion."""

    kind: str  # brightness | contrast | saturation | hue
    amount: float  # a factor; for hue the shift of Pillow's 8-bit hue, 255 to the turn


class Tone(NamedTuple):
    """SmallHardFace's distortion; as it stands it changes nothing."""

    brightness: float = 0.0  # levels added to every channel
    contrast: float = 1.0  # factor of every channel, cut off at 255
    saturation: float = 1.0  # factor of HSV's saturation, which ends at 1
    hue: float = 0.0  # degrees added to HSV's hue
    contrast_last: bool = False  # contrast after saturation and hue, not before


def draw_steps(rng: np.random.Generator, p: float = 1.0) -> tuple[Step, ...]:
    """With probability `p`, each of the four operations with probability 0.5, in SSD's two orders.

    Contrast comes second or last, evenly. Factors are 1 + U(-range, range), the hue's shift is
    U(-18, 18).
    """
    if rng.random() >= p:
        return ()
    early = ("brightness", "contrast", "saturation", "hue")
    late = ("brightness", "saturation", "hue", "contrast")
    steps = []
    for kind in early if rng.random() < 0.5 else late:
        if rng.random() < 0.5:
            half = _RANGES[kind]
            centre = 0.0 if kind == "hue" else 1.0
            steps.append(Step(kind, centre + float(rng.uniform(-half, half))))
    return tuple(steps)


def distort(piece: np.ndarray, steps: tuple[Step, ...], picture: np.ndarray) -> np.ndarray:
    """Applies EXTD's distortion to a part of a picture.

    Args:
        piece: uint8 [h, w, 3], the part that is needed.
        steps: as `draw_steps` draws them.
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


def draw_tone(rng: np.random.Generator, p: float = 1.0) -> Tone:
    """With probability `p`, each of the four changes with probability 0.5.

    A coin decides whether contrast comes before or after the HSV part. What it cuts off at 255 is
    lost to the colours if it comes before. Brightness adds U(-32, 32) levels, contrast and
    saturation are factors 1 + U(-0.5, 0.5), the hue turns by U(-18, 18) degrees.
    """
    if rng.random() >= p:
        return Tone()
    happens = rng.random(4) < 0.5
    amounts = np.array(Tone()[:4]) + np.where(happens, rng.uniform(-_TONE_RANGES, _TONE_RANGES), 0)
    return Tone(*amounts.tolist())._replace(contrast_last=bool(rng.random() < 0.5))


def retouch(piece: np.ndarray, tone: Tone, _: np.ndarray | None = None) -> np.ndarray:
    """Applies SmallHardFace's distortion to uint8 [h, w, 3], of any picture: pixels go alone.

    Gives `piece` itself where there is none.
    """
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
