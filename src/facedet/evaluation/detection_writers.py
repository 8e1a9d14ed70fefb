"""Writes detections, best first, in the layouts of the benchmarks' result files."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Protocol

import numpy as np

from facedet.errors import FacedetError
from facedet.files import replacing
from facedet.structures import Detections


class DetectionWriter(Protocol):
    """Writes the detections of a data set; made with a folder and the protocol's `files`."""

    def has(self, name: str) -> bool:
        """Whether an earlier run has left this picture's detections, whole."""

    def add(self, name: str, detections: Detections) -> None:
        """Takes the detections of the picture of a record's name."""

    def close(self) -> None:
        """Writes what is not written yet; raises `FacedetError` where it cannot."""


@dataclass(frozen=True)
class EventFiles:
    """A file per picture, `folder/EVENT/IMAGE.txt`, written as soon as it is found.

    The defaults are EXTD's result files (arXiv 1906.06579, released code).

    Args:
        folder: where the event folders lie.
        plus_one: added to x2 - x1 and y2 - y1.
        decimals: of x, y, w, h.
        score_decimals: of the score. Evaluators that count by thresholds see rounded scores as
            ties.
        truncate: x1, y1, x2 and y2 lose their decimals first, as SmallHardFace's release writes
            them: w = int(x2) - int(x1) with `plus_one` 0.
    """

    folder: str | Path
    plus_one: float = 1.0
    decimals: int = 1
    score_decimals: int = 3
    truncate: bool = False

    def has(self, name: str) -> bool:
        """Whether the file of the picture "EVENT/IMAGE" is there; it is written in one piece."""
        return Path(self.folder, f"{name}.txt").is_file()

    def add(self, name: str, detections: Detections) -> None:
        """Writes the file of the picture "EVENT/IMAGE".

        Raises:
            FacedetError: `name` leaves the folder, or the file cannot be written.
        """
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts:
            raise FacedetError(f"'{name}' is no image name: expected EVENT/IMAGE")
        boxes, scores = _best_first(detections)
        boxes = np.trunc(boxes) + 0.0 if self.truncate else boxes  # -0.0 + 0.0 is written 0, not -0
        rows = _texts(_xywh(boxes, self.plus_one), scores, self.decimals, self.score_decimals)
        lines = [path.name, str(len(boxes)), *(f"{box} {score}" for box, score in rows)]
        with replacing(Path(self.folder, f"{name}.txt"), durable=False) as aside:
            aside.write_text("\n".join(lines) + "\n", encoding="utf-8")

    def close(self) -> None:
        """Nothing is left to be written."""


@dataclass
class _OneFile:
    """`folder/detections.txt` of all pictures, written when all are there."""

    folder: str | Path
    decimals: int = 3  # of the box
    score_decimals: int = 10
    lines: list[str] = field(default_factory=list, init=False)

    def has(self, name: str) -> bool:
        """No: the file is written at the end, for all pictures."""
        return False

    def close(self) -> None:
        """Writes the file."""
        with replacing(Path(self.folder) / "detections.txt") as aside:
            aside.write_text("".join(f"{line}\n" for line in self.lines), encoding="utf-8")


@dataclass
class FoldFile(_OneFile):
    """FDDB's layout with rectangles: name, number, and lines `x y w h score`."""

    plus_one: float = 1.0  # added to x2 - x1 and y2 - y1

    def add(self, name: str, detections: Detections) -> None:
        """Takes the detections of a picture."""
        boxes, scores = _best_first(detections)
        rows = _texts(_xywh(boxes, self.plus_one), scores, self.decimals, self.score_decimals)
        self.lines += [name, str(len(boxes)), *(f"{box} {score}" for box, score in rows)]


@dataclass
class ScoredLines(_OneFile):
    """Lines `name score x1 y1 x2 y2`, as AFW's and Pascal Faces' evaluation reads them.

    y1 moves down by `y_shift` of y2 - y1 + 1: S3FD's and SmallHardFace's boxes begin at the hair,
    the data sets' ones at the forehead.
    """

    y_shift: float = 0.2

    def add(self, name: str, detections: Detections) -> None:
        """Takes the detections of a picture."""
        boxes, scores = _best_first(detections)
        boxes[:, 1] += self.y_shift * (boxes[:, 3] - boxes[:, 1] + 1)
        rows = _texts(boxes, scores, self.decimals, self.score_decimals)
        self.lines += [f"{name} {score} {box}" for box, score in rows]


def _best_first(detections: Detections) -> tuple[np.ndarray, list[float]]:
    """Boxes [N, 4] float64 and scores [N]."""
    order = detections.scores.argsort(descending=True, stable=True)
    return detections.boxes[order].double().cpu().numpy(), detections.scores[order].tolist()


def _xywh(boxes: np.ndarray, plus_one: float) -> np.ndarray:
    return np.hstack([boxes[:, :2], boxes[:, 2:] - boxes[:, :2] + plus_one])


def _texts(
    boxes: np.ndarray, scores: list[float], decimals: int, score_decimals: int
) -> Iterator[tuple[str, str]]:
    """The numbers of each box, and its score."""
    for row, score in zip(boxes.tolist(), scores, strict=True):
        yield " ".join(f"{value:.{decimals}f}" for value in row), f"{score:.{score_decimals}f}"
