"""Experiments that run networks over pictures: their AP, their times, their detections."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from facedet.api import load
from facedet.config import compose, literal
from facedet.evaluation.application import evaluate_sweep
from facedet.evaluation.contenders import (
    contender_of_preset,
    contender_of_weights,
    square_picture,
)
from facedet.evaluation.diagnosis.plots import SOLVED
from facedet.evaluation.run import evaluate
from facedet.evaluation.wider_curves import read_wider_curves
from facedet.files import replacing_table
from facedet.plots import Box, draw_boxes, save_picture
from facedet.profiling.latency import Contender, measure_sizes, noise
from facedet.reproduce.count import PARAMETERS, TRUE, costs
from facedet.reproduce.curves import values_of
from facedet.reproduce.experiments import Judged, Outcome, Run
from facedet.weights.zoo import DEFAULT

_FACE = 0.5
_RUNS = 7
# EXTD's release times square pictures of 280 to 2,280 px, 40 px apart, 1,500 times each, and drops
# the first 501 runs. By budget: pixels between two sizes, and runs that count.
_PROTOCOL_SIDES = range(280, 2281, 40)
_SIZES = {"smoke": (1000, 1), "short": (200, 3), "paper": (40, 999)}
Values = dict[str, float | int | str | Judged]


def benchmark(
    run: Run,
    networks: Mapping[str, str],
    protocol: str,
    data: str = "wider",
    resource: str = "wider",
) -> Outcome:
    """E4, E6, S2, S4 to S6: weights on a benchmark; those that are not there are left out.

    Args:
        run: with the data and weights.
        networks: by the name in the report, the resource that their weights are.
        protocol: of the evaluation.
        data: the data set's config.
        resource: the data.
    """
    values: Values = {}
    weights, files, short_of, images = [], [], "", 0
    for name, one in networks.items():
        if one not in run.resources:
            values[name] = "not run: no weights"
            continue
        place = run.folder / _limited(name, run.limit)
        report = evaluate_weights(
            run.resources[resource],
            run.resources[one],
            protocol,
            place,
            data=data,
            limit=run.limit,
        )
        values |= {f"{name} {key}": value for key, value in _numbers(report).items()}
        weights.append(weights_of(report))
        files += [f"{place.name}/{path.name}" for path in sorted(place.glob("*.png"))]
        images, short_of = report["images"], missing_pictures(report)
    return Outcome(values, images, "; ".join(weights), short_of, files)


def points_below(run: Run, methods: Sequence[str]) -> Outcome:
    """E9: how far the released FPN-64 is below others on hard faces, in hundredths of AP."""
    # E4's evaluation: what it has found is not detected again.
    place = run.folder.parent / "E4" / _limited("FPN-64", run.limit)
    report = evaluate_weights(
        run.resources["wider"], run.resources["extd_64"], "wider", place, limit=run.limit
    )
    problems: list[str] = []
    curves = read_wider_curves(run.resources["curves"], problems)
    values: Values = {
        f"points below {name} on hard": 100 * (values_of(curves[name])[-1] - report["wider/hard"])
        for name in methods
        if name in curves
    }
    values |= {f"not read ({number})": one for number, one in enumerate(problems, start=1)}
    return Outcome(values, report["images"], weights_of(report), missing_pictures(report))


def pyramid(run: Run) -> Outcome:
    """S9: SmallHardFace with each choice of sizes of `sweeps/shf_pyramid.yaml`."""
    root, weights = run.resources["wider"], run.resources["smallhardface"]
    settings = _settings(root, weights, "wider_shf", run.folder, limit=run.limit)
    reports = evaluate_sweep("shf_pyramid", settings, run.folder / "sweep")
    values: Values = {}
    for report in reports:
        sides = ", ".join(map(str, report["settings"]["scales"]["sides"]))
        values |= {f"{key} of {sides}": value for key, value in _numbers(report).items()}
    last = reports[-1]
    return Outcome(values, last["images"], weights_of(last), missing_pictures(last))


def single_images(run: Run) -> Outcome:
    """S1: the AP of single training images; EXTD-64 stands in for SSH, whose model is missing."""
    root, place = run.resources["wider"], run.folder / _limited("evaluation", run.limit)
    report = evaluate_weights(
        root, run.resources["extd_64"], "wider_single", place, split="train", limit=run.limit
    )
    run.call("diagnose", "--run", str(place), "--data", str(root))
    with (place / "diagnosis" / "image_ap.csv").open(newline="", encoding="utf-8") as stream:
        values = [float(row["AP"]) for row in csv.DictReader(stream) if row["AP"]]
    share = sum(value >= SOLVED for value in values) / max(1, len(values))
    counts: Values = {
        "share of images with AP 1": share,
        "images with faces that count": len(values),
    }
    figures = [f"{place.name}/diagnosis/image_ap.png"]
    return Outcome(counts, report["images"], weights_of(report), files=figures)


def examples(run: Run) -> Outcome:
    """E12: a free picture that shows one face, from scikit-image."""
    from skimage.data import astronaut

    weights = run.resources["extd_64"]
    picture = astronaut()
    found = load(weights, score=_FACE).detect(picture)
    boxes = [
        Box(box, text=f"{score:.2f}")
        for box, score in zip(found.boxes.tolist(), found.scores.tolist(), strict=True)
    ]
    save_picture(run.folder / "astronaut.jpg", draw_boxes(picture, boxes))
    count = {"faces in scikit-image's astronaut": len(boxes)}
    return Outcome(count, 1, weights.name, files=["astronaut.jpg"])


def times(
    run: Run, presets: Mapping[str, str], sides: Sequence[int], slower: Sequence[str]
) -> Outcome:
    """S10: costs, and times over square pictures of noise, of the first network and others.

    Args:
        run: for the table.
        presets: by the name in the report; the first is compared with the others.
        sides: of the pictures, px.
        slower: names of those that are said to be slower than the first. That is so where the 10th
            percentile of the pairs of runs is above 1, and contradicted where the 90th is below.
    """
    contenders = [
        contender_of_preset(preset)._replace(name=name) for name, preset in presets.items()
    ]
    rows = _measured(run, contenders, [noise((side, side)) for side in sides], _RUNS)
    values: Values = dict(costs(run, presets, (PARAMETERS, TRUE)).values)
    first = contenders[0].name
    for row in rows:
        name, side = row["network"], row["width"]
        values[f"{name} at {side} px"] = _time(row)
        if name in slower:
            least, ratio, most = (row[key] for key in ("ratio_low", "ratio", "ratio_high"))
            text = f"{name} takes {ratio:.2f} x its time ({least:.2f} to {most:.2f})"
            holds = None if least <= 1 <= most else least > 1
            why = f"undecided: {text}" if holds is None else ""
            values[f"{first} faster than {name} at {side} px"] = Judged(text, holds, why)
    return Outcome(values, files=["times.csv"])


def picture_sizes(run: Run) -> Outcome:
    """E11: times of EXTD-64 over the sizes of a picture, fewer of them below the budget `paper`."""
    step, runs = _SIZES[run.budget]
    sides = _PROTOCOL_SIDES[:: step // _PROTOCOL_SIDES.step]
    weights = run.resources.get("extd_64", Path(DEFAULT))
    path = next(iter(_pictures(run)), None)
    pictures = [square_picture(path, side) for side in sides]
    values: Values = {
        f"{row['width']} px": _time(row)
        for row in _measured(run, [contender_of_weights(weights)], pictures, runs)
    }
    made = f"{len(sides)} of the protocol's {len(_PROTOCOL_SIDES)} sizes, medians of {runs}"
    picture = "noise" if path is None else path.name
    values["measured"] = f"{made} of its 999 runs, after 3 in place of 501, on {picture}"
    return Outcome(values, 1, weights.name, files=["times.csv"])


def _pictures(run: Run) -> list[Path]:
    """Validation pictures of WIDER FACE, where it was found."""
    if "wider" not in run.resources:
        return []
    return sorted((run.resources["wider"] / "WIDER_val" / "images").glob("*/*.jpg"))


def _measured(
    run: Run, contenders: Sequence[Contender], pictures: Sequence[np.ndarray], runs: int
) -> list[dict[str, Any]]:
    """The rows of `measure_sizes`, which the experiment's folder gets too."""
    rows = measure_sizes(contenders, pictures, runs)
    with replacing_table(run.folder / "times.csv") as table:
        table.writerow(rows[0])
        table.writerows(row.values() for row in rows)
    return rows


