"""EXTD's crops the slow way: the whole picture resized before the window is cut out of it.

Pixels by Pillow's decoder and enhancers, rules by loops over faces. `whole_resize` repeats draws
that `ExtdAugmentation` has made, so both ways give the same sample.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image, ImageEnhance

from facedet.data.augmentation.distortion import Step
from facedet.data.augmentation.windows import INTERPOLATIONS, PADDING, Window

_ENHANCERS = {
    "brightness": ImageEnhance.Brightness,
    "contrast": ImageEnhance.Contrast,
    "saturation": ImageEnhance.Color,
}


def whole_resize(
    path: Path, boxes: np.ndarray, applied: Sequence[tuple[str, dict[str, Any]]], size: int
) -> tuple[np.ndarray, np.ndarray]:
    """One training sample, made by resizing the whole picture before cutting.

    Args:
        path: the picture.
        boxes: [G, 4] xyxy pixels of the file.
        applied: the draws of an `ExtdAugmentation` on that picture (`Transformed.applied`).
        size: side of the result in pixels.

    Returns:
        Image uint8 [size, size, 3] and boxes [G', 4] float64 xyxy pixels.
    """
    draws = dict(applied)
    kind = "DataAnchorSampling" if "DataAnchorSampling" in draws else "SquareCrop"
    crop = draws[kind]
    window: Window = crop["window"]
    with Image.open(path) as file:
        image = file.convert("RGB")
    picture = np.asarray(distort_whole(image, crop["steps"]))
    cut = cut_whole(picture, window)

    moved = []
    for x1, y1, x2, y2 in boxes[crop["keep"]].astype(np.float64):
        scale_x = window.resized[1] / picture.shape[1]
        scale_y = window.resized[0] / picture.shape[0]
        corners = [
            (x1 * scale_x - window.left) * size / window.width,
            (y1 * scale_y - window.top) * size / window.height,
            (x2 * scale_x - window.left) * size / window.width,
            (y2 * scale_y - window.top) * size / window.height,
        ]
        if kind == "SquareCrop":
            corners = [min(max(corner, 0), size) for corner in corners]
        if "HorizontalFlip" in draws:
            corners = [size - corners[2], corners[1], size - corners[0], corners[3]]
        moved.append(corners)

    resample = Image.Resampling[draws["PillowResize"]["filter"].upper()]
    result = np.asarray(Image.fromarray(cut).resize((size, size), resample))
    if "HorizontalFlip" in draws:
        result = result[:, ::-1]
    return np.ascontiguousarray(result), np.array(moved, dtype=np.float64).reshape(-1, 4)


def distort_whole(image: Image.Image, steps: Sequence[Step]) -> Image.Image:
    """A photometric distortion of an RGB image by Pillow's own enhancers."""
    for kind, amount in steps:
        if kind == "hue":
            hsv = np.array(image.convert("HSV"))
            shifted = np.trunc(hsv[:, :, 0].astype(np.float64) + amount).astype(np.int64)
            hsv[:, :, 0] = shifted % 256
            image = Image.frombytes("HSV", image.size, hsv.tobytes()).convert("RGB")
        else:
            image = _ENHANCERS[kind](image).enhance(amount)
    return image


def cut_whole(picture: np.ndarray, window: Window) -> np.ndarray:
    """A window of uint8 [H, W, 3], cut after the whole picture was resized and padded."""
    flag, _ = INTERPOLATIONS[window.interpolation]
    if window.resized != picture.shape[:2]:
        picture = cv2.resize(picture, window.resized[::-1], interpolation=flag)
    top, left = max(0, -window.top), max(0, -window.left)
    if top or left:
        padded = np.empty((len(picture) + top, picture.shape[1] + left, 3), dtype=np.uint8)
        padded[:] = PADDING
        padded[top:, left:] = picture
        picture = padded
    y, x = window.top + top, window.left + left
    return np.ascontiguousarray(picture[y : y + window.height, x : x + window.width])


def difference(a: Any, b: Any) -> np.ndarray:
    """How far apart two pictures are, level by level."""
    return np.abs(np.asarray(a, dtype=int) - np.asarray(b, dtype=int))


def anchor_window_is_valid(left, top, size, faces):
    """Whether a window holds a face entirely or overlaps one by IoU > 0.7."""
    for x1, y1, x2, y2 in faces:
        if left <= x1 and top <= y1 and x2 <= left + size and y2 <= top + size:
            return True
        width = min(x2, left + size) - max(x1, left)
        height = min(y2, top + size) - max(y1, top)
        if width > 0 and height > 0:
            shared = width * height
            if shared / (size * size + (x2 - x1) * (y2 - y1) - shared) > 0.7:
                return True
    return False


def anchor_faces(left, top, size, faces):
    """Numbers of the faces that data-anchor sampling keeps."""
    kept = []
    for number, (x1, y1, x2, y2) in enumerate(faces):
        inside = left < (x1 + x2) / 2 < left + size and top < (y1 + y2) / 2 < top + size
        if inside and (x2 - x1) * (y2 - y1) > 36:
            kept.append(number)
    return kept


def square_faces(left, top, side, size, faces):
    """Numbers of the faces that a square crop keeps."""
    kept = []
    for number, (x1, y1, x2, y2) in enumerate(faces):
        x, y = (x1 + x2) / 2, (y1 + y2) / 2
        if not (left <= x <= left + side and top <= y <= top + side):
            continue
        width = min(x2, left + side) - max(x1, left)
        height = min(y2, top + side) - max(y1, top)
        if width * height * (size / side) ** 2 >= 36:
            kept.append(number)
    return kept
