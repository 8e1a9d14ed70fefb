"""Experiments on published curves: table A of WIDER FACE and what follows from it, and FDDB."""

from collections.abc import Sequence
from pathlib import Path

from facedet.data.readers.wider_annotations import SUBSETS
from facedet.evaluation.text_curves import read_roc_curves
from facedet.evaluation.wider_curves import PublishedCurve, read_wider_curves
from facedet.plots import plot_precision_recall
from facedet.reproduce.experiments import Outcome, Run, read_published

_IMAGES = 3226
_DRAWN = 8

Methods = dict[str, dict[str, PublishedCurve]]


def curves_table(run: Run) -> Outcome:
    """A: the AP of every published curve, to four digits."""
    methods = read_wider_curves(run.resources["curves"])
    expected = {name: (_shown(one), "computed") for name, one in read_published().items()}
    values = {name: _shown(values_of(methods[name])) for name in expected if name in methods}
    return Outcome(values, _IMAGES, files=[_draw(run.folder, methods)], expected=expected)


def curves_compared(run: Run, hard: float, methods: Sequence[str]) -> Outcome:
    """S11: where a published AP on hard faces stands among the curves of `methods`."""
    curves = read_wider_curves(run.resources["curves"])
    table = {name: values_of(one)[2] for name, one in curves.items()}
    values: dict[str, float | int | str] = {
        f"points above {name} on hard": 100 * (hard - table[name])
        for name in methods
        if name in table
    }
    above = sorted(name for name, value in table.items() if value > hard)
    return Outcome({**values, "methods above it on hard": ", ".join(above)}, _IMAGES)


def curves_drawing(run: Run) -> Outcome:
    """E10: the figure of precision over recall; own results join by `facedet compare`."""
    methods = read_wider_curves(run.resources["curves"])
    drawn = f"{min(_DRAWN, len(methods))} of {len(methods)}"
    return Outcome({"curves drawn": drawn}, _IMAGES, files=[_draw(run.folder, methods)])


def fddb_rates(run: Run) -> Outcome:
    """F: the true positive rates of published curves on FDDB at 1,000 false positives."""
    methods = read_roc_curves(run.resources["fddb_curves"], (1000,))
    return Outcome({name: curves["1,000 FP"].value for name, curves in methods.items()}, 2845)


def values_of(curves: dict[str, PublishedCurve]) -> tuple[float, float, float]:
    """AP of one method on easy, medium and hard."""
    easy, medium, hard = (curves[subset].value for subset in SUBSETS)
    return easy, medium, hard


def _draw(folder: Path, methods: Methods, subset: str = SUBSETS[-1]) -> str:
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


def _shown(values: tuple[float, float, float]) -> str:
    return " / ".join(f"{value:.4f}" for value in values)
