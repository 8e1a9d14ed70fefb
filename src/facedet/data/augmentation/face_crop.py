"""What the training crops of all papers share: cutting a window, with its pixels distorted."""

import os
from functools import partial
from typing import Any

import numpy as np

from facedet.data.augmentation.windows import (
    Crop,
    Size,
    Window,
    cut_window,
    whole_picture,
    window_boxes,
)

# At import albumentations asks the network for its newest version unless this is set; the package
# imports it here only.
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
import albumentations as A  # noqa: E402


class Distortion(A.ImageOnlyTransform):
    """Changes brightness, contrast, saturation and hue: draws how, then does it.

    Args:
        ranges: by name of the four, half the width of the range that is drawn from.
        p: probability of the whole.
    """

    unchanged: Any = ()  # a draw that changes nothing

    def __init__(self, ranges: dict[str, float], p: float) -> None:
        super().__init__(p=p)
        self.ranges = ranges

    def draw(self, rng: np.random.Generator) -> Any:  # noqa: ANN401
        """How one picture is to be changed."""
        raise NotImplementedError

    def alter(self, piece: np.ndarray, drawn: Any, picture: np.ndarray) -> np.ndarray:  # noqa: ANN401
        """A part uint8 [h, w, 3] of `picture` uint8 [H, W, 3], changed as drawn."""
        raise NotImplementedError

    def draw_or_not(self, rng: np.random.Generator) -> Any:  # noqa: ANN401
        """A draw with probability `p`, else one that changes nothing."""
        return self.draw(rng) if rng.random() < self.p else self.unchanged

    def get_params(self) -> dict[str, Any]:
        """Draws for a whole picture; albumentations has drawn `p` already."""
        return {"drawn": self.draw(self.random_generator)}

    def apply(self, img: np.ndarray, drawn: Any, **_: Any) -> np.ndarray:  # noqa: ANN401
        """Distorts uint8 [H, W, 3]."""
        return self.alter(img, drawn, img)


class FaceCrop(A.DualTransform):
    """Cuts the window that a subclass chooses.

    Args:
        distortion: alters the window's pixels, before or after they are resized, whichever are
            fewer; nearly the result of the distortion before this crop, without its work on
            pixels that are cut away.
        ignore_column: column of the boxes that is not zero for those no window is chosen for.
        p: probability of the crop.
    """

    clips = False  # whether boxes are cut off at the window's edges
    is_for_faces = True  # whether a picture without a face stays as it is

    def __init__(self, distortion: Distortion | None, ignore_column: int | None, p: float) -> None:
        super().__init__(p=p)
        self.distortion = distortion
        self.ignore_column = ignore_column

    def choose(
        self, picture: Size, boxes: np.ndarray, pickable: np.ndarray, rng: np.random.Generator
    ) -> Crop:
        """A window, and the faces that stay.

        Args:
            picture: its size.
            boxes: [N, 4] float xyxy pixels.
            pickable: [N] bool: the faces that a window may be chosen for.
            rng: source of every draw.
        """
        raise NotImplementedError

    def get_params_dependent_on_data(
        self, params: dict[str, Any], data: dict[str, Any]
    ) -> dict[str, Any]:
        """Draws the distortion, then the window."""
        steps = self.distortion.draw_or_not(self.random_generator) if self.distortion else ()
        height, width = params["shape"][:2]
        table = np.asarray(data.get("bboxes", ()), dtype=np.float64)
        table = table.reshape(len(table), -1) if len(table) else np.zeros((0, 6))
        pickable = np.ones(len(table), dtype=bool)
        if self.ignore_column is not None:
            pickable = table[:, self.ignore_column] == 0
        crop = whole_picture((height, width), len(table))
        if pickable.any() or not self.is_for_faces:
            pixels = table[:, :4] * (width, height, width, height)
            crop = self.choose((height, width), pixels, pickable, self.random_generator)
        return {"steps": steps, "window": crop.window, "keep": crop.keep}

    def apply(self, img: np.ndarray, window: Window, steps: Any, **_: object) -> np.ndarray:  # noqa: ANN401
        """The window's pixels of uint8 [H, W, 3], distorted."""
        if self.distortion is None:
            return cut_window(img, window)
        alter = partial(self.distortion.alter, drawn=steps, picture=img)
        return cut_window(img, window, alter)

    def apply_to_bboxes(
        self, bboxes: np.ndarray, window: Window, keep: np.ndarray, **_: object
    ) -> np.ndarray:
        """Normalised boxes [N, 4 + columns] of the picture -> those of the window that stay."""
        if not len(bboxes):
            return bboxes
        boxes = window_boxes(bboxes[keep, :4], (1, 1), window)
        boxes /= (window.width, window.height, window.width, window.height)
        if self.clips:
            boxes = boxes.clip(0, 1)
        return np.hstack([boxes, bboxes[keep, 4:]])
