"""Real pictures to calibrate a quantized network with and to compare an exported one on."""

from pathlib import Path

import numpy as np

from facedet.data.crowds.painting import paint_crowd
from facedet.data.crowds.sources import load_sources
from facedet.data.images import read_rgb
from facedet.errors import FacedetError
from facedet.inference.sources.pictures import PictureSource
from facedet.inference.sources.selection import find_sources
from facedet.plots import evenly, fitted

_SIDE = 320  # of an embedded picture, px
_LONGEST_SIDE = 640  # of a picture of the user's, px


def embedded_pictures(split: str, count: int, side: int = _SIDE) -> list[np.ndarray]:
    """Crowds of real faces as the embedded data set paints them, RGB uint8 [side, side, 3]."""
    sources = load_sources(split)
    events = len(sources.events)
    crowds = (
        paint_crowd(sources, index % events, side, np.random.default_rng([2, index]))
        for index in range(count)
    )
    return [np.ascontiguousarray(crowd.image) for crowd in crowds]


def pictures_of(folder: Path, count: int) -> list[np.ndarray]:
    """Some of a folder's pictures, evenly chosen, shrunk to 640 px: RGB uint8 [H, W, 3].

    Raises:
        FacedetError: there are none, or one cannot be read.
    """
    if not folder.is_dir():
        raise FacedetError(f"{folder}: no such folder of pictures")
    found = find_sources([str(folder)]).sources
    sources = [one for one in found if isinstance(one, PictureSource)]
    if not sources:
        raise FacedetError(f"{folder}: no pictures in this folder")
    pictures = [read_rgb(source.name) for source in evenly(sources, count)]
    return [
        fitted(rgb, _LONGEST_SIDE)[0] if max(rgb.shape) > _LONGEST_SIDE else rgb for rgb in pictures
    ]
