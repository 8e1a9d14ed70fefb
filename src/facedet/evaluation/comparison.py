"""Own results on a benchmark next to the published ones: a table, curves, and what they cost."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from facedet.config import Differences, differences, written
from facedet.data.readers.wider_annotations import SUBSETS
from facedet.errors import FacedetError, UsageError
from facedet.evaluation.provenance import PUBLISHED_FDDB, PUBLISHED_WIDER, comparable, read_report
from facedet.evaluation.published_curves import (
    Curve,
    Methods,
    read_precision_recall,
    read_roc_curves,
    read_wider_curves,
)
from facedet.files import replacing_table
from facedet.plots import plot_precision_recall, plot_roc
from facedet.profiling.cost import measure_cost
from facedet.profiling.latency import network_latency
from facedet.weights.trusted import build_untrusted

# (height, width) px: the size at which the papers count.
SIZE = (640, 640)
PUBLISHED = "the published ones"
_LIMITS = (2000, 1000)  # false positives on FDDB
_COSTS = {"params M": "{:.4f}", "madds G": "{:.3f}", "latency ms": "{:.1f}"}


class Published(NamedTuple):
    """A benchmark's curves."""

    title: str
    read: Callable[[Path], Methods]  # those of a folder
    # By column of the table, the names of x and y in curves.npz, and a ROC's limit.
    own: dict[str, tuple[str, str, int]]
    made_with: dict[str, Any]  # what is known of the published ones


WIDER = Published(
    "WIDER FACE val",
    read_wider_curves,
    {subset: (f"{subset}_recall", f"{subset}_precision", 0) for subset in SUBSETS},
    PUBLISHED_WIDER,
)
FDDB = Published(
    "FDDB",
    partial(read_roc_curves, limits=_LIMITS),
    {f"{limit:,} FP": ("false_positives", "discrete", limit) for limit in _LIMITS},
    PUBLISHED_FDDB,
)
OTHER = Published(
    "AFW or Pascal Faces", read_precision_recall, {"AP": ("recall", "precision", 0)}, {}
)


class Method(NamedTuple):
    """One line of the table."""

    name: str
    curves: Mapping[str, Curve]  # by column
    own: str = ""  # how an own result came about; "" for a published one
    made_with: Mapping[str, Any] = {}  # what must be alike in comparable results
    cost: Mapping[str, float] = {}  # by the columns of `_COSTS`, as far as it is known

    @property
    def value(self) -> float:
        """In the last column, by which methods are ordered."""
        return self.curves[list(self.curves)[-1]].value


def find_published(folder: Path) -> Published:
    """The benchmark whose curves lie in a folder, by the files' names."""
    if any(folder.glob("*DiscROC.txt")):
        return FDDB
    return OTHER if any(folder.glob("*.txt")) else WIDER


def read_run(benchmark: Published, text: str, with_latency: bool) -> Method:
    """An output folder of `facedet evaluate` or `facedet score`.

    The cost of its network, whose config is in metrics.json, is measured.

    Args:
        benchmark: of the curves.
        text: NAME=FOLDER, or FOLDER, which is then named by its last part.
        with_latency: time its network.

    Raises:
        FacedetError: the folder holds no curves of this benchmark.
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
                column: Curve(stored[x], stored[y], limit)
                for column, (x, y, limit) in benchmark.own.items()
            }
        # A part of the pictures, or other test scales, must not be listed unlabelled.
        own = f"own: {report['protocol']}, {report['images']:,} images"
    # A damaged .npz fails in many ways; a key is missing in that of another benchmark.
    except Exception as error:
        raise FacedetError(f"{folder} holds no curves on {benchmark.title}: {error}") from error
    cost = {}
    if report.get("network"):
        net = build_untrusted(report["network"], f"{folder / 'metrics.json'}").eval()
        counted = measure_cost(net, SIZE)
        cost = {"params M": counted.parameters / 1e6, "madds G": counted.madds / 1e9}
        if with_latency:
            cost["latency ms"] = 1e3 * network_latency(net, SIZE).median
    return Method(name or folder.name, curves, own, comparable(report), cost)


def find_differences(benchmark: Published, methods: Sequence[Method]) -> Differences:
    """What own results do not share with each other or with the published ones.

    Raises:
        UsageError: two methods have the same name.
    """
    names = [method.name for method in methods]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"{name} stands for two results: name one of them, --run NAME=FOLDER")
    own = {method.name: method.made_with for method in methods if method.own}
    found = differences(own | {PUBLISHED: benchmark.made_with}) if own else {}
    if "images" in found:  # of other numbers of pictures the names differ as well
        found.pop("pictures_sha256", None)
    return found


def make_table(methods: Sequence[Method], differing: Differences, decimals: int) -> list[list[str]]:
    """Rows of texts, the header first: name, value by column, known costs, origin of own results.

    With the origin stands in what a result differs from others.
    """
    costs = [key for key in _COSTS if any(key in method.cost for method in methods)]
    # The origin of an own result names its protocol and pictures already.
    keys = [key for key in differing if key not in ("protocol", "images")]
    rows = [["method", *methods[0].curves, *costs, "origin"]]
    for name, curves, own, made_with, cost in methods:
        values = [f"{curve.value:.{decimals}f}" for curve in curves.values()]
        values += [_COSTS[key].format(cost[key]) if key in cost else "–" for key in costs]
        unlike = [f"{key} {written(made_with[key])}" for key in keys if key in made_with]
        rows.append([name, *values, ", ".join([own, *unlike] if own else [])])
    return rows


def save_comparison(
    folder: Path, benchmark: Published, methods: Sequence[Method], best: int, differing: Differences
) -> None:
    """Writes comparison.csv, and pictures of all own curves and the `best` published ones."""
    with replacing_table(folder / "comparison.csv") as table:
        table.writerows(make_table(methods, differing, decimals=6))
    note = " (not measured alike)" if differing else ""
    for column, (_, _, limit) in benchmark.own.items():
        ranked = sorted(methods, key=lambda method: -method.curves[column].value)
        published = [method for method in ranked if not method.own][:best]
        shown = [method for method in ranked if method.own] + published
        curves = {method.name: method.curves[column] for method in shown}
        title = f"{benchmark.title}{note}, {column}"
        if limit:
            rocs = {f"{name}  {one.value:.4f}": (one.x, one.y) for name, one in curves.items()}
            plot_roc(folder / f"roc_{limit}.png", rocs, limit, title)
        else:
            pairs = {name: (one.y, one.x) for name, one in curves.items()}
            values = {name: one.value for name, one in curves.items()}
            path = folder / f"precision_recall_{column}.png"
            plot_precision_recall(path, pairs, values, title)
