"""Own results on WIDER FACE next to the published ones: a table, curves, and what they cost."""

import json
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from facedet.data.readers.wider_annotations import SUBSETS
from facedet.errors import FacedetError, UsageError
from facedet.evaluation.provenance import (
    PUBLISHED_WIDER,
    Difference,
    comparable,
    differences,
    written,
)
from facedet.evaluation.wider_curves import read_wider_curves
from facedet.files import replacing_table
from facedet.metrics.functional import average_precision
from facedet.plots import Point, plot_precision_recall, plot_trade_off
from facedet.profiling.cost import measure_cost
from facedet.profiling.latency import network_latency
from facedet.weights.store import build_net, read_weights
from facedet.weights.trusted import build_untrusted

# (height, width) px: the size at which the papers count.
SIZE = (640, 640)
PUBLISHED = "the published ones"

Curve = tuple[np.ndarray, np.ndarray]


class Cost(NamedTuple):
    """Cost of one image of `SIZE`."""

    parameters: int
    madds: int  # multiply-adds, every use of a convolution counted
    latency: float | None  # s, median of the folded network alone; None: not measured


class Method(NamedTuple):
    """One line of the table."""

    name: str
    own: str  # how an own result came about; "" for a published one
    curves: dict[str, Curve]  # by subset, precision [T] and recall [T]
    values: dict[str, float]  # by subset, the AP
    made_with: dict[str, Any]  # what must be alike in comparable results
    cost: Cost | None = None


def read_published(folder: Path) -> list[Method]:
    """The published curves in a folder, of all 3,226 pictures; raises `FacedetError`."""
    return [
        _method(
            curves[SUBSETS[0]].legend or name,
            "",
            {subset: (curve.precision, curve.recall) for subset, curve in curves.items()},
            PUBLISHED_WIDER,
        )
        for name, curves in read_wider_curves(folder).items()
    ]


