"""Own results on a benchmark next to the published ones: a table, curves, and what they cost."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from facedet.data.readers.wider_annotations import SUBSETS
from facedet.errors import FacedetError, UsageError
from facedet.evaluation.provenance import (
    PUBLISHED_FDDB,
    PUBLISHED_WIDER,
    Differences,
    comparable,
    differences,
    read_report,
    written,
)
from facedet.evaluation.text_curves import RocCurve, read_precision_recall, read_roc_curves
from facedet.evaluation.wider_curves import PublishedCurve, read_wider_curves
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


Curves = Mapping[str, PublishedCurve] | Mapping[str, RocCurve]


class Published(NamedTuple):
    """How a benchmark's curves are read and drawn."""

    title: str
    read: Callable[[Path], Mapping[str, Curves]]  # published: a folder to curves by method, column
    own: Callable[[Mapping[str, np.ndarray]], Curves]  # curves.npz to curves by column
    draw: Callable[[Path, str, Mapping[str, Any], str], None]
    made_with: dict[str, Any]  # what is known of the published ones


def draw_precision_recall(
    folder: Path, column: str, curves: Mapping[str, PublishedCurve], title: str
) -> None:
    """Writes precision_recall_COLUMN.png."""
    pairs = {name: (curve.precision, curve.recall) for name, curve in curves.items()}
    values = {name: curve.value for name, curve in curves.items()}
    path = folder / f"precision_recall_{column}.png"
    plot_precision_recall(path, pairs, values, f"{title}, {column}")


def draw_roc(folder: Path, column: str, curves: Mapping[str, RocCurve], title: str) -> None:
    """Writes roc_LIMIT.png, up to the column's number of false positives."""
    limit = next(iter(curves.values())).limit
    points = {f"{name}  {c.value:.4f}": (c.false_positives, c.rate) for name, c in curves.items()}
    plot_roc(folder / f"roc_{limit}.png", points, limit, f"{title}, {column}")


WIDER = Published(
    "WIDER FACE val",
    read_wider_curves,
    lambda stored: {
        subset: PublishedCurve("", stored[f"{subset}_precision"], stored[f"{subset}_recall"])
        for subset in SUBSETS
    },
    draw_precision_recall,
    PUBLISHED_WIDER,
)
FDDB = Published(
    "FDDB",
    lambda folder: read_roc_curves(folder, _LIMITS),
    lambda stored: {
        f"{limit:,} FP": RocCurve(stored["false_positives"], stored["discrete"], limit)
        for limit in _LIMITS
    },
    draw_roc,
    PUBLISHED_FDDB,
)
OTHER = Published(
    "AFW or Pascal Faces",
    read_precision_recall,
    lambda stored: {"AP": PublishedCurve("", stored["precision"], stored["recall"])},
    draw_precision_recall,
    {},
)


class Method(NamedTuple):
    """One line of the table."""

    name: str
    curves: Curves  # by column
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


def read_published(benchmark: Published, folder: Path) -> list[Method]:
    """The published curves in a folder; raises `FacedetError`."""
    return [Method(name, curves) for name, curves in benchmark.read(folder).items()]


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
            curves = benchmark.own(stored)
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
    return differences(own | {PUBLISHED: benchmark.made_with}) if own else {}


def make_table(methods: Sequence[Method], differing: Differences, decimals: int) -> list[list[str]]:
    """Rows of texts, the header first: name, value by column, known costs, origin of own results.

    With the origin stands in what a result differs from others.
    """
    costs = [key for key in _COSTS if any(key in method.cost for method in methods)]
    # The origin of an own result names its protocol and pictures already.
    keys = [key for key in differing if key not in ("protocol", "images")]
    rows = [["method", *methods[0].curves, *costs, "origin"]]
    for method in methods:
        values = [f"{curve.value:.{decimals}f}" for curve in method.curves.values()]
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
    folder: Path,
    benchmark: Published,
    methods: Sequence[Method],
    best: int,
    differing: Differences,
) -> None:
    """Writes comparison.csv, and pictures of all own curves and the `best` published ones."""
    with replacing_table(folder / "comparison.csv") as table:
        table.writerows(make_table(methods, differing, decimals=6))
    note = " (not measured alike)" if differing else ""
    for column in methods[0].curves:
        ranked = sorted(methods, key=lambda method: -method.curves[column].value)
        published = [method for method in ranked if not method.own][:best]
        shown = [method for method in ranked if method.own] + published
        curves = {method.name: method.curves[column] for method in shown}
        benchmark.draw(folder, column, curves, benchmark.title + note)
