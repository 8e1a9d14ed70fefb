"""What is found out about pictures by opening them: damage, orientation, and how they look."""

import hashlib
import signal
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from tqdm import tqdm

from facedet.data.images import read_orientation, read_rgb
from facedet.errors import FacedetError

UPRIGHT = 1  # EXIF's number for a picture that is stored as it is to be seen
# Of 128 bits. Recompressed, resized and brightened copies differ in 0 to 10, the two most alike of
# 1,531 pictures of WIDER FACE in 20.
NEAR = 10
SLACK = 1.0  # px: rounding, and tools that count pixels from 1
_SIDEWAYS = (5, 6, 7, 8)  # EXIF's numbers for pictures that are turned by 90 degrees
_FACE = np.log(1.25)  # how much higher than wide a face's box is
_SURE = 0.1  # by so much one reading must be nearer to it than the other
_SIDE = 8  # of the grid of differences, in each direction
_MARGIN = 1  # grey levels: smaller steps are noise of the compression
_FLAT = 8  # grey levels between the lightest and the darkest cell, below which all are alike
_FEW = 64  # pictures that are not worth starting processes for


class PictureFacts(NamedTuple):
    """What one picture is like."""

    problem: str = ""  # why it cannot be decoded, in one line; "" for a sound picture
    size: tuple[int, int] = (0, 0)  # (height, width), turned as EXIF asks
    orientation: int = UPRIGHT  # EXIF's number, 1 … 8
    digest: str = ""  # SHA-256 of the file
    fingerprint: bytes = b""  # 128 bits that survive resizing; b"" for a picture without contrast


def examine(path: Path) -> PictureFacts:
    """Decodes a picture completely, so that a truncated one is noticed."""
    try:
        rgb, orientation = read_rgb(path), read_orientation(path)
    except FacedetError as error:
        return PictureFacts(problem=str(error).removeprefix(f"{path}: "))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return PictureFacts("", rgb.shape[:2], orientation, digest, fingerprint(rgb))


def examine_all(paths: Sequence[Path], workers: int) -> list[PictureFacts]:
    """`examine` for many pictures, with a progress bar; for few no processes are started."""
    bar = {"total": len(paths), "desc": "pictures", "unit": "picture", "disable": None}
    if workers < 2 or len(paths) < _FEW:
        return [examine(path) for path in tqdm(paths, **bar)]
    pool = ProcessPoolExecutor(workers, initializer=_start_worker)
    try:
        return list(tqdm(pool.map(examine, paths, chunksize=16), **bar))
    except BrokenProcessPool as error:
        raise FacedetError(
            "a process died while it opened pictures; --workers 1 opens them in this one"
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)  # Ctrl-C must not wait for the thousands in the queue


def fitting_reading(
    fact: PictureFacts, boxes: np.ndarray, size: tuple[int, int] | None, is_relative: bool
) -> str:
    """Which reading of a picture that EXIF turns by 90 degrees its annotations fit.

    Args:
        fact: of the picture.
        boxes: [G, 4] xyxy pixels, as of the picture turned upright.
        size: (height, width) that the annotations say, which decides.
        is_relative: the annotations are parts of the picture's sides. Then the shape of the boxes
            decides, for faces are higher than wide; otherwise which reading has room for them.

    Returns:
        "turned upright", "as stored", or "" where both fit or none does.
    """
    height, width = fact.size
    if fact.orientation not in _SIDEWAYS or height == width:
        return ""
    sides = boxes[:, 2:] - boxes[:, :2]
    sides = sides[(sides > 0).all(axis=1)]
    if size in ((height, width), (width, height)):
        is_upright, is_stored = size == (height, width), size == (width, height)
    elif is_relative:
        shape = np.median(np.log(sides[:, 1] / sides[:, 0])) if len(sides) else np.nan
        # Both sides change with the raster's: h / H * W by w / W * H.
        nearer = abs(shape + 2 * np.log(width / height) - _FACE) - abs(shape - _FACE)
        is_upright, is_stored = bool(nearer > _SURE), bool(nearer < -_SURE)
    else:
        right, low = boxes[:, 2:].max(axis=0, initial=0) - SLACK
        is_upright = bool(right <= width and low <= height)
        is_stored = bool(right <= height and low <= width)
    if is_upright == is_stored:
        return ""
    return "turned upright" if is_upright else "as stored"


def fingerprint(rgb: np.ndarray) -> bytes:
    """A difference hash of uint8 [H, W, 3]: which cells of a coarse grid are lighter than the next.

    Returns:
        128 bits: 8 x 8 steps to the right and 8 x 8 downwards; b"" for a picture without contrast,
        which would be like any other such.
    """
    grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
    cells = cv2.resize(grey, (_SIDE + 1, _SIDE + 1), interpolation=cv2.INTER_AREA).astype(np.int16)
    if np.ptp(cells) < _FLAT:
        return b""
    right = cells[:_SIDE, 1:] - cells[:_SIDE, :-1] > _MARGIN
    down = cells[1:, :_SIDE] - cells[:-1, :_SIDE] > _MARGIN
    return np.packbits(np.stack([right, down])).tobytes()


def signs_of(fingerprints: Sequence[bytes]) -> np.ndarray:
    """Fingerprints as float32 [N, 128] of +1 and -1; of zeros for a picture without contrast."""
    signs = np.zeros((len(fingerprints), 2 * _SIDE * _SIDE), np.float32)
    for row, code in zip(signs, fingerprints, strict=True):
        if code:
            row[:] = np.unpackbits(np.frombuffer(code, np.uint8)) * 2.0 - 1
    return signs


def _start_worker() -> None:
    """A worker leaves Ctrl-C to the process that started it, and is one core's worth."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    cv2.setNumThreads(0)
