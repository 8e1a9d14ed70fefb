"""Experiments on WIDER FACE's published curves: table A, and what follows from it."""

from pathlib import Path

import torch

from facedet.data.readers.wider_annotations import SUBSETS
from facedet.evaluation.wider_curves import PublishedCurve, read_wider_curves
from facedet.metrics.functional import average_precision
from facedet.plots import plot_precision_recall
from facedet.reproduce.experiments import COMPUTED, Outcome, Resources, Result
from facedet.reproduce.published import SMALLHARDFACE_WIDER, WIDER_VAL

_IMAGES = 3226
_PROTOCOL = "AP of WIDER FACE val, from curves"
_DRAWN = 8

Methods = dict[str, dict[str, PublishedCurve]]


def recompute_table(resources: Resources, folder: Path) -> Outcome:
    """Table A: the AP of every published curve, to four digits."""
    methods = read_methods(resources["curves"])
    results = []
    for name, expected in WIDER_VAL.items():
        if name in methods:
            ours = values_of(methods[name])
            holds = _shown(ours) == _shown(expected)
            results.append(Result(name, _shown(ours), _shown(expected), COMPUTED, holds))
        else:
            results.append(Result(name, "no curve here", _shown(expected), COMPUTED))
    return Outcome(results, _PROTOCOL, _IMAGES, files=[draw(folder, methods)])


def compare_smallhardface(resources: Resources, folder: Path) -> Outcome:
    """S11: where the paper's numbers stand among the published curves."""
    table = {name: values_of(curves) for name, curves in read_methods(resources["curves"]).items()}
    hard = SMALLHARDFACE_WIDER[2]
    above = sorted(name for name, values in table.items() if values[2] > hard)
    # Both sides are published: that they fit together proves nothing about a run of ours.
    results = [
        Result(
            f"points above {name} on hard",
            f"{100 * (hard - table[name][2]):.1f}",
            f"{points:.1f}",
            COMPUTED,
        )
        for name, points in {"PyramidBox": 0.8, "SFD": 3.8}.items()
        if name in table
    ]
    results.append(Result("methods above it on hard", ", ".join(above), "DSFD, FAN, SRN", COMPUTED))
    return Outcome(
        results,
        f"{_PROTOCOL}; SmallHardFace's own values are the paper's, not ours",
        _IMAGES,
        short_of="weights of SmallHardFace, see S2; both sides here are published numbers",
    )


def draw_curves(resources: Resources, folder: Path) -> Outcome:
    """E10: the figure of precision over recall; own results join by `facedet compare`."""
    methods = read_methods(resources["curves"])
    return Outcome(
        [Result("curves drawn", f"{min(_DRAWN, len(methods))} of {len(methods)}")],
        _PROTOCOL,
        _IMAGES,
        short_of="EXTD's result files of all 3,226 pictures",
        files=[draw(folder, methods)],
    )


def draw(folder: Path, methods: Methods, subset: str = SUBSETS[-1]) -> str:
    """Draws the best curves of a subset; returns the file's name."""
    values = {name: values_of(curves)[SUBSETS.index(subset)] for name, curves in methods.items()}
    best = sorted(values, key=lambda name: -values[name])[:_DRAWN]
    path = folder / f"curves_{subset}.png"
    plot_precision_recall(
        path,
        {name: (methods[name][subset].precision, methods[name][subset].recall) for name in best},
        {name: values[name] for name in best},
        f"WIDER FACE val, {subset}, {_IMAGES:,} images, published curves",
    )
    return path.name


def values_of(curves: dict[str, PublishedCurve]) -> tuple[float, float, float]:
    """AP of one method on easy, medium and hard."""
    easy, medium, hard = (
        average_precision(
            torch.from_numpy(curves[subset].precision), torch.from_numpy(curves[subset].recall)
        ).item()
        for subset in SUBSETS
    )
    return easy, medium, hard


def read_methods(folder: Path) -> Methods:
    """The methods by the name in the official figures."""
    return {
        curves[SUBSETS[0]].legend or folder: curves
        for folder, curves in read_wider_curves(folder).items()
    }


def _shown(values: tuple[float, float, float]) -> str:
    return " / ".join(f"{value:.4f}" for value in values)
