"""Experiments that run no network: costs and counts, and what follows from published curves."""

from collections.abc import Mapping, Sequence

import torch

from facedet.config import build, compose
from facedet.data.readers.wider import read_wider_annotations
from facedet.data.readers.wider_annotations import SUBSETS
from facedet.evaluation.published_curves import Curve, Methods, read_roc_curves, read_wider_curves
from facedet.plots import plot_precision_recall
from facedet.profiling.cost import measure_cost
from facedet.reproduce.experiments import Outcome, Run, Values, read_published

PARAMETERS, PAPER, TRUE = "parameters", "G as the paper counts", "G with every use"
_IMAGES = 3226  # of WIDER FACE val
_DRAWN = 8


def costs(
    run: Run, presets: Mapping[str, str], counts: Sequence[str], reference: str = ""
) -> Outcome:
    """E1 to E3: what networks cost at 640 x 640, and how many times less than the reference.

    `presets` are by the name in the report, of which `reference` is one; `counts` are of
    `PARAMETERS`, `PAPER` and `TRUE`.
    """
    rows = {}
    for name, preset in presets.items():
        with torch.device("meta"):
            cost = measure_cost(build(compose("network", [f"preset={preset}"]).model.net))
        rows[name] = {PARAMETERS: cost.parameters, TRUE: cost.madds / 1e9}
        if cost.madds_paper is not None:
            rows[name][PAPER] = cost.madds_paper / 1e9
    values: Values = {}
    for count in counts:
        values |= {f"{count}, {name}": row[count] for name, row in rows.items()}
        for name, row in rows.items():
            if reference and name != reference:
                ratio = rows[reference][count] / row[count]
                values[f"{count}, {reference} over {name}"] = ratio
    return Outcome(values)


def training_images(run: Run) -> Outcome:
    """S13: the training images, before and after a mirrored copy of each."""
    reading = read_wider_annotations(run.resources["wider"], "train", faceless="keep")
    images = len(reading.records)
    return Outcome({"training images": images, "with mirrored copies": 2 * images}, images)


def curves_table(run: Run) -> Outcome:
    """A: the AP of every published curve, to four digits."""
    methods, problems = read_curves(run)
    expected = {name: (_shown(one), "computed") for name, one in read_published().items()}
    values = {name: _shown(values_of(methods[name])) for name in expected if name in methods}
    return Outcome(values | problems, _IMAGES, files=[_draw_hard(run, methods)], expected=expected)


def curves_compared(
    run: Run, ours: Mapping[str, float], below: Sequence[str], above: Sequence[str]
) -> Outcome:
    """S11: where a published detector stands among the curves.

    `ours` is its AP by subset; it is said to be better than the methods `below`, and of the
    subsets `above` the methods with a higher AP are named.
    """
    methods, problems = read_curves(run)
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
    methods, problems = read_curves(run)
    drawn: Values = {"curves drawn": f"{min(_DRAWN, len(methods))} of {len(methods)}"}
    return Outcome(drawn | problems, _IMAGES, files=[_draw_hard(run, methods)])


def fddb_rates(run: Run) -> Outcome:
    """F: the true positive rates of published curves on FDDB at 1,000 false positives."""
    methods = read_roc_curves(run.resources["fddb_curves"], (1000,))
    return Outcome({name: curves["1,000 FP"].value for name, curves in methods.items()}, 2845)


def values_of(curves: Mapping[str, Curve]) -> tuple[float, float, float]:
    """AP of one method on easy, medium and hard."""
    easy, medium, hard = (curves[subset].value for subset in SUBSETS)
    return easy, medium, hard


def read_curves(run: Run) -> tuple[Methods, Values]:
    """The curves, and what to report of methods whose files cannot be read."""
    problems: list[str] = []
    methods = read_wider_curves(run.resources["curves"], problems)
    return methods, {f"not read ({number})": one for number, one in enumerate(problems, start=1)}


def _draw_hard(run: Run, methods: Methods) -> str:
    """Draws the best curves on hard faces; returns the file's name."""
    values = {name: values_of(curves)[-1] for name, curves in methods.items()}
    best = sorted(values, key=lambda name: -values[name])[:_DRAWN]
    hard = {name: methods[name]["hard"] for name in best}
    plot_precision_recall(
        run.folder / "curves_hard.png",
        {name: (curve.y, curve.x) for name, curve in hard.items()},
        {name: values[name] for name in best},
        f"WIDER FACE val, hard, {_IMAGES:,} images, published curves",
    )
    return "curves_hard.png"


def _shown(values: tuple[float, float, float]) -> str:
    return " / ".join(f"{value:.4f}" for value in values)
