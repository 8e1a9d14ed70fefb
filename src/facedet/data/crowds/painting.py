"""Paints one crowd: real faces, and as many patches without a face, blended into a photograph.

A detector must not be able to tell a face by how it was pasted. Faces and distractors therefore
take the same path (25 x 25 grey pixels, brightness and contrast matched to the place, a tint, a
soft oval, blur), and light, grain and compression come over the whole picture afterwards.
"""

from typing import NamedTuple

import cv2
import numpy as np

from facedet.data.crowds.layout import (
    FACE_CENTRE,
    FACE_HALF,
    OVAL_CENTRE,
    OVAL_HALF,
    Place,
    find_places,
)
from facedet.data.crowds.sources import Sources

_LUMINANCE = np.array([0.299, 0.587, 0.114], dtype=np.float32)


class Crowd(NamedTuple):
    """A painted picture and what was pasted into it, faces and distractors."""

    image: np.ndarray  # [size, size, 3] uint8 RGB
    places: list[Place]  # largest, and nearest to the viewer, first


def paint_crowd(sources: Sources, photograph: int, size: int, rng: np.random.Generator) -> Crowd:
    """Paints one square picture.

    Args:
        sources: the faces and photographs of one split.
        photograph: index of the background in `sources`.
        size: side of the picture, pixels.
        rng: all randomness comes from it.

    Returns:
        A picture with MIN_FACES to MAX_FACES faces (fewer where there is no room) whose boxes are
        MIN_HEIGHT to MAX_HEIGHT pixels high and lie inside the picture.
    """
    picture = _backdrop(sources.photographs[photograph], size, rng)
    places = find_places(size, rng)
    for place in reversed(places):
        patch = _face(sources, rng) if place.is_face else _distractor(sources, rng)
        _paste(picture, patch, place, rng)
    return Crowd(_photographed(picture, rng), places)


def _backdrop(photograph: np.ndarray, size: int, rng: np.random.Generator) -> np.ndarray:
    """A random square of a photograph [size, size, 3] float32 in [0, 1], tinted and softened."""
    side = int(min(photograph.shape[:2]) * rng.uniform(0.5, 1.0))
    square = _random_square(photograph, side, rng)
    method = cv2.INTER_AREA if side > size else cv2.INTER_CUBIC
    picture = cv2.resize(square, (size, size), interpolation=method).astype(np.float32) / 255
    soft = np.asarray(cv2.GaussianBlur(picture, (0, 0), rng.uniform(0.3, 1.6)))
    tint = np.exp(rng.normal(0, 0.1, 3)).astype(np.float32)
    contrast, brightness = rng.uniform(0.6, 1.0), rng.uniform(-0.1, 0.1)
    return np.clip((soft * tint - 0.5) * contrast + 0.5 + brightness, 0, 1).astype(np.float32)


def _random_square(photograph: np.ndarray, side: int, rng: np.random.Generator) -> np.ndarray:
    top = rng.integers(photograph.shape[0] - side + 1)
    left = rng.integers(photograph.shape[1] - side + 1)
    square = photograph[top : top + side, left : left + side]
    return np.ascontiguousarray(square[:, ::-1] if rng.random() < 0.5 else square)


def _face(sources: Sources, rng: np.random.Generator) -> np.ndarray:
    return sources.faces[rng.integers(len(sources.faces))]


def _distractor(sources: Sources, rng: np.random.Generator) -> np.ndarray:
    """A patch [25, 25] without a face: found, cut from a photograph, or a face's scrambled self."""
    # Found patches are smoother than faces and scrambled ones rougher; in these shares the mean
    # Laplacian inside a box tells faces from distractors no better than a coin.
    kind = rng.random()
    if kind < 0.15:
        return sources.others[rng.integers(len(sources.others))]
    if kind < 0.45:
        photograph = sources.photographs[rng.integers(len(sources.photographs))]
        square = _random_square(photograph, int(rng.integers(25, 100)), rng)
        grey = square.astype(np.float32) @ _LUMINANCE / 255
        return cv2.resize(grey, (25, 25), interpolation=cv2.INTER_AREA)
    return _scramble(_face(sources, rng), rng)


