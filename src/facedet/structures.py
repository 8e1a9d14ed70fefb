"""What travels between the parts, and the glossary of shapes. Read this file first.

Axes: B images, A anchors, G ground-truth faces of one image, N detections of one image,
L levels (stride 4 first), C channels. Boxes are `[..., 4]` float xyxy pixels unless a name says
otherwise (`boxes_cxcywh`, `boxes_xywh`); scores lie in [0, 1]; a size is (height, width); a scale
is a factor; a stride is pixels per cell.
"""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from torch import Tensor

# In place of an image's hardest positive where it has none: above every score.
NO_POSITIVE = 2.0
# Under this key a training checkpoint carries {"config": …, "data": …}.
CHECKPOINT_KEY = "facedet"


class Record(NamedTuple):
    """One annotated picture on disk, as every reader in `facedet.data` gives it."""

    name: str  # unique in its data set, without a suffix: "EVENT/IMAGE" for WIDER FACE
    path: Path  # the picture
    boxes: np.ndarray  # [G, 4] float32, xyxy pixels of the file
    ignore: np.ndarray  # [G] bool: neither a face to find nor a false alarm
    tags: dict[str, Any]  # per face: "subsets" [G, S] bool, "blur" [G], … ; per image: "event"
    upright: bool = True  # boxes are of the picture turned as its EXIF orientation asks


class Reading(NamedTuple):
    """What a reader found: the usable pictures, and how many things were left out and why."""

    records: list[Record]
    counts: dict[str, int]  # "images", "faces", and one entry per reason for leaving something out


class Target(NamedTuple):
    """The faces of one image as the network sees it (after the transforms)."""

    boxes: Tensor  # [G, 4] float32, xyxy pixels of the image tensor
    ignore: Tensor  # [G] bool
    subsets: Tensor  # [G, S] bool: the evaluation subsets a face counts in (S = 0: none known)
    index: int  # type: ignore[assignment]  # its entry in the data set
    size: tuple[int, int]  # (height, width) of the image before padding to the batch


class Predictions(NamedTuple):
    """What a detector says of a batch, before decoding."""

    logits: Tensor  # [B, A, 2]: background, face
    deltas: Tensor  # [B, A, 4]: a box coder's code of the box
    anchors: Tensor  # [A, 4] xyxy pixels of the network's input
    levels: tuple[int, ...] = ()  # anchors of each level, fine to coarse; (): not said
    size: tuple[int, int] | None = None  # (height, width) of the images given, before padding


class Detections(NamedTuple):
    """The faces found in one image, best first."""

    boxes: Tensor  # [N, 4] float32, xyxy pixels
    scores: Tensor  # [N] in [0, 1]
    note: str = ""  # how the picture was processed, where that is not the plain way


class Losses(NamedTuple):
    """What a criterion says of a batch."""

    classification: Tensor  # scalar
    box: Tensor  # scalar
    total: Tensor  # scalar, what both are divided by where it is 1 or more: positives or images
    hardest_positive: Tensor  # [B] lowest face score of an image's near anchors, or NO_POSITIVE