def _time(row: Mapping[str, Any]) -> str:
    return f"{row['network_ms']:.0f} ms; {row['fps']:.1f} pictures per second"


def evaluate_weights(
    root: Path,
    weights: Path,
    protocol: str,
    folder: Path,
    data: str = "wider",
    split: str = "val",
    limit: int | None = None,
) -> dict[str, Any]:
    """`facedet evaluate` on the pictures that are there, resumed where it was interrupted."""
    settings = _settings(root, weights, protocol, folder, data, limit)
    return evaluate(compose("evaluate", [*settings, f"split={split}"]))


def _settings(
    root: Path,
    weights: Path,
    protocol: str,
    folder: Path,
    data: str = "wider",
    limit: int | None = None,
) -> list[str]:
    return [
        literal("weights", weights),
        f"data={data}",
        literal("data.root", root),
        "data.images=present",
        f"protocol={protocol}",
        literal("paths.output", folder),
        "resume=true",
        "engine=auto",
        f"limit={'null' if limit is None else limit}",
    ]


def _limited(name: str, limit: int | None) -> str:
    """A folder's name; detections of other pictures are no start for an evaluation."""
    return name if limit is None else f"{name}_first_{limit}"


def missing_pictures(report: Mapping[str, Any]) -> str:
    """What numbers of some of a benchmark's pictures lack; "" where no picture is missing."""
    images, missing = report["images"], report["missing_pictures"]
    if report.get("limit"):
        return f"on the first {images:,} pictures only"
    return f"on {images:,} of {images + missing:,} pictures only" if missing else ""


def weights_of(report: Mapping[str, Any]) -> str:
    """File and hash of a report's weights."""
    return f"{report['weights']['file']} ({report['weights']['sha256'][:12]})"


def _numbers(report: Mapping[str, Any]) -> dict[str, float]:
    """The benchmark's numbers, by their short names: easy, medium, hard, ap, discrete_1000."""
    benchmarks = ("wider", "fddb", "afw", "pascal")
    return {
        key.partition("/")[2]: value
        for key, value in report.items()
        if key.partition("/")[0] in benchmarks and "/" in key
    }