def _scramble(face: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A patch [25, 25] with the spectrum of a face's oval and random phases."""
    y, x = np.mgrid[:25, :25] + 0.5
    radius = np.hypot((x - OVAL_CENTRE[0]) / OVAL_HALF[0], (y - OVAL_CENTRE[1]) / OVAL_HALF[1])
    # Without the soft window the patch's corners and wrapped edges would add their own spectrum.
    window = np.clip((1.1 - radius) / 0.2, 0, 1)
    shape = np.abs(np.fft.rfft2((face - np.average(face, weights=window)) * window))
    noise = np.fft.rfft2(rng.random(face.shape))
    return np.fft.irfft2(shape * noise / np.abs(noise), face.shape).astype(np.float32)


def _paste(picture: np.ndarray, patch: np.ndarray, place: Place, rng: np.random.Generator) -> None:
    """Blends one patch [25, 25] into the picture, in place."""
    size = len(picture)
    reach = 1.35 * float(OVAL_HALF[1]) * place.scale
    left, top = (max(int(v - reach), 0) for v in place.centre)
    right, bottom = (min(int(v + reach) + 2, size) for v in place.centre)
    ground = picture[top:bottom, left:right]
    x, y = _patch_coordinates(place, (left, top, right, bottom))
    alpha = _soft_oval(x, y, rng)
    # Anti-aliasing where the patch shrinks, and the blur of a lens, both in patch pixels.
    shrink = 0.45 * np.sqrt(max(place.scale**-2 - 1, 0))
    lens = place.blur * 2 * float(FACE_HALF[1])
    blurred = cv2.GaussianBlur(patch, (0, 0), max(float(np.hypot(shrink, lens)), 0.05))
    grey = cv2.remap(blurred, x - 0.5, y - 0.5, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101)
    grey = _match(grey, alpha, ground @ _LUMINANCE, rng)
    direction = rng.uniform(0, 2 * np.pi)
    across = (x - FACE_CENTRE[0]) * np.cos(direction) + (y - FACE_CENTRE[1]) * np.sin(direction)
    grey *= 1 + place.slope * across / float(OVAL_HALF[1])
    colour = grey[..., None] * _tint(ground, alpha, rng)
    ground += alpha[..., None] * (np.clip(colour, 0, 1) - ground)


def _patch_coordinates(
    place: Place, window: tuple[int, int, int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """Where in the patch each pixel of an xyxy window comes from: x and y, each [h, w] float32."""
    left, top, right, bottom = window
    dy, dx = np.mgrid[top:bottom, left:right].astype(np.float32) + 0.5
    dx, dy = dx - place.centre[0], dy - place.centre[1]
    turn = np.deg2rad(place.angle)
    x = (dx * np.cos(turn) + dy * np.sin(turn)) / (place.scale * place.squeeze)
    y = (dy * np.cos(turn) - dx * np.sin(turn)) / place.scale
    if place.is_mirrored:
        x = -x
    return (x + FACE_CENTRE[0]).astype(np.float32), (y + FACE_CENTRE[1]).astype(np.float32)


def _soft_oval(x: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Opacity [h, w] in [0, 1] at patch coordinates: 1 in the face, 0 beyond its surroundings."""
    half = OVAL_HALF * rng.uniform(0.94, 1.06, 2)
    power = rng.uniform(2.0, 3.5)  # 2 is an ellipse; more fills the corners
    feather = rng.uniform(0.08, 0.25)
    u, v = np.abs(x - OVAL_CENTRE[0]) / half[0], np.abs(y - OVAL_CENTRE[1]) / half[1]
    radius = (u**power + v**power) ** (1 / power)
    inside = np.clip((1 + feather - radius) / (2 * feather), 0, 1)
    return (inside * inside * (3 - 2 * inside)).astype(np.float32)


def _match(
    grey: np.ndarray, alpha: np.ndarray, ground: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Moves mean and contrast of a patch part of the way to those of the place it goes to."""
    mean, deviation = _moments(grey, alpha)
    ground_mean, ground_deviation = _moments(ground, alpha)
    nearness = rng.uniform(0.2, 0.7)
    new_mean = (1 - nearness) * rng.uniform(0.3, 0.7) + nearness * ground_mean
    new_deviation = (1 - nearness) * rng.uniform(0.12, 0.2) + nearness * ground_deviation
    # The bounds keep a face visible on a flat or black ground.
    gain = np.clip(new_deviation, 0.13, 0.2) / max(deviation, 1e-3)
    return (grey - mean) * gain + np.clip(new_mean, 0.22, 0.78)


def _moments(values: np.ndarray, weights: np.ndarray) -> tuple[float, float]:
    mean = float(np.average(values, weights=weights))
    return mean, float(np.sqrt(np.average((values - mean) ** 2, weights=weights)))


def _tint(ground: np.ndarray, alpha: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A colour [3] of luminance 1: mostly of skin, sometimes any, drawn towards the ground's."""
    if rng.random() < 0.8:
        tint = np.array([rng.uniform(1.05, 1.4), 1.0, rng.uniform(0.65, 1.0)])
    else:
        tint = np.exp(rng.normal(0, 0.12, 3))
    around = np.average(ground.reshape(-1, 3), axis=0, weights=alpha.ravel()) + 0.05
    around = around / (around @ _LUMINANCE)
    tint = tint / (tint @ _LUMINANCE) * (share := rng.uniform(0.6, 1.0)) + around * (1 - share)
    return tint.astype(np.float32)


def _photographed(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Light, lens, grain and compression over the whole picture: [size, size, 3] uint8 RGB."""
    size = len(picture)
    direction, strength = rng.uniform(0, 2 * np.pi), rng.uniform(0, 0.35)
    ramp = np.linspace(-1, 1, size, dtype=np.float32)
    light = 1 + strength * (ramp[None] * np.cos(direction) + ramp[:, None] * np.sin(direction))
    picture = np.clip(picture * light[..., None], 0, 1) ** rng.uniform(0.8, 1.25)
    if rng.random() < 0.15:
        picture = np.repeat((picture @ _LUMINANCE)[..., None], 3, axis=2)
    picture = cv2.GaussianBlur(picture.astype(np.float32), (0, 0), rng.uniform(0.2, 0.5))
    picture += rng.normal(0, rng.uniform(0, 0.02), (size, size, 1)).astype(np.float32)
    pixels = (np.clip(picture, 0, 1) * 255).round().astype(np.uint8)
    quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(50, 96))]
    _, encoded = cv2.imencode(".jpg", pixels[..., ::-1], quality)
    return np.asarray(cv2.imdecode(encoded, cv2.IMREAD_COLOR))[..., ::-1]
