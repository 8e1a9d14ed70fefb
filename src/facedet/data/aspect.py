"""Which pictures are wide and which are tall, from the headers of their files."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError
from tqdm import tqdm

from facedet.errors import FacedetError

_BAR_AFTER = 2.0  # seconds


def read_wide(paths: Sequence[Path]) -> np.ndarray:
    """Whether pictures are at least as wide as high, as they are stored: [N] bool.

    The pixels are not decoded. A progress bar appears where it takes long.

    Args:
        paths: N picture files.

    Raises:
        FacedetError: a file is missing or is no picture.
    """
    wide = np.zeros(len(paths), dtype=bool)
    bar = tqdm(paths, "picture sizes", unit="picture", delay=_BAR_AFTER, disable=None)
    for row, path in enumerate(bar):
        width, height = _read_size(path)
        wide[row] = width >= height
    return wide


def _read_size(path: Path) -> tuple[int, int]:
    """(width, height) of a picture file."""
    try:
        with Image.open(path) as image:
            return image.size
    except UnidentifiedImageError as error:
        raise FacedetError(f"{path}: not a picture of a format that Pillow reads") from error
    except (OSError, Image.DecompressionBombError) as error:
        reason = getattr(error, "strerror", None) or error
        raise FacedetError(f"{path}: its size cannot be read ({reason})") from error
