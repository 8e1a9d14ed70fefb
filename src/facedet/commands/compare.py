"""`facedet compare`: own results on WIDER FACE beside the published ones."""

from __future__ import annotations

import argparse
import json
import sys
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from facedet.commands.option_types import count
from facedet.data.readers.wider_annotations import SUBSETS
from facedet.data.readers.wider_curves import read_wider_curves
from facedet.errors import FacedetError, UsageError
from facedet.evaluation.provenance import (
    PUBLISHED_WIDER,
    Difference,
    comparable,
    differences,
    tell,
    written,
)
from facedet.files import replacing_table
from facedet.plots import plot_precision_recall

if TYPE_CHECKING:
    from facedet.evaluation.run_costs import RunCost

HELP = """Put own results on WIDER FACE beside published ones: a table of the AP on easy, medium and
hard faces, best on hard faces first, and their precision-recall curves. Own results are output
folders of `facedet score` and `facedet evaluate`; the published ones are curves in the official
tools' layout, METHOD/wider_pr_info_*_SUBSET_val.mat. Own results whose network is known also get
parameters (M) and multiply-adds (G, every use counted, 640 x 640 px).
Results that were not measured alike (protocol, scales, merging, pictures, rounding of the IoU) are
refused; published ones are of all 3,226 pictures, and nothing is known of their scales."""
EXAMPLE = """examples:
  facedet compare --curves eval_tools/plot/baselines/val --run EXTD-64=outputs/extd64
  facedet compare --curves val --run A=outputs/a --run B=outputs/b --unlike --latency"""

_PUBLISHED = "the published ones"


class Method(NamedTuple):
    """One line of the table."""

    name: str
    own: str  # how an own result came about; "" for a published one
    curves: dict[str, tuple[np.ndarray, np.ndarray]]  # by subset, precision [T] and recall [T]
    values: dict[str, float]  # by subset, the AP
    stamp: dict[str, Any]  # what must be alike in comparable results
    cost: RunCost | None = None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    parser.add_argument("--curves", type=Path, required=True, help="folder of published curves")
    parser.add_argument(
        "--run",
        action="append",
        default=[],
        metavar="[NAME=]FOLDER",
        help="an output folder with curves.npz; may be given several times",
    )
    parser.add_argument(
        "--best", type=count, default=8, help="published curves drawn, the best so many; default: 8"
    )
    parser.add_argument("--output", type=Path, help="folder for the table and the curves")
    parser.add_argument(
        "--unlike", action="store_true", help="compare what was not measured alike, and say so"
    )
    parser.add_argument(
        "--latency", action="store_true", help="time the own networks on this machine, 640 x 640 px"
    )


def run(args: argparse.Namespace) -> int:
    """Compares, prints, and writes the files asked for."""
    methods = [
        _method(
            curves[SUBSETS[0]].legend or folder,
            "",
            {subset: (curve.precision, curve.recall) for subset, curve in curves.items()},
            PUBLISHED_WIDER,
        )
        for folder, curves in read_wider_curves(args.curves).items()
    ]
    methods += [_read_run(text, args.latency) for text in args.run]
    names = [method.name for method in methods]
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise UsageError(f"{twice[0]} stands for two results: name one of them, --run NAME=FOLDER")
    differing = _differences(methods)
    if differing and not args.unlike:
        raise UsageError(
            f"the results were not measured alike: {tell(differing)}; --unlike compares them all "
            "the same"
        )
    methods = [_tell_unlike(method, differing) for method in methods]
    methods.sort(key=lambda method: -method.values[SUBSETS[-1]])
    if args.output:
        _save(args.output, methods, args.best, differing)
    _print(methods)
    if differing:
        print(f"facedet compare: not measured alike: {tell(differing)}", file=sys.stderr)
    if not args.run:
        print("facedet compare: no --run was given, these are the published ones", file=sys.stderr)
    return 0


def _differences(methods: list[Method]) -> list[Difference]:
    """What the own results do not share with each other, or with the published ones."""
    stamps = {method.name: method.stamp for method in methods if method.own}
    return differences(stamps | {_PUBLISHED: PUBLISHED_WIDER}) if stamps else []


def _tell_unlike(method: Method, differing: list[Difference]) -> Method:
    """The method, its column saying what else than protocol and pictures is unlike."""
    unlike = [key for key in _unlike(method, differing) if key not in ("protocol", "images")]
    if not method.own or not unlike:
        return method
    told = [f"{key} {written(method.stamp[key])}" for key in unlike]
    return method._replace(own=", ".join([method.own, *told]))


