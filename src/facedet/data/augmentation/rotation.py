"""Turned pictures, as an albumentations transform.

`A.Affine(fit_output=True)` of albumentations 2.0.8 rounds the shift of the boxes and that of the
pixels for themselves, so that they come to lie up to a pixel apart; small faces have eight.
"""

from typing import Any

import cv2
import numpy as np

from facedet.data.augmentation.face_crop import A
from facedet.data.augmentation.windows import PADDING, Size


class Rotation(A.DualTransform):
    """Turns a picture by U(-degrees, degrees) on a canvas that holds all of it.

    A face's box becomes that of the turned oval in it, which is smaller than that of the turned
    box. What the picture leaves free of the canvas is padded.

    Args:
        degrees: the largest angle.
    """

    def __init__(self, degrees: float) -> None:
        super().__init__(p=1.0)
        self.degrees = degrees

    def get_params_dependent_on_data(
        self, params: dict[str, Any], data: dict[str, Any]
    ) -> dict[str, Any]:
        """Draws the angle."""
        angle = np.deg2rad(self.random_generator.uniform(-self.degrees, self.degrees))
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        height, width = params["shape"][:2]
        wide, high = np.ceil(np.abs(turn) @ (width, height)).astype(int).tolist()
        return {"turn": turn, "canvas": (high, wide)}

    def apply(self, img: np.ndarray, turn: np.ndarray, canvas: Size, **_: object) -> np.ndarray:
        """The turned pixels of uint8 [H, W, 3]."""
        # The middle of a picture comes to lie on the canvas's; OpenCV counts from the middle of
        # the first pixel.
        middle, place = ((np.array(shape[1::-1]) - 1) / 2 for shape in (img.shape, canvas))
        matrix = np.column_stack([turn, place - turn @ middle])
        return cv2.warpAffine(img, matrix, canvas[::-1], borderValue=PADDING)

    def apply_to_bboxes(
        self, bboxes: np.ndarray, turn: np.ndarray, canvas: Size, shape: Size, **_: object
    ) -> np.ndarray:
        """Normalised boxes [N, 4 + columns] of the picture -> those of the canvas."""
        extent, wide = np.array(shape[1::-1]), np.array(canvas[::-1])
        low, high = bboxes[:, :2] * extent, bboxes[:, 2:4] * extent
        centres = ((low + high) / 2 - extent / 2) @ turn.T + wide / 2
        # An ellipse of half axes a reaches as far as the length of (a * row of the matrix).
        halves = np.linalg.norm((high - low)[:, None] / 2 * turn, axis=-1)
        return np.hstack([(centres - halves) / wide, (centres + halves) / wide, bboxes[:, 4:]])
