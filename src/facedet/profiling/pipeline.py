"""The input pipeline against the way EXTD's release is described: the whole picture resized first.

`whole_resize` is that way, slow and obvious: Pillow's decoder and enhancers, the whole picture
resized, the window cut out of it. It repeats draws that `ExtdAugmentation` has made, so both ways
give the same sample and can be timed, and compared, in pairs.
"""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from PIL import Image, ImageEnhance

from facedet.data.augmentation.distortion import Step
from facedet.data.augmentation.pipeline import ExtdAugmentation
from facedet.data.augmentation.windows import INTERPOLATIONS, PADDING, Window
from facedet.data.images import read_rgb
from facedet.errors import FacedetError
from facedet.structures import Record

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


def measure_pipeline(
    records: Sequence[Record], size: int = 640, images: int = 100, seed: int = 0
) -> dict[str, float]:
    """Times the augmentation of random pictures, ours and `whole_resize` in turn, on one core.

    Each picture is made into the same sample by both ways, which alternately go first. A run
    before that makes the draws and brings the file into memory, so that the disk is not measured.

    Args:
        records: pictures with faces.
        size: side of the network's input.
        images: pictures drawn.
        seed: of the drawing and of the augmentation.

    Returns:
        `images`, `size`; `images_per_second` and `whole_images_per_second`; `speedup`, the ratio
        of these; `pair_speedup_median`, `pair_speedup_low` and `pair_speedup_high`, the median and
        quartiles of the ratio over the pictures.
    """
    if not records or images < 1:
        raise FacedetError(f"{len(records)} records, {images} images: at least 1 of each is needed")
    rng = np.random.default_rng(seed)
    augmentation = ExtdAugmentation(size)
    ours, whole = np.zeros(images), np.zeros(images)
    threads = cv2.getNumThreads(), torch.get_num_threads()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    try:
        for pair in range(-1, images):  # the pair before the first warms up
            record = records[int(rng.integers(len(records)))]
            sample_seed = int(rng.integers(2**32))
            applied = _augment(augmentation, record, sample_seed)[1]
            if pair % 2:
                slow = _seconds(whole_resize, record.path, record.boxes, applied, size)
                fast = _augment(augmentation, record, sample_seed)[0]
            else:
                fast = _augment(augmentation, record, sample_seed)[0]
                slow = _seconds(whole_resize, record.path, record.boxes, applied, size)
            if pair >= 0:
                ours[pair], whole[pair] = fast, slow
    finally:
        cv2.setNumThreads(threads[0])
        torch.set_num_threads(threads[1])
    low, median, high = np.quantile(whole / ours, [0.25, 0.5, 0.75])
    return {
        "images": images,
        "size": size,
        "images_per_second": float(images / ours.sum()),
        "whole_images_per_second": float(images / whole.sum()),
        "speedup": float(whole.sum() / ours.sum()),
        "pair_speedup_median": float(median),
        "pair_speedup_low": float(low),
        "pair_speedup_high": float(high),
    }


def _augment(
    augmentation: ExtdAugmentation, record: Record, seed: int
) -> tuple[float, list[tuple[str, dict[str, Any]]]]:
    """Seconds from the file to the sample, and the draws."""
    start = time.perf_counter()
    done = augmentation(read_rgb(record.path, record.upright), record.boxes, record.ignore, seed)
    return time.perf_counter() - start, done.applied


def _seconds(function: Callable[..., Any], *arguments: Any) -> float:  # noqa: ANN401
    """Seconds of one call."""
    start = time.perf_counter()
    function(*arguments)
    return time.perf_counter() - start
