"""`facedet compare`: own results on WIDER FACE beside the published ones."""

from __future__ import annotations

import argparse
import json
import sys
import zipfile
from pathlib import Path
from typing import NamedTuple

import numpy as np

from facedet.commands.option_types import count
from facedet.data.wider_annotations import SUBSETS
from facedet.data.wider_curves import read_wider_curves
from facedet.errors import FacedetError, UsageError
from facedet.plots import plot_precision_recall
from facedet.replacing import replacing_table

HELP = """Put own results on WIDER FACE beside published ones: a table of the AP on easy, medium and
hard faces, best on hard faces first, and their precision-recall curves. Own results are output
folders of `facedet score` and `facedet evaluate`; the published ones are curves in the official
tools' layout, METHOD/wider_pr_info_*_SUBSET_val.mat."""
EXAMPLE = """example:
  facedet compare --curves eval_tools/plot/baselines/val --run EXTD-64=outputs/extd64"""


class Method(NamedTuple):
    """One line of the table."""

    name: str
    own: str  # how an own result came about; "" for a published one
    curves: dict[str, tuple[np.ndarray, np.ndarray]]  # by subset, precision [T] and recall [T]
    values: dict[str, float]  # by subset, the AP


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


def run(args: argparse.Namespace) -> int:
    """Compares, prints, and writes the files asked for."""
    methods = [
        _method(
            curves[SUBSETS[0]].legend or folder,
            "",
            {subset: (curve.precision, curve.recall) for subset, curve in curves.items()},
        )
        for folder, curves in read_wider_curves(args.curves).items()
    ]
    methods += [_read_run(text) for text in args.run]
    names = [method.name for method in methods]
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise UsageError(f"{twice[0]} stands for two results: name one of them, --run NAME=FOLDER")
    methods.sort(key=lambda method: -method.values[SUBSETS[-1]])
    if args.output:
        _save(args.output, methods, args.best)
    width = max(len(method.name) for method in methods) + 2
    print("  ".join(["".ljust(width), *(f"{subset:>6}" for subset in SUBSETS)]))
    for method in methods:
        values = [f"{method.values[subset]:6.4f}" for subset in SUBSETS]
        print("  ".join([method.name.ljust(width), *values, method.own]).rstrip())
    if not args.run:
        print("facedet compare: no --run was given, these are the published ones", file=sys.stderr)
    return 0


def _method(name: str, own: str, curves: dict[str, tuple[np.ndarray, np.ndarray]]) -> Method:
    import torch

    from facedet.metrics.functional import average_precision

    values = {
        subset: average_precision(*map(torch.from_numpy, curve)).item()
        for subset, curve in curves.items()
    }
    return Method(name, own, curves, values)


def _read_run(text: str) -> Method:
    """An output folder, with its name before "=" or as its own."""
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
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise FacedetError(f"{described} does not tell of protocol and images: {error}") from error
    return _method(name or Path(folder).name, own, curves)


def _save(folder: Path, methods: list[Method], best: int) -> None:
    """Writes comparison.csv, and pictures of all own curves and the best published ones."""
    with replacing_table(folder / "comparison.csv") as table:
        table.writerow(["method", *SUBSETS, "own"])
        for one in methods:
            numbers = [f"{one.values[subset]:.6f}" for subset in SUBSETS]
            table.writerow([one.name, *numbers, one.own])
    for subset in SUBSETS:
        ranked = sorted(methods, key=lambda method: -method.values[subset])
        published = [method for method in ranked if not method.own][:best]
        drawn = [method for method in ranked if method.own] + published
        curves = {method.name: method.curves[subset] for method in drawn}
        values = {method.name: method.values[subset] for method in drawn}
        title = f"WIDER FACE val, {subset}"
        plot_precision_recall(folder / f"precision_recall_{subset}.png", curves, values, title)
