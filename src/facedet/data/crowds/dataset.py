"""The embedded data set: crowds of real small faces, made on first use in WIDER FACE's layout.

Nothing is downloaded: `sources` takes faces and photographs from the scikit-image wheel,
`painting` blends them, and this module writes the folder. A picture is a function of (seed,
split, index) alone, so a set of other counts holds the same pictures; the bytes are the same for
the same versions of numpy, OpenCV and Pillow.
"""

import json
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from facedet.data.crowds.layout import Place
from facedet.data.crowds.painting import Crowd, paint_crowd
from facedet.data.crowds.sources import load_sources
from facedet.data.crowds.wider_writer import write_wider
from facedet.errors import FacedetError, UsageError
from facedet.files import new_folder
from facedet.structures import Record

STAMP = "crowds.json"
# Raised whenever a change of the painting changes the pictures: old folders are then refused.
_VERSION = 1
_SPLITS = ("train", "val")
_SMALLEST_SIZE = 128  # pixels: twice the largest face, or crowds find no room
_JPEG_QUALITY = 92


def ensure_crowds(
    root: Path,
    *,
    train_images: int = 400,
    val_images: int = 100,
    size: int = 320,
    seed: int = 0,
    progress: bool = True,
) -> Path:
    """The folder of the embedded data set, made if it is absent; it is complete then, or absent.

    Every picture shows 4 to 20 faces with boxes of 10 to 60 pixels, small ones most often, and as
    many patches without a face pasted in the same way. Faces, patches and photographs of val
    appear nowhere in train. A box (whole xyxy pixels) runs from the middle of the forehead to the
    chin and from ear to ear; nearer patches hide at most 35 % of a face. `subsets` [G, 3] holds
    WIDER FACE's lists: easy (height >= 32 and at most a tenth hidden: about a quarter of the
    faces), medium (height >= 18: about three fifths), hard (all).

    Args:
        root: the folder.
        train_images: pictures of the train split.
        val_images: pictures of the val split.
        size: height and width of a picture, pixels.
        seed: another seed paints other pictures.
        progress: shows a bar on stderr where that is a terminal.

    Returns:
        `root`.

    Raises:
        UsageError: a count is below 1, `size` below 128 or `seed` below 0.
        FacedetError: the folder holds something else, or crowds made with other parameters or by
            another version of the painting; or it cannot be written.
    """
    root = Path(root)
    counts = {"train_images": train_images, "val_images": val_images, "size": size, "seed": seed}
    asked = _parameters(counts)
    if _is_vacant(root):
        try:
            _make(root, asked, progress)
        except FacedetError:
            # Another process filled `root` meanwhile: its pictures are the same ones.
            if _is_vacant(root):
                raise
    _check_stamp(root, asked)
    return root


def _make(root: Path, asked: dict[str, int], progress: bool) -> None:
    hidden = None if progress else True
    with new_folder(root) as folder:
        for split in _SPLITS:
            pictures, total = _pictures(folder, split, asked), asked[f"{split}_images"]
            bar = tqdm(pictures, f"making crowds: {split}", total, unit="picture", disable=hidden)
            write_wider(folder, split, list(bar))
        stamp = {**asked, "scikit-image": version("scikit-image")}
        (folder / STAMP).write_text(json.dumps(stamp, indent=2) + "\n")


def _parameters(given: dict[str, int]) -> dict[str, int]:
    lowest = {"train_images": 1, "val_images": 1, "size": _SMALLEST_SIZE, "seed": 0}
    for name, value in given.items():
        if value < lowest[name]:
            raise UsageError(f"{name} of the crowds is {value}: give {lowest[name]} or more")
    return {"version": _VERSION, **given}


def _is_vacant(root: Path) -> bool:
    try:
        return not any(root.iterdir())
    except FileNotFoundError:
        return True
    except OSError as error:
        raise FacedetError(f"{root}: cannot be read ({error.strerror})") from error


def _check_stamp(root: Path, asked: dict[str, int]) -> None:
    """Refuses a folder that holds other crowds, or none."""
    try:
        found = dict(json.loads((root / STAMP).read_text()))
    except (OSError, ValueError, TypeError) as error:
        raise FacedetError(
            f"{root}: holds something else than crowds ({STAMP} is missing or unreadable); "
            "choose another root"
        ) from error
    for name, value in asked.items():
        if found.get(name) != value:
            raise FacedetError(
                f"{root}: was made with {name} {found.get(name)}, not {value}; "
                "remove it or choose another root"
            )


def _pictures(folder: Path, split: str, asked: dict[str, int]) -> Iterator[Record]:
    """Paints and writes the pictures of one split, one after the other."""
    sources = load_sources(split)
    for index in range(asked[f"{split}_images"]):
        rng = np.random.default_rng([asked["seed"], _SPLITS.index(split), index])
        photograph = index % len(sources.events)
        crowd = paint_crowd(sources, photograph, asked["size"], rng)
        event = sources.events[photograph]
        name = f"{event}/{event.replace('--', '_')}_{index}"
        path = folder / f"WIDER_{split}" / "images" / f"{name}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        quality = [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY]
        _, encoded = cv2.imencode(".jpg", crowd.image[..., ::-1], quality)
        # `cv2.imwrite` would say False on a full disk and not why.
        path.write_bytes(encoded.tobytes())
        yield _record(name, path, event, crowd)


def _record(name: str, path: Path, event: str, crowd: Crowd) -> Record:
    """The annotation of a painted picture, with WIDER FACE's attributes for each face."""
    faces = [place for place in crowd.places if place.is_face]
    boxes = np.array([face.box() for face in faces], dtype=np.float32).reshape(-1, 4)
    heights = boxes[:, 3] - boxes[:, 1]
    covered = np.array([face.covered for face in faces])
    easy = (heights >= 32) & (covered <= 0.1)
    subsets = np.stack([easy, heights >= 18, heights >= 0], axis=1)
    tags = {"event": event, "subsets": subsets, **_attributes(faces)}
    return Record(name, path, boxes, np.zeros(len(faces), dtype=bool), tags)


def _attributes(faces: list[Place]) -> dict[str, np.ndarray]:
    """WIDER FACE's attributes as int arrays [G], in its codes."""
    columns = [(face.blur, face.slope, face.covered, abs(face.angle)) for face in faces]
    blur, slope, covered, angle = np.array(columns, dtype=float).reshape(-1, 4).T
    none = np.zeros(len(faces), dtype=int)
    return {
        "blur": np.digitize(blur, [0.012, 0.025]),  # 0 clear, 1 normal, 2 heavy
        "expression": none,
        "illumination": (slope > 0.25).astype(int),
        "occlusion": np.digitize(covered, [0.02, 0.2]),  # 0 none, 1 partial, 2 heavy
        "pose": (angle > 10).astype(int),
        "invalid": none,
    }
