"""What happens to a picture and its faces before the network: the papers' augmentations, and none.

`Augmentation` runs albumentations transforms on boxes that may reach beyond the picture:
`A.Compose` with `BboxParams` would clip or refuse those. The output stays uint8; the network
subtracts the mean itself.
"""

import random
from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from facedet.data.augmentation.distortion import Distortion, distort, draw_steps, draw_tone, retouch
from facedet.data.augmentation.extd import (
    ANCHOR_SIDES,
    DataAnchorSampling,
    PillowResize,
    SquareCrop,
)
from facedet.data.augmentation.face_crop import A
from facedet.data.augmentation.mixing import Mixing
from facedet.data.augmentation.rotation import Rotation
from facedet.data.augmentation.smallhardface import ShortSideCrop
from facedet.errors import UsageError


class Transformed(NamedTuple):
    """A picture and its faces after a transform."""

    image: np.ndarray  # [H, W, 3] uint8 RGB
    boxes: np.ndarray  # [G, 4] float32 xyxy pixels of that image
    rows: np.ndarray  # [G] int64: which of the boxes handed in these are
    applied: list[tuple[str, dict[str, Any]]]  # the steps that ran, by class name, and their draws


class Augmentation:
    """Runs albumentations transforms on a picture whose boxes may reach beyond it.

    Every draw is a function of the seed handed to the call, so the result depends neither on the
    process nor on what was drawn before.

    Args:
        transforms: albumentations transforms in their order. Boxes reach them as rows of x1, y1,
            x2, y2 (normalised, never clipped), row number and ignore flag.
        needs_faces: a sample left without a face is to be replaced by another picture.
        mixing: what is then made of several pictures' samples; None: nothing.
    """

    def __init__(
        self,
        transforms: Sequence[A.BasicTransform] = (),
        needs_faces: bool = False,
        mixing: Mixing | None = None,
    ) -> None:
        self.sequence = A.Sequential(list(transforms), p=1.0)
        self.needs_faces = needs_faces
        self.mixing = mixing

    def __call__(
        self, image: np.ndarray, boxes: np.ndarray, ignore: np.ndarray, seed: int
    ) -> Transformed:
        """Transforms one picture.

        Args:
            image: [H, W, 3] uint8 RGB.
            boxes: [G, 4] xyxy pixels.
            ignore: [G] bool: faces that no crop is chosen for.
            seed: decides every draw; at least 0.
        """
        height, width = image.shape[:2]
        corners = np.asarray(boxes, dtype=np.float64).reshape(-1, 4)
        corners = corners / (width, height, width, height)
        table = np.column_stack([corners, np.arange(len(corners)), ignore])
        # Not `set_random_seed`: that gives every step a generator of its own with the same seed, so
        # that two flips, say, always go together.
        self.sequence.set_random_state(np.random.default_rng(seed), random.Random(seed))
        data = self.sequence(image=image, bboxes=table, applied_transforms=[])
        image, table = data["image"], data["bboxes"]
        height, width = image.shape[:2]
        pixels = (table[:, :4] * (width, height, width, height)).astype(np.float32)
        return Transformed(image, pixels, table[:, 4].astype(np.int64), data["applied_transforms"])


class KeepImage(Augmentation):
    """Leaves pictures as they are."""

    def __init__(self) -> None:
        super().__init__()


class ExtdAugmentation(Augmentation):
    """EXTD's training augmentation (arXiv 1906.06579, after S3FD and PyramidBox).

    Photometric distortion; data-anchor sampling or a square crop; resizing to `size` x `size` with
    a random filter; mirroring with probability 0.5. Beyond the paper: turned pictures, mosaics and
    pasted faces, each off by default.

    Args:
        size: side of the network's input in pixels, 640 in the paper.
        anchor_sampling: probability of data-anchor sampling; a square crop is taken otherwise.
        sides, side_limit, min_scale, tries: see `DataAnchorSampling` and `SquareCrop`.
        distortion: probability of the photometric part.
        flip: probability of mirroring.
        rotation: largest angle in degrees that pictures are turned by before they are cropped; see
            `Rotation`.
        mosaic, paste: see `Mixing`.
    """

    def __init__(
        self,
        size: int = 640,
        anchor_sampling: float = 0.5,
        sides: Sequence[int] = ANCHOR_SIDES,
        side_limit: int = 12000,
        min_scale: float = 0.3,
        tries: int = 50,
        distortion: float = 1.0,
        flip: float = 0.5,
        rotation: float = 0.0,
        mosaic: float = 0.0,
        paste: float = 0.0,
    ) -> None:
        _check_probabilities(
            anchor_sampling=anchor_sampling,
            distortion=distortion,
            flip=flip,
            mosaic=mosaic,
            paste=paste,
        )
        if not 0 <= rotation <= 180:
            raise UsageError(f"augmentation.rotation={rotation}: expected degrees in 0 … 180")
        # Given to the crops, the distortion touches only the pixels that are used.
        photometric = Distortion(partial(draw_steps, p=distortion), distort)
        shared = (tries, photometric)
        # `OneOf` takes the probabilities of its transforms as weights.
        crops = [
            DataAnchorSampling(size, sides, side_limit, *shared, p=anchor_sampling),
            SquareCrop(size, min_scale, *shared, p=1 - anchor_sampling),
        ]
        steps = [A.OneOf(crops, p=1.0), PillowResize(size), A.HorizontalFlip(p=flip)]
        # Only where it is asked for: a step draws, even one of probability 0.
        if rotation:
            steps.insert(0, Rotation(rotation))
        mixing = Mixing(mosaic, paste) if mosaic or paste else None
        super().__init__(steps, needs_faces=True, mixing=mixing)


class SmallHardFaceAugmentation(Augmentation):
    """SmallHardFace's training augmentation (arXiv 1811.11662, as in the release).

    Photometric distortion on floats; resizing to a random short side; with probability `crop` a
    rectangle around the centre of some face. Faces are clipped to the result, and dropped where
    that leaves less than a pixel; a picture without faces stays, as background. Sizes differ from
    sample to sample.

    Args:
        scales, long_limit, crop, min_ratio, tries: see `ShortSideCrop`.
        distortion: probability of the photometric part.
        flip: probability of mirroring; 0 where the data set serves mirrored copies.
    """

    def __init__(
        self,
        scales: Sequence[int] = (400, 800, 1200),
        long_limit: int = 2000,
        crop: float = 0.5,
        min_ratio: float = 0.6,
        tries: int = 50,
        distortion: float = 1.0,
        flip: float = 0.0,
    ) -> None:
        _check_probabilities(crop=crop, distortion=distortion, flip=flip)
        photometric = Distortion(partial(draw_tone, p=distortion), retouch)
        window = ShortSideCrop(scales, long_limit, crop, min_ratio, tries, photometric)
        super().__init__([window, A.HorizontalFlip(p=flip)])


def _check_probabilities(**values: float) -> None:
    """Refuses what albumentations would refuse in several lines, without the argument's name."""
    for name, value in values.items():
        if not 0 <= value <= 1:
            raise UsageError(f"{name}={value}: expected a probability in 0 … 1")
