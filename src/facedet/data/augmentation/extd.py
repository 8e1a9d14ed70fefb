"""EXTD's two training crops and its resizing, as albumentations transforms.

The windows are chosen from boxes alone and cut before anything is resized (`windows.cut_window`).
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

from facedet.data.augmentation.distortion import Distortion
from facedet.data.augmentation.face_crop import A, FaceCrop
from facedet.data.augmentation.windows import INTERPOLATIONS, Crop, Size, Window
from facedet.errors import UsageError

ANCHOR_SIDES = (16, 32, 64, 128, 256, 512)
MIN_AREA = 36.0  # px^2 of the network's input
FILTERS = ("bilinear", "hamming", "nearest", "bicubic", "lanczos")  # Pillow's
# Lanczos came to torch after 2.6.
_TORCH_FILTERS = {"bilinear", "bicubic"} | (
    {"lanczos"} if hasattr(torch.ops.aten, "_upsample_lanczos2d_aa") else set()
)


class DataAnchorSampling(FaceCrop):
    """Data-anchor sampling, as PyramidBox and EXTD train with.

    One face is picked and brought to a randomly chosen anchor's side, at most one anchor larger
    than its own, times 2^U(-1, 1). Of the windows tried, those that hold a face entirely or overlap
    one by IoU > 0.7 are valid, and one of them is taken; without any, the whole resized picture.
    Faces stay whose centre is strictly inside and whose area exceeds 36 px^2 in the window; they
    are not clipped. The result may be smaller than `size` at the right and the bottom.

    Args:
        size: side of the window, the network's input, in pixels.
        sides: anchor sides in pixels, ascending; those above `size` are no targets.
        side_limit: the resized picture has at most this squared many pixels.
        tries: windows drawn.
        distortion, p: see `FaceCrop`.
    """

    def __init__(
        self,
        size: int = 640,
        sides: Sequence[int] = ANCHOR_SIDES,
        side_limit: int = 12000,
        tries: int = 50,
        distortion: Distortion | None = None,
        p: float = 1.0,
    ) -> None:
        super().__init__(distortion, p)
        if not sides or list(sides) != sorted(sides) or sides[0] > size:
            text = f"sides {list(sides)} must ascend from one of at most size {size}"
            raise UsageError(f"augmentation.size={size}: {text}")
        self.size = size
        self.sides = tuple(sides)
        self.tries = tries
        self.side_limit = side_limit

    def choose(
        self, picture: Size, boxes: np.ndarray, pickable: np.ndarray, rng: np.random.Generator
    ) -> Crop:
        """A window around one face; at least one is pickable."""
        size = self.size
        height, width = picture
        picked = int(rng.choice(np.flatnonzero(pickable)))
        ratio = _draw_target(boxes[picked], rng, size, self.sides) * 2 ** rng.uniform(-1, 1)
        ratio = min(ratio, self.side_limit / math.sqrt(height * width))
        resized = (max(1, round(height * ratio)), max(1, round(width * ratio)))
        interpolation = list(INTERPOLATIONS)[int(rng.integers(len(INTERPOLATIONS)))]
        scaled = boxes * np.tile([resized[1] / width, resized[0] / height], 2)
        corners = _draw_corners(resized, scaled[picked], rng, size, self.tries)
        # A box annotated beside the picture can be held by a window that sees none of it.
        sees = ((corners < resized[::-1]) & (corners + size > 0)).all(axis=1)
        valid = np.flatnonzero(sees & _holds_a_face(corners, size, scaled[pickable]))
        large = _areas(scaled) > MIN_AREA
        if not len(valid):
            return Crop(Window(resized, 0, 0, *resized, interpolation), large)
        left, top = (int(corner) for corner in corners[rng.choice(valid)])
        centres = (scaled[:, :2] + scaled[:, 2:]) / 2
        inside = ((centres > (left, top)) & (centres < (left + size, top + size))).all(axis=1)
        bottom, right = min(top + size, resized[0]), min(left + size, resized[1])
        window = Window(resized, top, left, bottom - top, right - left, interpolation)
        return Crop(window, inside & large)


class SquareCrop(FaceCrop):
    """A random square that holds a face entirely (SSD's crop as S3FD and EXTD use it).

    Five searches, one for squares of the whole short side and four of U(min_scale, 1) of it, end
    with their first square around a face or with none; one of the squares found is taken, else the
    whole picture. Faces stay whose centre is inside or on the edge and which, clipped to the
    square, have at least 36 px^2 at the network's input.

    Args:
        size: side of the network's input, at which the smallest faces are measured.
        min_scale: of the short side, for the smallest square.
        tries: squares drawn in each search.
        distortion, p: see `FaceCrop`.
    """

    clips = True

    def __init__(
        self,
        size: int = 640,
        min_scale: float = 0.3,
        tries: int = 50,
        distortion: Distortion | None = None,
        p: float = 1.0,
    ) -> None:
        super().__init__(distortion, p)
        self.size = size
        self.min_scale = min_scale
        self.tries = tries

    def choose(
        self, picture: Size, boxes: np.ndarray, pickable: np.ndarray, rng: np.random.Generator
    ) -> Crop:
        """A square around some face."""
        height, width = picture
        scales = rng.uniform(self.min_scale, 1, (5, self.tries))
        scales[0] = 1
        # Whole pixels, so that the faces move by exactly as much as the pixels do.
        side = np.maximum(1, np.rint(min(picture) * scales)).astype(np.int64)
        left, top = rng.integers(0, width - side + 1), rng.integers(0, height - side + 1)
        squares = np.stack([left, top, left + side, top + side], axis=-1)  # (5, tries, 4)
        holds = _any_inside(squares, boxes[pickable])
        found = np.flatnonzero(holds.any(axis=1))
        window = Window(picture, 0, 0, height, width)
        if len(found):
            search = rng.choice(found)
            x1, y1, x2, y2 = squares[search, holds[search].argmax()].tolist()
            window = Window(picture, y1, x1, y2 - y1, x2 - x1)
        low = np.array([window.left, window.top])
        high = low + (window.width, window.height)
        centres = (boxes[:, :2] + boxes[:, 2:]) / 2
        inside = ((centres >= low) & (centres <= high)).all(axis=1)
        clipped = np.clip(boxes, np.tile(low, 2), np.tile(high, 2))
        enlarged = _areas(clipped) * self.size**2 / (window.width * window.height)
        return Crop(window, inside & (enlarged >= MIN_AREA))


class PillowResize(A.DualTransform):
    """Resizes to `size` x `size` px, aspect ignored, with a random one of Pillow's filters."""

    def __init__(self, size: int = 640) -> None:
        super().__init__(p=1.0)
        self.size = size

    def get_params(self) -> dict[str, Any]:
        """Draws the filter."""
        return {"filter": FILTERS[int(self.random_generator.integers(len(FILTERS)))]}

    def apply(self, img: np.ndarray, filter: str, **_: Any) -> np.ndarray:  # noqa: A002, ANN401
        """Resizes uint8 [H, W, 3]."""
        return resize_filtered(img, self.size, filter)

    def apply_to_bboxes(self, bboxes: np.ndarray, **_: Any) -> np.ndarray:  # noqa: ANN401
        """Normalised boxes stay what they are."""
        return bboxes


def resize_filtered(image: np.ndarray, size: int, name: str) -> np.ndarray:
    """Resizes uint8 [H, W, 3] to [size, size, 3] with Pillow's filter `name`.

    torch has three of the filters in vector code, within two levels of Pillow and four to seven
    times as fast.
    """
    if image.shape[:2] == (size, size):
        return image
    image = np.ascontiguousarray(image)
    if name in _TORCH_FILTERS:
        # Channels last from the start: torch takes another, slower way for other strides.
        batch = torch.from_numpy(image)[None].permute(0, 3, 1, 2)
        resized = F.interpolate(batch, size=(size, size), mode=name, antialias=True)
        return np.ascontiguousarray(resized[0].permute(1, 2, 0).numpy())
    resample = Image.Resampling[name.upper()]
    return np.array(Image.fromarray(image).resize((size, size), resample))


def _draw_target(
    box: np.ndarray, rng: np.random.Generator, size: int, sides: Sequence[int]
) -> float:
    """The factor that brings a face to the side of a randomly chosen anchor."""
    # Sides count whole pixels: a face from 3 to 5 is three wide.
    side = math.sqrt((box[2] - box[0] + 1) * (box[3] - box[1] + 1))
    nearest = int(np.abs(np.array(sides) - side).argmin())
    last = sum(anchor <= size for anchor in sides) - 1
    return sides[int(rng.integers(min(nearest + 1, last) + 1))] / side


def _draw_corners(
    resized: Size, face: np.ndarray, rng: np.random.Generator, size: int, tries: int
) -> np.ndarray:
    """Upper left corners (x, y) [tries, 2] of windows in a resized picture."""
    height, width = resized
    if size < max(height, width):
        # From the face at the window's far edge to the face at its near edge; a face larger than
        # the window is cut by it instead.
        bounds = np.stack([face[:2], face[2:] + 1 - size])
    else:
        bounds = np.array([[width - size, height - size], [0, 0]], dtype=np.float64)
    low, high = bounds.min(axis=0), bounds.max(axis=0)
    return np.floor(rng.uniform(low, high, (tries, 2))).astype(np.int64)


def _holds_a_face(corners: np.ndarray, size: int, faces: np.ndarray) -> np.ndarray:
    """Which windows [T] hold a face entirely or overlap one by IoU > 0.7."""
    windows = np.concatenate([corners, corners + size], axis=1)
    low = np.maximum(windows[:, None, :2], faces[:, :2])
    high = np.minimum(windows[:, None, 2:], faces[:, 2:])
    shared = (high - low).clip(min=0).prod(axis=-1)
    overlaps = shared / (size**2 + _areas(faces) - shared) > 0.7
    return _any_inside(windows, faces) | overlaps.any(axis=1)


def _any_inside(windows: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Which windows [..., 4] hold any face [N, 4] entirely, edges included: [...] bool."""
    outer = windows[..., None, :]
    inside = (outer[..., :2] <= faces[:, :2]) & (outer[..., 2:] >= faces[:, 2:])
    return np.asarray(inside.all(axis=-1).any(axis=-1))


def _areas(boxes: np.ndarray) -> np.ndarray:
    return (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
