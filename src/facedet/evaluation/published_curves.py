"""Published curves: WIDER FACE's .mat files, FDDB's ROC and precision over recall as text."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from facedet.data.readers.mat import load_mat
from facedet.data.readers.wider_annotations import SUBSETS
from facedet.errors import FacedetError
from facedet.metrics.fddb import rate_below
from facedet.metrics.functional import average_precision

_ROC = "DiscROC"


class Curve(NamedTuple):
    """Precision over recall, or FDDB's discontinuous ROC, of one method, [T] float64 each."""

    x: np.ndarray  # recall, not falling; or false positives, falling
    y: np.ndarray  # precision, 0 where the file has none (before the first detection); or rate
    limit: int = 0  # of a ROC, the false positives at which its value is taken

    @property
    def value(self) -> float:
        """The AP; or the rate at the first point below the limit, as SmallHardFace has it."""
        if self.limit:
            return rate_below(self.x, self.y, self.limit).item()
        return average_precision(*map(torch.from_numpy, (self.y, self.x))).item()


Methods = dict[str, dict[str, Curve]]  # by method and column of a table


def read_wider_curves(folder: Path, problems: list[str] | None = None) -> Methods:
    """FOLDER/METHOD/wider_pr_info_NAME_{easy,medium,hard}_{val,test}.mat of the official tools.

    Args:
        folder: holds one folder per method.
        problems: gets a line for each method that cannot be read, which is then left out; None:
            such a method raises.

    Returns:
        By method (its name in the official figures) and subset (easy, medium, hard).

    Raises:
        FacedetError: there is no method, a method lacks a subset or has it twice, two have the
            same name, or a file is not as it should be.
    """
    methods: Methods = {}
    places: dict[str, Path] = {}
    for place in sorted(path for path in folder.glob("*") if path.is_dir()):
        try:
            found = {subset: _read_wider_curve(place, subset) for subset in SUBSETS}
            name = found[SUBSETS[0]][0] or place.name
            if name in places:
                raise FacedetError(
                    f"{place} and {places[name]} have the same legend_name {name}: change it in "
                    "one of them, or move one away"
                )
        except FacedetError as error:
            if problems is None:
                raise
            problems.append(str(error))
        else:
            places[name] = place
            methods[name] = {subset: curve for subset, (_, curve) in found.items()}
    if not methods:
        raise FacedetError(
            problems[0] if problems else f"{folder} holds no folder METHOD of published curves"
        )
    return methods


def _read_wider_curve(place: Path, subset: str) -> tuple[str, Curve]:
    """The method's name in the official figures, "" where it has none, and its curve."""
    pattern = f"wider_pr_info_{{}}_{subset}_{{}}.mat"
    files = sorted(place.glob(pattern.format("*", "*")))
    if len(files) != 1:
        expected = pattern.format("NAME", "SPLIT")
        raise FacedetError(f"{place}: {len(files)} files {expected}, expected 1")
    content = load_mat(files[0], ["pr_cruve", "legend_name"])  # the files' own spelling
    points, legend = content["pr_cruve"], content["legend_name"]
    if points.ndim != 2 or points.shape[1] != 2 or points.dtype.kind not in "fiu":
        shape = f"{points.dtype}{list(points.shape)}"
        raise FacedetError(f"{files[0]}: pr_cruve is {shape}, not [T, 2]")
    precision, recall = np.nan_to_num(points.astype(np.float64)).T
    if not len(recall) or (np.diff(recall) < 0).any():
        raise FacedetError(f"{files[0]}: its {len(recall):,} points are no curve of rising recall")
    return str(legend.ravel()[0]) if legend.size else "", Curve(recall, precision)


def read_roc_curves(folder: Path, limits: tuple[int, ...]) -> Methods:
    """FOLDER/METHODDiscROC.txt of FDDB's official tool: lines of rate, false positives, threshold.

    The lines may have any order: both columns are sorted, each by itself, as FDDB's script for
    the published figures does.

    Returns:
        By method and limit ("1,000 FP").

    Raises:
        FacedetError: there is none, two are of one method, or a file holds something else.
    """
    curves: Methods = {}
    for name, points in _read_texts(folder, f"*{_ROC}.txt").items():
        method = name.removesuffix(_ROC).rstrip("_")
        if method in curves:
            raise FacedetError(f"{folder}: {name}.txt and {method}{_ROC}.txt are of one method")
        rates, false_positives = np.sort(points[:, :2], axis=0)[::-1].T
        curves[method] = {f"{limit:,} FP": Curve(false_positives, rates, limit) for limit in limits}
    return curves


def read_precision_recall(folder: Path) -> Methods:
    """FOLDER/METHOD.txt, lines of precision and recall; by method, its curve as "AP".

    Raises:
        FacedetError: there is none, or a file holds something else.
    """
    curves = {}
    for name, points in _read_texts(folder, "*.txt").items():
        precision, recall = points[points[:, 1].argsort(kind="stable"), :2].T
        curves[name] = {"AP": Curve(recall, precision)}
    return curves


def _read_texts(folder: Path, pattern: str) -> dict[str, np.ndarray]:
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
