"""What each pass of a pyramid found in a picture, unmerged, in a file per picture."""

import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np
import torch

from facedet.errors import FacedetError
from facedet.files import replacing
from facedet.inference.pyramid import Pyramid
from facedet.inference.scales import Pass, Size
from facedet.structures import Detections, Record


class Looks(NamedTuple):
    """What each pass over one picture found, before they are merged."""

    size: Size  # (height, width) px
    passes: list[Pass]
    found: list[Detections]  # of each pass, in pixels of the picture
    note: str = ""  # how the picture was processed, where that is not the plain way


@dataclass(frozen=True)
class _Unmerged:
    """Leaves a single pass as it is, where the protocol's merge would join several."""

    keep: int | None
    raw: bool

    def __call__(self, found: Detections) -> Detections:
        return found


class RawLooks:
    """Looks at pictures pass by pass and keeps a file per picture: `FOLDER/NAME.npz`.

    It is both the detector and the writer of `evaluation.detect_records`, which calls `add` for
    the picture that was looked at last.

    Args:
        pyramid: the protocol's.
        folder: of the files.
        records: of the pictures to come.
    """

    def __init__(self, pyramid: Pyramid, folder: Path, records: Iterable[Record]) -> None:
        self.pyramid = pyramid
        self.folder = folder
        self._bytes = {record.name: _file_bytes(record.path) for record in records}
        self._latest: Looks | None = None

    def __call__(self, image: np.ndarray) -> Detections:
        """All passes' detections in an RGB image, uint8 [H, W, 3], one pass after the other."""
        size = (image.shape[0], image.shape[1])
        passes = self.pyramid.scales(size)
        found = [self._look(image, one) for one in passes]
        note = next((one.note for one in found if one.note), "")
        self._latest = Looks(size, passes, found, note)
        return join(found)._replace(note=note)

    def has(self, name: str) -> bool:
        """Whether a picture's looks are there, and its file has not become another since."""
        try:
            with np.load(_file_of(self.folder, name), allow_pickle=False) as stored:
                return int(stored["picture"][2]) == self._bytes[name]
        except (OSError, ValueError, LookupError, EOFError, zipfile.BadZipFile):
            return False

    def add(self, name: str, detections: Detections) -> None:
        """Writes the file of the picture just looked at; raises `FacedetError` if it cannot."""
        assert self._latest is not None
        save_looks(self.folder, name, self._latest, self._bytes[name])

    def close(self) -> None:
        """Nothing is left to be written."""

    def _look(self, image: np.ndarray, one: Pass) -> Detections:
        whole = self.pyramid
        merge = _Unmerged(whole.merge.keep, whole.merge.raw)
        single = Pyramid(
            whole.net, whole.postprocess, lambda _: [one], merge, whole.pixel_budget, whole.on_large
        )
        return single(image)


def save_looks(folder: Path, name: str, looks: Looks, picture_bytes: int) -> Path:
    """Writes one picture's looks as `folder/NAME.npz`.

    Args:
        folder: of the files.
        name: of the picture's record.
        looks: what was found.
        picture_bytes: length of the picture's file, by which another one is told.

    Raises:
        FacedetError: `name` leaves the folder, or the file cannot be written.
    """
    path = _file_of(folder, name)
    joined = join(looks.found)
    arrays = {
        "picture": np.array([*looks.size, picture_bytes], dtype=np.int64),
        "passes": np.array(looks.passes, dtype=np.float64).reshape(-1, len(Pass._fields)),
        "counts": np.array([len(one.scores) for one in looks.found], dtype=np.int64),
        "boxes": joined.boxes.numpy(),
        "scores": joined.scores.numpy(),
        "note": np.array(looks.note),
    }
    with replacing(path, durable=False) as aside, aside.open("wb") as stream:
        np.savez(stream, allow_pickle=False, **arrays)
    return path


def read_looks(folder: Path, name: str, candidates: bool = True) -> Looks:
    """The looks that `save_looks` wrote for a picture.

    Args:
        folder: of the files.
        name: of the picture's record.
        candidates: read what was found too; without it `found` is empty, and only size and passes
            are read.

    Raises:
        FacedetError: there is no such file, or it is damaged; says how to mend it.
    """
    path = _file_of(folder, name)
    try:
        with np.load(path, allow_pickle=False) as stored:
            height, width, _ = stored["picture"].tolist()
            passes = [Pass(row[0], bool(row[1]), *row[2:]) for row in stored["passes"].tolist()]
            looks = Looks((height, width), passes, [], str(stored["note"]))
            return looks._replace(found=_split(stored)) if candidates else looks
    # What a damaged archive raises is no fixed set.
    except Exception as error:
        raise FacedetError(
            f"{path} holds no raw detections ({type(error).__name__}): remove it and start again"
        ) from error


def join(parts: Sequence[Detections]) -> Detections:
    """The parts in one, in their order: equal scores are merged in it."""
    boxes = torch.cat([torch.zeros(0, 4), *(one.boxes for one in parts)])
    return Detections(boxes, torch.cat([torch.zeros(0), *(one.scores for one in parts)]))


def _split(stored: Mapping[str, np.ndarray]) -> list[Detections]:
    """Each pass's detections."""
    counts = stored["counts"].tolist()
    boxes = torch.from_numpy(stored["boxes"]).split(counts)
    scores = torch.from_numpy(stored["scores"]).split(counts)
    return [Detections(*one) for one in zip(boxes, scores, strict=True)]


def _file_of(folder: Path, name: str) -> Path:
    if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
        raise FacedetError(f"'{name}' is no picture name: it leaves {folder}")
    return folder / f"{name}.npz"


def _file_bytes(path: Path) -> int:
    # A picture that is not there is reported where it is read.
    return path.stat().st_size if path.is_file() else 0