def read_run(text: str, with_latency: bool) -> tuple[Method, str]:
    """An output folder of `facedet evaluate` or `facedet score`, and a note on its cost.

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
    path, described = folder / "curves.npz", folder / "metrics.json"
    try:
        with np.load(path, allow_pickle=False) as stored:
            curves = {
                subset: (stored[f"{subset}_precision"], stored[f"{subset}_recall"])
                for subset in SUBSETS
            }
    except KeyError as error:
        raise FacedetError(f"{path} holds no WIDER FACE curves: {error.args[0]}") from error
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise FacedetError(f"{path} cannot be read: {error}") from error
    try:
        report = json.loads(described.read_text(encoding="utf-8"))
        # A part of the pictures, or other test scales, must not be listed unlabelled.
        own = f"own: {report['protocol']}, {report['images']:,} images"
        made_with = comparable(report)
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise FacedetError(f"{described} names no protocol and images: {error}") from error
    cost, note = _cost(folder, report, with_latency)
    name = name or folder.name
    return _method(name, own, curves, made_with, cost), f"{name}: {note}" if note else ""


def _method(
    name: str,
    own: str,
    curves: dict[str, Curve],
    made_with: dict[str, Any],
    cost: Cost | None = None,
) -> Method:
    values = {
        subset: average_precision(*map(torch.from_numpy, curve)).item()
        for subset, curve in curves.items()
    }
    return Method(name, own, curves, values, made_with, cost)


def _cost(folder: Path, report: Mapping[str, Any], with_latency: bool) -> tuple[Cost | None, str]:
    """The cost of a run's network, None where it is not known, and a note on why.

    metrics.json holds the network's config. Runs that recorded none may name their weights file,
    which is looked for at the place written down, in the folder, and in the current one.
    """
    weights = report.get("weights")
    if report.get("network"):
        net = build_untrusted(report["network"], f"{folder / 'metrics.json'}").eval()
    elif isinstance(weights, dict):
        named = [Path(str(weights[key])) for key in ("path", "file") if weights.get(key)]
        places = [place for one in named for place in (one, folder / one.name)]
        path = next((place for place in places if place.is_file()), None)
        if path is None:
            return None, ""
        read = read_weights(path)
        if read.info["sha256"] != weights.get("sha256"):
            return None, (
                f"{path} is not the file of the run (SHA-256 {read.info['sha256'][:12]}, expected "
                f"{str(weights.get('sha256'))[:12]}): no cost is given"
            )
        net = build_net(read, path)
    else:
        return None, ""
    cost = measure_cost(net, SIZE)
    latency = network_latency(net, SIZE).median if with_latency else None
    return Cost(cost.parameters, cost.madds, latency), ""


def find_differences(methods: Sequence[Method]) -> list[Difference]:
    """What own results do not share with each other or with the published ones.

    Raises:
        UsageError: two methods have the same name.
    """
    names = [method.name for method in methods]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"{name} stands for two results: name one of them, --run NAME=FOLDER")
    own = {method.name: method.made_with for method in methods if method.own}
    return differences(own | {PUBLISHED: PUBLISHED_WIDER}) if own else []


def make_table(
    methods: Sequence[Method], differing: Sequence[Difference], decimals: int
) -> list[list[str]]:
    """Rows of texts, the header first: name, AP by subset, known costs, origin, differences."""
    costs = _cost_columns(methods)
    rows = [["method", *SUBSETS, *costs, "own", "unlike"]]
    for place, one in enumerate(methods):
        values = [f"{one.values[subset]:.{decimals}f}" for subset in SUBSETS]
        # The origin of an own result names its protocol and pictures already.
        named = ("protocol", "images") if one.own else ()
        unlike = [
            f"{diff.key} {written(one.made_with[diff.key])}"
            for diff in differing
            if diff.key in one.made_with and diff.key not in named
        ]
        cells = [column[place] for column in costs.values()]
        rows.append([one.name, *values, *cells, one.own, "; ".join(unlike)])
    return rows


def _cost_columns(methods: Sequence[Method]) -> dict[str, list[str]]:
    """Cells of the columns of costs in which a method has a value; "–" where one is not known."""
    costs = [one.cost for one in methods]
    cells = {
        "params M": [f"{cost.parameters / 1e6:.4f}" if cost else "–" for cost in costs],
        "madds G": [f"{cost.madds / 1e9:.3f}" if cost else "–" for cost in costs],
        "latency ms": [
            f"{1e3 * cost.latency:.1f}" if cost and cost.latency else "–" for cost in costs
        ],
    }
    return {head: column for head, column in cells.items() if set(column) != {"–"}}


def save_comparison(
    folder: Path, methods: Sequence[Method], best: int, differing: Sequence[Difference]
) -> None:
    """Writes comparison.csv, and pictures of all own curves and the `best` published ones."""
    with replacing_table(folder / "comparison.csv") as table:
        table.writerows(make_table(methods, differing, decimals=6))
    note = " (not measured alike)" if differing else ""
    for subset in SUBSETS:
        ranked = sorted(methods, key=lambda method: -method.values[subset])
        published = [method for method in ranked if not method.own][:best]
        drawn = [method for method in ranked if method.own] + published
        curves = {method.name: method.curves[subset] for method in drawn}
        values = {method.name: method.values[subset] for method in drawn}
        title = f"WIDER FACE val, {subset}{note}"
        plot_precision_recall(folder / f"precision_recall_{subset}.png", curves, values, title)
    _draw_costs(folder / "ap_over_madds.png", methods, f"WIDER FACE val, hard{note}")


def _draw_costs(path: Path, methods: Sequence[Method], title: str) -> None:
    """Draws the AP on hard faces over multiply-adds where two methods or more have them."""
    known = [
        (method.cost.madds / 1e9, method.values[SUBSETS[-1]], method.name)
        for method in methods
        if method.cost
    ]
    if len(known) < 2:
        # An earlier comparison's picture would be taken for this one's.
        path.unlink(missing_ok=True)
        return
    points = [
        Point(madds, ap, None, name, all(ap >= other for cost, other, _ in known if cost <= madds))
        for madds, ap, name in known
    ]
    plot_trade_off(path, {"multiply-adds at 640 x 640 px, G": points}, "AP", title)
