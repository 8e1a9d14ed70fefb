"""The parts of EXTD's augmentation as albumentations transforms, which compose with others'."""

import os
from collections.abc import Collection, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

from facedet.data import crops
from facedet.data.photometric import Step, distort, draw_steps
from facedet.errors import UsageError

# At import albumentations asks the network for its newest version unless this is set; the package
# imports it here only.
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
import albumentations as A  # noqa: E402

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

    def apply(self, img: np.ndarray, steps: tuple[Step, ...], **_: Any) -> np.ndarray:  # noqa: ANN401
        """Distorts uint8 [H, W, 3]."""
        return distort(img, steps, img)


class _FaceCrop(A.DualTransform):
    """Cuts the window that a subclass chooses.

    Args:
        distortion: distorts the pixels of the window before they are resized; the result is that
            of the distortion before this crop, without the work on pixels that are cut away.
        ignore_column: column of the boxes that is not zero for those no window is chosen for.
        p: probability of the crop.
    """

    clips = False

    def __init__(
        self, distortion: PhotometricDistortion | None, ignore_column: int | None, p: float
    ) -> None:
        super().__init__(p=p)
        self.distortion = distortion
        self.ignore_column = ignore_column

    def choose(
        self, picture: tuple[int, int], boxes: np.ndarray, pickable: np.ndarray
    ) -> crops.Crop:
        """The crop of a picture of size (height, width) with `boxes` [N, 4] in pixels."""
        raise NotImplementedError

    def get_params_dependent_on_data(
        self, params: dict[str, Any], data: dict[str, Any]
    ) -> dict[str, Any]:
        """Draws the distortion, then the window."""
        steps = self.distortion.draw(self.random_generator) if self.distortion else ()
        height, width = params["shape"][:2]
        table = np.asarray(data.get("bboxes", ()), dtype=np.float64)
        table = table.reshape(len(table), -1) if len(table) else np.zeros((0, 6))
        pickable = np.ones(len(table), dtype=bool)
        if self.ignore_column is not None:
            pickable = table[:, self.ignore_column] == 0
        crop = crops.whole_picture((height, width), len(table))
        if pickable.any():
            pixels = table[:, :4] * (width, height, width, height)
            crop = self.choose((height, width), pixels, pickable)
        return {"steps": steps, "window": crop.window, "keep": crop.keep}

    def apply(
        self,
        img: np.ndarray,
        window: crops.Window,
        steps: tuple[Step, ...],
        **_: Any,  # noqa: ANN401
    ) -> np.ndarray:
        """The window's pixels of uint8 [H, W, 3], distorted."""
        return crops.cut_window(img, window, partial(distort, steps=steps, picture=img))

    def apply_to_bboxes(
        self,
        bboxes: np.ndarray,
        window: crops.Window,
        keep: np.ndarray,
        **_: Any,  # noqa: ANN401
    ) -> np.ndarray:
        """Normalised boxes [N, 4 + columns] of the picture -> those of the window that stay."""
        if not len(bboxes):
            return bboxes
        boxes = crops.window_boxes(bboxes[keep, :4], (1, 1), window)
        boxes /= (window.width, window.height, window.width, window.height)
        if self.clips:
            boxes = boxes.clip(0, 1)
        return np.hstack([boxes, bboxes[keep, 4:]])

    def apply_to_mask(self, mask: np.ndarray, **_: Any) -> np.ndarray:  # noqa: ANN401
        """Refused: a mask must not be resized with a picture's filters."""
        raise NotImplementedError(f"{type(self).__name__} crops images and boxes, not masks")


class DataAnchorSampling(_FaceCrop):
    """Resizes until a random face has about an anchor's size, and cuts a window around it.

    See `crops.choose_anchor_window`. The result may be smaller than `size` at the right and the
    bottom.

    Args:
        size: side of the window in pixels.
        sides: anchor sides in pixels, ascending.
        interpolations: filters to draw from, keys of `crops.INTERPOLATIONS`.
        tries: windows drawn.
        side_limit: the resized picture has at most this squared many pixels.
        distortion: see `_FaceCrop`.
        ignore_column: see `_FaceCrop`.
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


class SquareCrop(_FaceCrop):
    """Cuts a random square that holds a face; see `crops.choose_square`.

    Args:
        size: side of the network's input, at which the smallest faces are measured.
        min_scale: of the short side, for the smallest square.
        tries: squares drawn in each of the five searches.
        distortion: see `_FaceCrop`.
        ignore_column: see `_FaceCrop`.
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
