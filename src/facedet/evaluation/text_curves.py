"""Published curves as text, a file per method: FDDB's ROC, and precision over recall."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from facedet.errors import FacedetError
from facedet.evaluation.wider_curves import PublishedCurve
from facedet.metrics.fddb import rate_below

_ROC = "DiscROC"


class RocCurve(NamedTuple):
    """FDDB's discontinuous ROC of one method."""

    false_positives: np.ndarray  # [T] falling
    rate: np.ndarray  # [T] true positives over all faces
    limit: int  # false positives at which its value is taken

    @property
    def value(self) -> float:
        """The rate at the first point below the limit, as SmallHardFace's paper takes it."""
        return rate_below(self.false_positives, self.rate, self.limit).item()


def read_roc_curves(folder: Path, limits: tuple[int, ...]) -> dict[str, dict[str, RocCurve]]:
    """The curves that FDDB's official tool has written: FOLDER/METHODDiscROC.txt.

    Returns:
        By method and limit ("1,000 FP").

    Raises:
        FacedetError: there is none, or a file holds something else than lines of rate, false
            positives and threshold.
    """
    return {
        name.removesuffix(_ROC).rstrip("_"): {
            f"{limit:,} FP": RocCurve(points[:, 1], points[:, 0], limit) for limit in limits
        }
        for name, points in _read(folder, f"*{_ROC}.txt").items()
    }


def read_precision_recall(folder: Path) -> dict[str, dict[str, PublishedCurve]]:
    """Curves of other benchmarks: FOLDER/METHOD.txt, lines of precision and recall.

    Returns:
        By method, its curve as "AP".

    Raises:
        FacedetError: there is none, or a file holds something else.
    """
    curves = {}
    for name, points in _read(folder, "*.txt").items():
        precision, recall = points[points[:, 1].argsort(kind="stable"), :2].T
        curves[name] = {"AP": PublishedCurve(name, precision, recall)}
    return curves


def _read(folder: Path, pattern: str) -> dict[str, np.ndarray]:
    """The numbers [T, 2 or more] of each file, by its name without the suffix."""
    found = {}
    for path in sorted(folder.glob(pattern)):
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
            points = np.array([line.split() for line in lines if line.strip()], dtype=np.float64)
        except (OSError, ValueError) as error:
            raise FacedetError(f"{path} holds no lines of numbers: {error}") from error
        if points.ndim != 2 or points.shape[1] < 2 or not np.isfinite(points).all():
            raise FacedetError(f"{path}: {list(points.shape)} numbers, expected lines of 2 or 3")
        found[path.stem] = points
    if not found:
        raise FacedetError(f"{folder} holds no published curves {pattern}")
    return found
