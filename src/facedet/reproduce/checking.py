"""A protocol of ours against the official tool's own files."""

from pathlib import Path

import numpy as np

from facedet.data.readers.fddb import read_fddb_ground_truth
from facedet.errors import FacedetError
from facedet.evaluation.benchmarks import Fddb
from facedet.evaluation.detection_lists import read_fddb_detections
from facedet.evaluation.scoring import score_records
from facedet.metrics.fddb import FddbRoc
from facedet.reproduce.experiments import COMPUTED, Outcome, Resources, Result, check_number

_LIMIT = 1000


def check_fddb(resources: Resources, folder: Path) -> Outcome:
    """FDDB's curves of a stored result file, beside those that the official tool wrote for it."""
    place = resources["fddb"]
    discrete = _load(place, "DiscROC")
    continuous = _load(place, "ContROC")
    metric = FddbRoc()
    found = read_fddb_detections(_only(place, "result"))
    score_records(Fddb(), metric, read_fddb_ground_truth(place / "ellipses.txt"), found)
    roc = metric.roc()
    if len(roc.threshold) != len(discrete):
        raise FacedetError(f"{place}: {len(discrete)} rows for {len(roc.threshold)} scores")
    first = np.flatnonzero(discrete[:, 1] < _LIMIT)[0]
    ours = metric.compute()[f"fddb/discrete_{_LIMIT}"].item()
    return Outcome(
        [
            _largest("discrete rate, largest difference", roc.discrete - discrete[:, 0], 0.002),
            _largest(
                "continuous rate, largest difference", roc.continuous - continuous[:, 0], 0.002
            ),
            check_number(
                f"TPR at {_LIMIT:,} false positives", ours, discrete[first, 0], 0.001, COMPUTED
            ),
        ],
        "at equal scores; ellipses as masks that end at the picture's left and upper border; the "
        "right and lower ones are not known without the pictures",
        metric.images,
        "a result file of others",
    )


def _largest(name: str, difference: np.ndarray, tolerance: float) -> Result:
    value = float(np.abs(difference).max())
    return Result(name, f"{value:.5f}", f"at most {tolerance}", "our aim", value <= tolerance)


def _load(place: Path, kind: str) -> np.ndarray:
    return np.loadtxt(_only(place, kind))


def _only(place: Path, kind: str) -> Path:
    """The one file of a kind."""
    paths = sorted(place.glob(f"*{kind}.txt"))
    if len(paths) != 1:
        raise FacedetError(f"{place} holds {len(paths)} files *{kind}.txt, wanted one")
    return paths[0]
