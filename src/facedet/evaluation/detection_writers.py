"""Writes detections, best first, in the layouts of the benchmarks' result files."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import numpy as np

from facedet.errors import FacedetError, UsageError
from facedet.files import replacing
from facedet.structures import Detections


@dataclass
class DetectionWriter(ABC):
    """Writes the detections of a data set; made with a folder and the protocol's `files`.

    Args:
        folder: of the files.
        decimals: of a box's numbers.
        score_decimals: of the score. Evaluators that count by thresholds see rounded scores as
            ties.

    Raises:
        UsageError: a number of decimals is below 0.
    """

    folder: str | Path
    decimals: int
    score_decimals: int

    def __post_init__(self) -> None:
        for key in ("decimals", "score_decimals"):
            value = getattr(self, key)
            if not (isinstance(value, int) and value >= 0):
                raise UsageError(f"files.{key}={value}: expected a number of decimals, 0 or more")

    def has(self, name: str) -> bool:
        """Whether an earlier run has left this picture's detections, whole."""
        return False

    @abstractmethod
    def add(self, name: str, detections: Detections) -> None:
        """Takes the detections of the picture of a record's name."""

    def close(self) -> None:  # noqa: B027
        """Writes what is not written yet; raises `FacedetError` where it cannot."""


@dataclass
class EventFiles(DetectionWriter):
    """A file per picture, `folder/EVENT/IMAGE.txt`, written as soon as it is found.

    The defaults are EXTD's result files (arXiv 1906.06579, released code).

    Args:
        plus_one: added to x2 - x1 and y2 - y1.
        truncate: x1, y1, x2 and y2 lose their decimals first, as SmallHardFace's release writes
            them: w = int(x2) - int(x1) with `plus_one` 0.
    """

    decimals: int = 1
    score_decimals: int = 3
    plus_one: float = 1.0
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
        lines = [path.name, *_block(boxes, scores, self)]
        with replacing(Path(self.folder, f"{name}.txt"), durable=False) as aside:
            aside.write_text("\n".join(lines) + "\n", encoding="utf-8")


@dataclass
class _OneFile(DetectionWriter):
    """`folder/detections.txt` of all pictures, written when all are there."""

    decimals: int = 3
    score_decimals: int = 10
    lines: list[str] = field(default_factory=list, init=False)

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
        self.lines += [name, *_block(*_best_first(detections), self)]


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
        for box, score in zip(boxes.tolist(), scores, strict=True):
            numbers = " ".join(f"{value:.{self.decimals}f}" for value in box)
            self.lines.append(f"{name} {score:.{self.score_decimals}f} {numbers}")


def _best_first(detections: Detections) -> tuple[np.ndarray, list[float]]:
    """Boxes [N, 4] xyxy float64 and scores [N]."""
    order = detections.scores.argsort(descending=True, stable=True)
    return detections.boxes[order].double().cpu().numpy(), detections.scores[order].tolist()


def _block(boxes: np.ndarray, scores: list[float], form: EventFiles | FoldFile) -> list[str]:
    """The number of boxes, and a line `x y w h score` of each."""
    boxes = np.hstack([boxes[:, :2], boxes[:, 2:] - boxes[:, :2] + form.plus_one])
    lines = [str(len(boxes))]
    for box, score in zip(boxes.tolist(), scores, strict=True):
        numbers = [f"{value:.{form.decimals}f}" for value in box]
        lines.append(" ".join([*numbers, f"{score:.{form.score_decimals}f}"]))
    return lines
