"""Own results on WIDER FACE next to the published ones: a table, curves, and what they cost."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from facedet.data.readers.wider_annotations import SUBSETS
from facedet.errors import FacedetError, UsageError
from facedet.evaluation.provenance import (
    PUBLISHED_WIDER,
    Differences,
    comparable,
    differences,
    read_report,
    written,
)
from facedet.evaluation.wider_curves import PublishedCurve, read_wider_curves
from facedet.files import replacing_table
from facedet.plots import plot_precision_recall
from facedet.profiling.cost import measure_cost
from facedet.profiling.latency import network_latency
from facedet.weights.trusted import build_untrusted

# (height, width) px: the size at which the papers count.
SIZE = (640, 640)
PUBLISHED = "the published ones"
_COSTS = {"params M": "{:.4f}", "madds G": "{:.3f}", "latency ms": "{:.1f}"}


class Method(NamedTuple):
    """One line of the table."""

    name: str
    curves: dict[str, PublishedCurve]  # by subset
    own: str = ""  # how an own result came about; "" for a published one
    made_with: dict[str, Any] = PUBLISHED_WIDER  # what must be alike in comparable results
    cost: Mapping[str, float] = {}  # by the columns of `_COSTS`, as far as it is known


def read_published(folder: Path) -> list[Method]:
    """The published curves in a folder, of all 3,226 pictures; raises `FacedetError`."""
    methods = read_wider_curves(folder)
    return [Method(curves[SUBSETS[0]].legend or name, curves) for name, curves in methods.items()]


def read_run(text: str, with_latency: bool) -> Method:
    """An output folder of `facedet evaluate` or `facedet score`.

    The cost of its network, whose config is in metrics.json, is measured.

    Args:
        text: NAME=FOLDER, or FOLDER, which is then named by its last part.
        with_latency: time its network.

    Raises:
        FacedetError: the folder holds no curves on WIDER FACE.
        UsageError: `text` names no folder.
    """
    name, _, place = text.rpartition("=")
    if not place:
        raise UsageError(f"--run {text}: expected NAME=FOLDER or FOLDER")
    folder = Path(place)
    report = read_report(folder / "metrics.json")
    try:
        with np.load(folder / "curves.npz", allow_pickle=False) as stored:
            curves = {
                subset: PublishedCurve(
                    name, stored[f"{subset}_precision"], stored[f"{subset}_recall"]
                )
                for subset in SUBSETS
            }
        # A part of the pictures, or other test scales, must not be listed unlabelled.
        own = f"own: {report['protocol']}, {report['images']:,} images"
    # A damaged .npz fails in many ways; a key is missing in that of another benchmark.
    except Exception as error:
        raise FacedetError(f"{folder} holds no curves on WIDER FACE: {error}") from error
    cost = {}
    if report.get("network"):
        net = build_untrusted(report["network"], f"{folder / 'metrics.json'}").eval()
        counted = measure_cost(net, SIZE)
        cost = {"params M": counted.parameters / 1e6, "madds G": counted.madds / 1e9}
        if with_latency:
            cost["latency ms"] = 1e3 * network_latency(net, SIZE).median
    return Method(name or folder.name, curves, own, comparable(report), cost)


def find_differences(methods: Sequence[Method]) -> Differences:
    """What own results do not share with each other or with the published ones.

    Raises:
        UsageError: two methods have the same name.
    """
    names = [method.name for method in methods]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"{name} stands for two results: name one of them, --run NAME=FOLDER")
    own = {method.name: method.made_with for method in methods if method.own}
    return differences(own | {PUBLISHED: PUBLISHED_WIDER}) if own else {}


def make_table(methods: Sequence[Method], differing: Differences, decimals: int) -> list[list[str]]:
    """Rows of texts, the header first: name, AP by subset, known costs, origin of own results.

    With the origin stands in what a result differs from others.
    """
    costs = [key for key in _COSTS if any(key in method.cost for method in methods)]
    # The origin of an own result names its protocol and pictures already.
    keys = [key for key in differing if key not in ("protocol", "images")]
    rows = [["method", *SUBSETS, *costs, "origin"]]
    for method in methods:
        values = [f"{method.curves[subset].ap:.{decimals}f}" for subset in SUBSETS]
        cells = [
            _COSTS[key].format(method.cost[key]) if key in method.cost else "–" for key in costs
        ]
        unlike = [
            f"{key} {written(method.made_with[key])}" for key in keys if key in method.made_with
        ]
        rows.append(
            [method.name, *values, *cells, ", ".join([method.own, *unlike] if method.own else [])]
        )
    return rows


def save_comparison(
    folder: Path, methods: Sequence[Method], best: int, differing: Differences
) -> None:
    """Writes comparison.csv, and pictures of all own curves and the `best` published ones."""
    with replacing_table(folder / "comparison.csv") as table:
        table.writerows(make_table(methods, differing, decimals=6))
    note = " (not measured alike)" if differing else ""
    for subset in SUBSETS:
        ranked = sorted(methods, key=lambda method: -method.curves[subset].ap)
        published = [method for method in ranked if not method.own][:best]
        drawn = {method.name: method.curves[subset] for method in ranked if method.own}
        drawn |= {method.name: method.curves[subset] for method in published}
        plot_precision_recall(
            folder / f"precision_recall_{subset}.png",
            {name: (curve.precision, curve.recall) for name, curve in drawn.items()},
            {name: curve.ap for name, curve in drawn.items()},
            f"WIDER FACE val, {subset}{note}",
        )
