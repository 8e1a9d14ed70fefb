"""Where the faces and distractors of one crowd stand, and what of them can be seen."""

from typing import NamedTuple

import cv2
import numpy as np

MIN_HEIGHT, MAX_HEIGHT = 10, 60  # of a face box, pixels
MIN_FACES, MAX_FACES = 4, 20  # per picture
MAX_COVERED = 0.35  # share of a face that nearer patches may hide

# Where the face lies in a 25 x 25 patch, read off the mean of all hundred: from the middle of the
# forehead to the chin (rows 3 to 24) and from ear to ear. Half-sizes of its oval, and its centre.
FACE_HALF = np.array([8.4, 10.5], dtype=np.float32)
FACE_CENTRE = np.array([11.0, 13.5], dtype=np.float32)
# The pasted oval is wider than the face, so that hair and neck hide where the box ends.
OVAL_HALF = np.array([9.7, 11.7], dtype=np.float32)
OVAL_CENTRE = np.array([11.0, 13.1], dtype=np.float32)

_ROBUST_HEIGHT = 24  # pixels from which a face may be hidden as far as MAX_COVERED
_ATTEMPTS = 60  # to find a place for one patch


class Place(NamedTuple):
    """Where and how a patch lies in the picture."""

    centre: tuple[float, float]  # (x, y) of the face's middle, pixels
    scale: float  # picture pixels per patch pixel
    squeeze: float  # width over its natural width
    angle: float  # degrees
    is_mirrored: bool
    is_face: bool
    covered: float  # share of the face's oval under larger patches, in [0, MAX_COVERED]
    blur: float  # standard deviation over the face's height
    slope: float  # how much lighter than its middle one side of the patch is

    def box(self) -> tuple[int, int, int, int]:
        """The xyxy box, whole pixels, around the rotated oval of the face."""
        turn = np.deg2rad(self.angle)
        half_width, half_height = FACE_HALF * self.scale * (self.squeeze, 1.0)
        x, y = self.centre
        dx = np.hypot(half_width * np.cos(turn), half_height * np.sin(turn))
        dy = np.hypot(half_width * np.sin(turn), half_height * np.cos(turn))
        return round(x - dx), round(y - dy), round(x + dx), round(y + dy)


def find_places(size: int, rng: np.random.Generator) -> list[Place]:
    """Places for faces and as many distractors, largest first; none hides too much of another."""
    count = int(rng.integers(MIN_FACES, MAX_FACES + 1))
    # Log-uniform, bent towards the small end, as in WIDER FACE. The margins keep the rounded and
    # rotated boxes within the bounds.
    low, high = MIN_HEIGHT + 0.6, MAX_HEIGHT - 0.6
    heights = np.sort(low * (high / low) ** (rng.random(2 * count) ** 1.2))[::-1]
    is_face = rng.permutation(np.arange(2 * count) < count)
    places: list[Place] = []
    taken = np.zeros((size, size), dtype=np.uint8)
    for height, face in zip(heights, is_face, strict=True):
        place = _find_place(float(height), bool(face), taken, places, rng)
        if place is not None:
            places.append(place)
            # A tenth more, because a patch's soft rim hides what lies under it as well.
            _draw_oval(taken, place, 1.1 * OVAL_HALF, OVAL_CENTRE)
    return places


def _find_place(
    height: float, is_face: bool, taken: np.ndarray, places: list[Place], rng: np.random.Generator
) -> Place | None:
    size = len(taken)
    # Ten pixels of which a third is hidden show no face any more.
    limit = MAX_COVERED * min(height / _ROBUST_HEIGHT, 1)
    for _ in range(_ATTEMPTS):
        place = Place(
            centre=_draw_centre(height, size, places, rng),
            scale=height / float(2 * FACE_HALF[1]),
            squeeze=rng.uniform(0.92, 1.08),
            angle=float(np.clip(rng.normal(0, 7), -15, 15)),
            is_mirrored=bool(rng.random() < 0.5),
            is_face=is_face,
            covered=0.0,
            blur=rng.uniform(0, 0.035),
            slope=rng.uniform(0, 0.3),
        )
        x1, y1, x2, y2 = place.box()
        if x1 < 0 or y1 < 0 or x2 > size or y2 > size:
            continue
        oval = np.zeros_like(taken)
        _draw_oval(oval, place, FACE_HALF, FACE_CENTRE)
        covered = float(taken[oval > 0].mean())
        if covered <= limit:
            return place._replace(covered=covered)
    return None


def _draw_centre(
    height: float, size: int, places: list[Place], rng: np.random.Generator
) -> tuple[float, float]:
    """Anywhere, or half the time beside an earlier patch: people stand together."""
    if places and rng.random() < 0.5:
        x, y = (neighbour := places[rng.integers(len(places))]).centre
        reach = (height + 2 * neighbour.scale * float(FACE_HALF[1])) / 2
        side = rng.choice([-1, 1])
        return x + side * reach * rng.uniform(0.6, 1.1), y + reach * rng.uniform(-0.5, 0.5)
    x, y = rng.uniform(height / 2, size - height / 2, 2)
    return float(x), float(y)


def _draw_oval(canvas: np.ndarray, place: Place, half: np.ndarray, centre: np.ndarray) -> None:
    """Sets a canvas [size, size] uint8 to 1 inside an oval that is given in patch pixels."""
    # OpenCV draws in sixteenths of a pixel (shift 4) from the middle of the first pixel.
    x, y = place.centre + (centre - FACE_CENTRE) * place.scale - 0.5
    width, height = half * place.scale * (place.squeeze, 1.0)
    middle, axes = (round(16 * x), round(16 * y)), (round(16 * width), round(16 * height))
    cv2.ellipse(canvas, middle, axes, place.angle, 0, 360, 1, -1, shift=4)
