"""Published precision-recall curves on WIDER FACE, as its official tools hold them.

FOLDER/METHOD/wider_pr_info_NAME_{easy,medium,hard}_{val,test}.mat, each with `pr_cruve` [T, 2]
(the files' own spelling; precision, then recall) and `legend_name`.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from facedet.data.readers.mat import load_mat
from facedet.data.readers.wider_annotations import SUBSETS
from facedet.errors import FacedetError
from facedet.metrics.functional import average_precision


class PublishedCurve(NamedTuple):
    """One method on one subset."""

    legend: str  # the method's name in the official figures
    precision: np.ndarray  # [T] float64; 0 where the file has none, before the first detection
    recall: np.ndarray  # [T] float64, not falling

    @property
    def value(self) -> float:
        """The average precision in [0, 1]."""
        return average_precision(*map(torch.from_numpy, (self.precision, self.recall))).item()


def read_wider_curves(
    folder: str | Path, problems: list[str] | None = None
) -> dict[str, dict[str, PublishedCurve]]:
    """Reads the curves of all methods of one split.

    Args:
        folder: holds one folder per method.
        problems: gets a line for each method that cannot be read, which is then left out; None:
            such a method raises.

    Returns:
        By method (its name in the official figures) and subset (easy, medium, hard).

    Raises:
        FacedetError: there is no method, a method lacks a subset or has it twice, or a file is
            not as it should be.
    """
    methods: dict[str, dict[str, PublishedCurve]] = {}
    for place in sorted(path for path in Path(folder).glob("*") if path.is_dir()):
        try:
            curves = _read_method(place)
        except FacedetError as error:
            if problems is None:
                raise
            problems.append(str(error))
        else:
            methods[curves[SUBSETS[0]].legend or place.name] = curves
    if not methods:
        raise FacedetError(
            problems[0] if problems else f"{folder} holds no folder METHOD of published curves"
        )
    return methods


def _read_method(place: Path) -> dict[str, PublishedCurve]:
    curves = {}
    for subset in SUBSETS:
        files = sorted(place.glob(f"wider_pr_info_*_{subset}_*.mat"))
        if len(files) != 1:
            raise FacedetError(
                f"{place}: {len(files)} files wider_pr_info_NAME_{subset}_SPLIT.mat, expected 1"
            )
        curves[subset] = _read_curve(files[0])
    return curves


def _read_curve(path: Path) -> PublishedCurve:
    content = load_mat(path, ["pr_cruve", "legend_name"])
    points, legend = content["pr_cruve"], content["legend_name"]
    if points.ndim != 2 or points.shape[1] != 2 or points.dtype.kind not in "fiu":
        raise FacedetError(f"{path}: pr_cruve is {points.dtype}{list(points.shape)}, not [T, 2]")
    precision, recall = np.nan_to_num(points.astype(np.float64)).T
    if not len(recall) or (np.diff(recall) < 0).any():
        raise FacedetError(f"{path}: its {len(recall):,} points are no curve of rising recall")
    return PublishedCurve(str(legend.ravel()[0]) if legend.size else "", precision, recall)
