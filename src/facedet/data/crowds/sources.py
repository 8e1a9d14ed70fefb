"""The real faces, other patches and photographs that the embedded crowds are made from.

All of them lie inside the installed scikit-image wheel, so nothing is downloaded. The faces are its
subset of Labeled Faces in the Wild: 200 grey pictures of 25 x 25 pixels, first 100 faces, then 100
patches without one. Train and val share no face, no other patch and no photograph.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import skimage
from PIL import Image

from facedet.errors import FacedetError

# Seen by eye: part of a face, a chin or a head shows in these patches that should hold none.
_PARTLY_A_FACE = frozenset({125, 130, 142, 155, 193, 196})
# Flatter patches (standard deviation, of 1) would show nothing but amplified rounding.
_FLATTEST = 0.02
_NUM_FACES, _FIRST_VAL_PATCH = 100, 170
# The last thirty faces, except that look-alikes stay on one side: 73, 88, 90 and 94 resemble faces
# of train, 3, 24, 25 and 62 faces of val. No two faces across the split, one of them mirrored or
# not, correlate by more than 0.72 inside the oval of the face.
_VAL_FACES = frozenset({3, 24, 25, 62, *range(70, 100)} - {73, 88, 90, 94})
# Longest side in pixels to which a photograph is reduced: twice what a picture shows of it.
_LONGEST_SIDE = 720


class Photograph(NamedTuple):
    """One photograph of scikit-image that serves as a background."""

    event: str  # WIDER FACE's name for a group of pictures: "0--Crowd_Astronaut"
    file: str
    split: str
    window: tuple[int, int, int, int] | None = None  # xyxy pixels that hold no face; None: all


# Left out: coins (portraits in relief), drawings, and motorcycle_right (the scene of the left one).
PHOTOGRAPHS = (
    Photograph("0--Crowd_Astronaut", "astronaut.png", "train", (0, 200, 512, 512)),
    Photograph("1--Crowd_Brick", "brick.png", "train"),
    Photograph("2--Crowd_Cell", "cell.png", "train"),
    Photograph("3--Crowd_Chelsea", "chelsea.png", "train"),
    Photograph("4--Crowd_Coffee", "coffee.png", "train"),
    Photograph("5--Crowd_Grass", "grass.png", "train"),
    Photograph("6--Crowd_Hubble", "hubble_deep_field.jpg", "train"),
    Photograph("7--Crowd_Ihc", "ihc.png", "train"),
    Photograph("8--Crowd_Moon", "moon.png", "train"),
    Photograph("9--Crowd_Page", "page.png", "train"),
    Photograph("10--Crowd_Retina", "retina.jpg", "train"),
    Photograph("11--Crowd_Camera", "camera.png", "val", (0, 205, 512, 512)),
    Photograph("12--Crowd_Clock", "clock_motion.png", "val"),
    Photograph("13--Crowd_Gravel", "gravel.png", "val"),
    Photograph("14--Crowd_Motorcycle", "motorcycle_left.png", "val"),
    Photograph("15--Crowd_Rocket", "rocket.jpg", "val"),
    Photograph("16--Crowd_Text", "text.png", "val"),
)


class Sources(NamedTuple):
    """What one split is painted from."""

    faces: np.ndarray  # [F, 25, 25] float32 in [0, 1]
    others: np.ndarray  # [P, 25, 25] float32 in [0, 1]: patches without a face
    photographs: list[np.ndarray]  # each [H, W, 3] uint8 RGB
    events: list[str]  # one per photograph


def load_sources(split: str) -> Sources:
    """Faces, other patches and photographs of one split.

    Args:
        split: "train" (70 faces, 11 photographs) or "val" (30 faces, 6 photographs).

    Raises:
        FacedetError: a file of scikit-image is missing or cannot be read.
    """
    folder, is_val = Path(skimage.__file__).parent / "data", split == "val"
    chosen = [photograph for photograph in PHOTOGRAPHS if photograph.split == split]
    try:
        # Not `skimage.data.lfw_subset`, which goes to the network where the file is missing.
        patches = np.load(folder / "lfw_subset.npy").astype(np.float32)
        photographs = [_read_photograph(folder, photograph) for photograph in chosen]
    except (OSError, ValueError) as error:
        raise FacedetError(
            f"{folder}: cannot be read ({error}); reinstall scikit-image to make the crowds"
        ) from error
    in_val = np.array([index in _VAL_FACES for index in range(_NUM_FACES)])
    others = [
        patch
        for number, patch in enumerate(patches)
        if number >= _NUM_FACES
        and (number >= _FIRST_VAL_PATCH) == is_val
        and number not in _PARTLY_A_FACE
        and patch.std() > _FLATTEST
    ]
    return Sources(
        faces=patches[:_NUM_FACES][in_val == is_val],
        others=np.stack(others),
        photographs=photographs,
        events=[photograph.event for photograph in chosen],
    )


def _read_photograph(folder: Path, photograph: Photograph) -> np.ndarray:
    with Image.open(folder / photograph.file) as image:
        picture = image.convert("RGB").crop(photograph.window)
    picture.thumbnail((_LONGEST_SIDE, _LONGEST_SIDE))
    return np.asarray(picture)