def _unlike(method: Method, differing: list[Difference]) -> list[str]:
    """The keys of the method's stamp in which not all results agree."""
    return [one.key for one in differing if one.key in method.stamp]


def _print(methods: list[Method]) -> None:
    """The table for a reader."""
    columns = _cost_columns(methods)
    width = max(len(method.name) for method in methods) + 2
    heads = [f"{subset:>6}" for subset in SUBSETS] + [f"{head:>10}" for head in columns]
    print("  ".join(["".ljust(width), *heads]))
    for place, method in enumerate(methods):
        values = [f"{method.values[subset]:6.4f}" for subset in SUBSETS]
        values += [f"{column[place]:>10}" for column in columns.values()]
        print("  ".join([method.name.ljust(width), *values, method.own]).rstrip())


def _cost_columns(methods: list[Method]) -> dict[str, list[str]]:
    """Cells of the columns of costs that a method has a value in; "–" where one is not known."""
    cells = {
        "params M": [f"{one.cost.parameters / 1e6:.4f}" if one.cost else "–" for one in methods],
        "madds G": [f"{one.cost.madds / 1e9:.3f}" if one.cost else "–" for one in methods],
        "latency ms": [
            f"{1e3 * one.cost.latency:.1f}" if one.cost and one.cost.latency else "–"
            for one in methods
        ],
    }
    return {head: column for head, column in cells.items() if set(column) != {"–"}}


def _method(
    name: str,
    own: str,
    curves: dict[str, tuple[np.ndarray, np.ndarray]],
    stamp: dict[str, Any],
    cost: RunCost | None = None,
) -> Method:
    import torch

    from facedet.metrics.functional import average_precision

    values = {
        subset: average_precision(*map(torch.from_numpy, curve)).item()
        for subset, curve in curves.items()
    }
    return Method(name, own, curves, values, stamp, cost)


def _read_run(text: str, with_latency: bool) -> Method:
    """An output folder, with its name before "=" or as its own."""
    from facedet.evaluation.run_costs import run_cost

    name, _, folder = text.rpartition("=")
    if not folder:
        raise UsageError(f"--run {text}: wanted NAME=FOLDER or FOLDER")
    path, described = Path(folder) / "curves.npz", Path(folder) / "metrics.json"
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
        # A part of the pictures, or other test scales, is no result to stand beside unlabelled.
        own = f"own: {report['protocol']}, {report['images']:,} images"
        stamp = comparable(report)
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise FacedetError(f"{described} does not tell of protocol and images: {error}") from error
    name = name or Path(folder).name
    return _method(name, own, curves, stamp, run_cost(name, Path(folder), report, with_latency))


def _save(folder: Path, methods: list[Method], best: int, differing: list[Difference]) -> None:
    """Writes comparison.csv, and pictures of all own curves and the best published ones."""
    columns = _cost_columns(methods)
    with replacing_table(folder / "comparison.csv") as table:
        table.writerow(["method", *SUBSETS, "own", *columns, "unlike"])
        for place, one in enumerate(methods):
            numbers = [f"{one.values[subset]:.6f}" for subset in SUBSETS]
            costs = [column[place] for column in columns.values()]
            unlike = [f"{key} {written(one.stamp[key])}" for key in _unlike(one, differing)]
            table.writerow([one.name, *numbers, one.own, *costs, "; ".join(unlike)])
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


def _draw_costs(path: Path, methods: list[Method], title: str) -> None:
    """Draws the AP on hard faces over multiply-adds where two methods or more have them."""
    from facedet.plots import Point, plot_trade_off
    from facedet.sweeps.statistics import pareto_front

    known = [(method, method.cost.madds / 1e9) for method in methods if method.cost]
    if len(known) < 2:
        # An earlier comparison's picture would be taken for this one's.
        path.unlink(missing_ok=True)
        return
    values = [method.values[SUBSETS[-1]] for method, _ in known]
    fronts = pareto_front([madds for _, madds in known], values)
    points = [
        Point(madds, value, None, method.name, is_best)
        for (method, madds), value, is_best in zip(known, values, fronts, strict=True)
    ]
    plot_trade_off(path, {"multiply-adds at 640 x 640 px, G": points}, "AP", title)
