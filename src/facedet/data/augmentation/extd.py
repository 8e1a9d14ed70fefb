"""The parts of EXTD's augmentation as albumentations transforms, which compose with others'."""

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

from facedet.data.augmentation import windows as crops
from facedet.data.augmentation.distortion import Step, distort, draw_steps
from facedet.data.augmentation.face_crop import A, FaceCrop
from facedet.errors import UsageError

FILTERS = ("bilinear", "hamming", "nearest", "bicubic", "lanczos")  # Pillow's
# Lanczos came to torch after 2.6.
_TORCH_FILTERS = {"bilinear", "bicubic"} | (
    {"lanczos"} if hasattr(torch.ops.aten, "_upsample_lanczos2d_aa") else set()
)


class PhotometricDistortion(A.ImageOnlyTransform):
    """Brightness, contrast, saturation and hue in SSD's two orders, each with probability 0.5.

    Args:
        brightness: factor 1 + U(-brightness, brightness); likewise contrast and saturation.
        contrast: see brightness.
        saturation: see brightness.
        hue: shift U(-hue, hue) of the 8-bit hue.
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
        super().__init__(p=p)
        self.brightness = brightness
        self.contrast = contrast
        self.saturation = saturation
        self.hue = hue

    def draw(self, rng: np.random.Generator) -> tuple[Step, ...]:
        """The operations of one distortion."""
        if rng.random() >= self.p:
            return ()
        return draw_steps(rng, self.brightness, self.contrast, self.saturation, self.hue)

    def get_params(self) -> dict[str, Any]:
        """Draws the operations; albumentations has drawn `p` already."""
        ranges = (self.brightness, self.contrast, self.saturation, self.hue)
        return {"steps": draw_steps(self.random_generator, *ranges)}

    def alter(self, piece: np.ndarray, drawn: tuple[Step, ...], picture: np.ndarray) -> np.ndarray:
        """Distorts a part uint8 [h, w, 3] of a picture; see `photometric.distort`."""
        return distort(piece, drawn, picture)

    def apply(self, img: np.ndarray, steps: tuple[Step, ...], **_: Any) -> np.ndarray:  # noqa: ANN401
        """Distorts uint8 [H, W, 3]."""
        return distort(img, steps, img)


class DataAnchorSampling(FaceCrop):
    """Resizes until a random face has about an anchor's size, and cuts a window around it.

    See `crops.choose_anchor_window`. The result may be smaller than `size` at the right and the
    bottom.

    Args:
        size: side of the window in pixels.
        sides: anchor sides in pixels, ascending.
        interpolations: filters to draw from, keys of `crops.INTERPOLATIONS`.
        tries: windows drawn.
        side_limit: the resized picture has at most this squared many pixels.
        distortion: see `FaceCrop`.
        ignore_column: see `FaceCrop`.
        p: probability of the crop.
    """

    def __init__(
        self,
        size: int = 640,
        sides: Sequence[int] = crops.ANCHOR_SIDES,
        interpolations: Sequence[str] = tuple(crops.INTERPOLATIONS),
        tries: int = 50,
        side_limit: int = 12000,
        distortion: PhotometricDistortion | None = None,
        ignore_column: int | None = None,
        p: float = 1.0,
    ) -> None:
        super().__init__(distortion, ignore_column, p)
        if not sides or list(sides) != sorted(sides) or sides[0] > size:
            raise UsageError(f"sides {list(sides)} must ascend from one of at most size {size}")
        _check_names("interpolations", interpolations, crops.INTERPOLATIONS)
        self.size = size
        self.sides = tuple(sides)
        self.interpolations = tuple(interpolations)
        self.tries = tries
        self.side_limit = side_limit

    def choose(
        self, picture: tuple[int, int], boxes: np.ndarray, pickable: np.ndarray
    ) -> crops.Crop:
        """A window around one face."""
        how = (self.size, self.sides, self.interpolations, self.tries, self.side_limit)
        return crops.choose_anchor_window(picture, boxes, pickable, self.random_generator, *how)


class SquareCrop(FaceCrop):
    """Cuts a random square that holds a face; see `crops.choose_square`.

    Args:
        size: side of the network's input, at which the smallest faces are measured.
        min_scale: of the short side, for the smallest square.
        tries: squares drawn in each of the five searches.
        distortion: see `FaceCrop`.
        ignore_column: see `FaceCrop`.
        p: probability of the crop.
    """

    clips = True

    def __init__(
        self,
        size: int = 640,
        min_scale: float = 0.3,
        tries: int = 50,
        distortion: PhotometricDistortion | None = None,
        ignore_column: int | None = None,
        p: float = 1.0,
    ) -> None:
        super().__init__(distortion, ignore_column, p)
        self.size = size
        self.min_scale = min_scale
        self.tries = tries

    def choose(
        self, picture: tuple[int, int], boxes: np.ndarray, pickable: np.ndarray
    ) -> crops.Crop:
        """A square around some face."""
        how = (self.size, self.min_scale, self.tries)
        return crops.choose_square(picture, boxes, pickable, self.random_generator, *how)


class PillowResize(A.DualTransform):
    """Resizes to `size` x `size`, aspect ignored, with one of Pillow's antialiasing filters.

    Args:
        size: side of the result in pixels.
        filters: names to draw from, out of `FILTERS`.
        p: probability of resizing.
    """

    def __init__(self, size: int = 640, filters: Sequence[str] = FILTERS, p: float = 1.0) -> None:
        super().__init__(p=p)
        _check_names("filters", filters, FILTERS)
        self.size = size
        self.filters = tuple(filters)

    def get_params(self) -> dict[str, Any]:
        """Draws the filter."""
        return {"filter": self.filters[int(self.random_generator.integers(len(self.filters)))]}

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


def _check_names(what: str, names: Sequence[str], known: Collection[str]) -> None:
    """Refuses a name that is not known, and no names at all."""
    unknown = [name for name in names if name not in known]
    if unknown or not names:
        raise UsageError(f"{what}={list(names)}: one or more of {', '.join(known)} are wanted")
