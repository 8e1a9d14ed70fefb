"""Detections of many pictures in one text file, as FDDB, AFW and Pascal Faces have them.

FDDB's layout is that of its annotations (see `facedet.data.readers.fddb`), a line of the
others is `name score x1 y1 x2 y2`.
"""

import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from facedet.data.readers.afw_pascal import picture_name
from facedet.data.readers.fddb import read_fddb_blocks
from facedet.data.readers.text import Text, parse_numbers, read_text, zip_texts
from facedet.errors import FacedetError
from facedet.evaluation.detection_files import best_first
from facedet.files import replacing
from facedet.structures import Detections

# FDDB: a rectangle with its score, or an ellipse with its score.
_FDDB_COLUMNS = (5, 6)


def read_fddb_detections(path: str | Path) -> dict[str, np.ndarray]:
    """Reads detections in FDDB's result layout.

    Args:
        path: one file, a folder of files (one per fold) or a zip of one.

    Returns:
        By picture, float64 [N, 5] as x, y, w, h, score for rectangles, or [N, 6] as ra, rb,
        theta, cx, cy, score for ellipses (half axes px, radians), all of them alike.

    Raises:
        FacedetError: there is no such file, or a line is malformed.
    """
    return read_fddb_blocks(_texts(Path(path), "FDDB detections"), _FDDB_COLUMNS)


def read_scored_lines(path: str | Path) -> dict[str, np.ndarray]:
    """Reads detections in lines `name score x1 y1 x2 y2`.

    Args:
        path: one file, a folder of files or a zip of one.

    Returns:
        By picture (without folder and suffix) float64 [N, 5] as x, y, w, h, score in pixels with
        w = x2 - x1, in the files' order. A picture without a detection is not in it.

    Raises:
        FacedetError: there is no such file, or a line is malformed.
    """
    names: list[str] = []
    rows: list[list[float]] = []
    for source, _, text in _texts(Path(path), "detections"):
        for number, line in enumerate(text.splitlines(), start=1):
            words = line.split()
            if words:
                names.append(picture_name(words[0]))
                rows.append(parse_numbers(words[1:], (5,), f"{source}, line {number}"))
    values = np.array(rows).reshape(-1, 5)
    values = np.column_stack([values[:, 1:3], values[:, 3:5] - values[:, 1:3], values[:, 0]])
    pictures, place = np.unique(np.array(names, dtype=np.str_), return_inverse=True)
    order = np.argsort(place, kind="stable")
    starts = np.searchsorted(place[order], np.arange(len(pictures)))
    parts = np.split(values[order], starts)[1:]
    return dict(zip(pictures.tolist(), parts, strict=True))


@dataclass
class GatheredLines:
    """A text file of all pictures' detections, written when all are there.

    Args:
        folder: gets `detections.txt`.

    Raises:
        FacedetError: it cannot be written.
    """

    folder: str | Path
    lines: list[str] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        self.close()  # what cannot be written is known before the work begins

    def has(self, name: str) -> bool:
        """No: the file is written at the end, for all pictures."""
        return False

    def close(self) -> None:
        """Writes the file; raises `FacedetError` where it cannot."""
        with replacing(Path(self.folder) / "detections.txt") as aside:
            aside.write_text("".join(f"{line}\n" for line in self.lines), encoding="utf-8")


@dataclass
class FoldFile(GatheredLines):
    """Detections of all pictures in one file in FDDB's result layout, as rectangles.

    Args:
        folder: gets `detections.txt`.
        plus_one: added to x2 - x1 and y2 - y1.
        decimals: of x, y, w, h.
        score_decimals: of the score.
    """

    plus_one: float = 1.0
    decimals: int = 3
    score_decimals: int = 10

    def add(self, name: str, detections: Detections) -> None:
        """Takes the detections of a picture."""
        boxes, scores = best_first(detections)
        sizes = boxes[:, 2:] - boxes[:, :2] + self.plus_one
        self.lines += [name, str(len(boxes))]
        for row, score in zip(np.hstack([boxes[:, :2], sizes]).tolist(), scores, strict=True):
            numbers = " ".join(f"{value:.{self.decimals}f}" for value in row)
            self.lines.append(f"{numbers} {score:.{self.score_decimals}f}")


@dataclass
class ScoredLines(GatheredLines):
    """Detections of all pictures in one file of lines `name score x1 y1 x2 y2`.

    Args:
        folder: gets `detections.txt`.
        y_shift: y1 moves down by this part of y2 - y1 + 1: S3FD's and SmallHardFace's boxes
            begin at the hair, the data sets' ones at the forehead.
        decimals: of the corners.
        score_decimals: of the score.
    """

    y_shift: float = 0.2
    decimals: int = 3
    score_decimals: int = 10

    def add(self, name: str, detections: Detections) -> None:
        """Takes the detections of a picture."""
        boxes, scores = best_first(detections)
        boxes[:, 1] += self.y_shift * (boxes[:, 3] - boxes[:, 1] + 1)
        for row, score in zip(boxes.tolist(), scores, strict=True):
            numbers = " ".join(f"{value:.{self.decimals}f}" for value in row)
            self.lines.append(f"{name} {score:.{self.score_decimals}f} {numbers}")


def _texts(path: Path, content: str) -> Iterator[Text]:
    """Yields (source, name, text) of a .txt file, of those in a folder or of those in a zip.

    Args:
        path: the file, folder or zip; folders in it are searched.
        content: what the files hold, for the message.

    Raises:
        FacedetError: there is no such file, or one cannot be read.
    """
    if path.is_dir():
        files = sorted(path.rglob("*.txt"))
        if not files:
            raise FacedetError(f"{path} holds no .txt of {content}")
        for file in files:
            yield str(file), file.relative_to(path).as_posix(), read_text(file)
    elif not path.is_file():
        raise FacedetError(f"{path} does not exist: name a file, a folder or a zip of {content}")
    elif zipfile.is_zipfile(path):
        yield from zip_texts(path, list, f"no .txt of {content}")
    else:
        yield str(path), path.name, read_text(path)
