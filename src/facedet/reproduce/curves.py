"""Experiments on published curves: table A of WIDER FACE and what follows from it, and FDDB."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from facedet.data.readers.wider_annotations import SUBSETS
from facedet.evaluation.text_curves import read_roc_curves
from facedet.evaluation.wider_curves import PublishedCurve, read_wider_curves
from facedet.plots import plot_precision_recall
from facedet.reproduce.experiments import Outcome, Run, read_published

_IMAGES = 3226
_DRAWN = 8

Methods = dict[str, dict[str, PublishedCurve]]
Values = dict[str, float | int | str]


def curves_table(run: Run) -> Outcome:
    """A: the AP of every published curve, to four digits."""
    methods, problems = _read(run)
    expected = {name: (_shown(one), "computed") for name, one in read_published().items()}
    values: Values = {
        name: _shown(values_of(methods[name])) for name in expected if name in methods
    }
    return Outcome(
        values | problems, _IMAGES, files=[_draw(run.folder, methods)], expected=expected
    )


def curves_compared(
    run: Run, ours: Mapping[str, float], below: Sequence[str], above: Sequence[str]
) -> Outcome:
    """S11: where a published detector stands among the curves.

    Args:
        run: with the curves.
        ours: its published AP, by subset.
        below: methods that it is said to be better than on hard faces.
        above: subsets of which the methods with a higher AP are named.
    """
    methods, problems = _read(run)
    table = {name: dict(zip(SUBSETS, values_of(one), strict=True)) for name, one in methods.items()}
    values: Values = {
        f"points above {name} on {subset}": 100 * (value - table[name][subset])
        for subset, value in ours.items()
        for name in below
        if name in table
    }
    for subset in above:
        higher = sorted(name for name, row in table.items() if row[subset] > ours[subset])
        values[f"methods above it on {subset}"] = ", ".join(higher)
    return Outcome(values | problems, _IMAGES)


def curves_drawing(run: Run) -> Outcome:
    """E10: the figure of precision over recall; own results join by `facedet compare`."""
    methods, problems = _read(run)
    drawn: Values = {"curves drawn": f"{min(_DRAWN, len(methods))} of {len(methods)}"}
    return Outcome(drawn | problems, _IMAGES, files=[_draw(run.folder, methods)])


def fddb_rates(run: Run) -> Outcome:
    """F: the true positive rates of published curves on FDDB at 1,000 false positives."""
    methods = read_roc_curves(run.resources["fddb_curves"], (1000,))
    return Outcome({name: curves["1,000 FP"].value for name, curves in methods.items()}, 2845)


def values_of(curves: dict[str, PublishedCurve]) -> tuple[float, float, float]:
    """AP of one method on easy, medium and hard."""
    easy, medium, hard = (curves[subset].value for subset in SUBSETS)
    return easy, medium, hard


def _read(run: Run) -> tuple[Methods, Values]:
    """The curves, and what to report of methods whose files cannot be read."""
    problems: list[str] = []
    methods = read_wider_curves(run.resources["curves"], problems)
    return methods, {f"not read ({number})": one for number, one in enumerate(problems, start=1)}


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
