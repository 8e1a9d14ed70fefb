"""Which pictures are wide and which are tall, from the headers of their files."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from facedet.data.readers.picture_size import read_size

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
        height, width = read_size(path)
        wide[row] = width >= height
    return wide
