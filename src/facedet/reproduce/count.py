"""Experiments that count: parameters, multiply-adds, pictures. No picture is opened."""

from collections.abc import Mapping, Sequence

import torch

from facedet.config import build, compose
from facedet.data.readers.wider import read_wider_annotations
from facedet.profiling.cost import measure_cost
from facedet.reproduce.experiments import Outcome, Run

PARAMETERS, PAPER, TRUE = "parameters", "G as the paper counts", "G with every use"


def costs(
    run: Run, presets: Mapping[str, str], counts: Sequence[str], reference: str = ""
) -> Outcome:
    """E1 to E3: what networks cost at 640 x 640, and how many times less than the reference.

    Args:
        run: unused; nothing is needed.
        presets: by the name in the report.
        counts: of `PARAMETERS`, `PAPER` and `TRUE`.
        reference: a name of `presets` that the others are compared with.
    """
    rows = {name: _counted(preset) for name, preset in presets.items()}
    values: dict[str, float | int | str] = {}
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


def _counted(preset: str) -> dict[str, float]:
    with torch.device("meta"):
        net = build(compose("network", [f"preset={preset}"]).model.net)
    cost = measure_cost(net)
    counted = {PARAMETERS: cost.parameters, TRUE: cost.madds / 1e9}
    return counted if cost.madds_paper is None else counted | {PAPER: cost.madds_paper / 1e9}
