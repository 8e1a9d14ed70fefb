"""What the training crops of all papers share: cutting a window, with its pixels distorted."""

import os
from typing import Any

import numpy as np

from facedet.data.augmentation.distortion import Distortion
from facedet.data.augmentation.windows import Crop, Size, Window, cut_window, window_boxes

# At import albumentations asks the network for its newest version unless this is set; the package
# imports it here only.
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
import albumentations as A  # noqa: E402

_IGNORE_COLUMN = 5  # of the boxes: not zero for those that no window is chosen for


class FaceCrop(A.DualTransform):
    """Cuts the window that a subclass chooses.

    Args:
        distortion: alters the window's pixels, before or after they are resized, whichever are
            fewer; nearly the result of the distortion before this crop, without its work on
            pixels that are cut away; None: none.
        p: probability of the crop.
    """

    clips = False  # whether boxes are cut off at the window's edges
    is_for_faces = True  # whether a picture without a face stays as it is

    def __init__(self, distortion: Distortion | None, p: float) -> None:
        super().__init__(p=p)
        self.distortion = distortion

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
        steps = self.distortion.draw(self.random_generator) if self.distortion else ()
        height, width = params["shape"][:2]
        table = data["bboxes"]
        pickable = table[:, _IGNORE_COLUMN] == 0
        whole = Window((height, width), 0, 0, height, width)
        crop = Crop(whole, np.ones(len(table), dtype=bool))
        if pickable.any() or not self.is_for_faces:
            pixels = table[:, :4] * (width, height, width, height)
            crop = self.choose((height, width), pixels, pickable, self.random_generator)
        return {"steps": steps, "window": crop.window, "keep": crop.keep}

    def apply(self, img: np.ndarray, window: Window, steps: Any, **_: object) -> np.ndarray:  # noqa: ANN401
        """The window's pixels of uint8 [H, W, 3], distorted."""
        if self.distortion is None:
            return cut_window(img, window)
        alter = self.distortion.alter
        return cut_window(img, window, lambda piece: alter(piece, steps, img))

    def apply_to_bboxes(
        self, bboxes: np.ndarray, window: Window, keep: np.ndarray, **_: object
    ) -> np.ndarray:
        """Normalised boxes [N, 4 + columns] of the picture -> those of the window that stay."""
        boxes = window_boxes(bboxes[keep, :4], (1, 1), window)
        boxes /= (window.width, window.height, window.width, window.height)
        if self.clips:
            boxes = boxes.clip(0, 1)
        return np.hstack([boxes, bboxes[keep, 4:]])
