"""Experiments that run networks over pictures: their AP, their times, their detections."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from facedet.api import load
from facedet.config import compose, literal
from facedet.data.readers.wider import pictures_folder
from facedet.evaluation.application import evaluate_sweep
from facedet.evaluation.contenders import contender_of_preset, contender_of_weights, square_picture
from facedet.evaluation.diagnosis.plots import SOLVED
from facedet.evaluation.run import evaluate
from facedet.files import replacing_table
from facedet.plots import Box, draw_boxes, save_picture
from facedet.profiling.latency import Contender, measure_sizes, noise
from facedet.reproduce.arithmetic import PARAMETERS, TRUE, costs, read_curves, values_of
from facedet.reproduce.experiments import Judged, Outcome, Run, Values
from facedet.weights.zoo import DEFAULT

_FACE = 0.5
_RUNS = 7
# EXTD's release times square pictures of 280 to 2,280 px, 40 px apart, 1,500 times each, and drops
# the first 501 runs. By budget: pixels between two sizes, and runs that count.
_PROTOCOL_SIDES = range(280, 2281, 40)
_SIZES = {"smoke": (1000, 1), "short": (200, 3), "paper": (40, 999)}


def benchmark(
    run: Run,
    networks: Mapping[str, str],
    protocol: str,
    data: str = "wider",
    resource: str = "wider",
) -> Outcome:
    """E4, E6, S2, S4 to S6: weights on a benchmark; those that are not there are left out.

    `networks` has by the name in the report the resource that their weights are; `data` is the
    data set's config, `resource` its folder.
    """
    values: Values = {}
    weights, files, short_of, images = [], [], "", 0
    for name, one in networks.items():
        if one not in run.resources:
            values[name] = "not run: no weights"
            continue
        place = _limited(run, name)
        report = evaluate_weights(run, run.resources[one], protocol, place, data, resource)
        values |= {f"{name} {key}": value for key, value in _numbers(report).items()}
        weights.append(weights_of(report))
        files += [f"{place.name}/{path.name}" for path in sorted(place.glob("*.png"))]
        images, short_of = report["images"], missing_pictures(report)
    return Outcome(values, images, "; ".join(weights), short_of, files)


def points_below(run: Run, methods: Sequence[str]) -> Outcome:
    """E9: how far the released FPN-64 is below others on hard faces, in hundredths of AP."""
    # E4's evaluation: what it has found is not detected again.
    place = _limited(run._replace(folder=run.folder.parent / "E4"), "FPN-64")
    report = evaluate_weights(run, run.resources["extd_64"], "wider", place)
    curves, problems = read_curves(run)
    values: Values = {
        f"points below {name} on hard": 100 * (values_of(curves[name])[-1] - report["wider/hard"])
        for name in methods
        if name in curves
    }
    shown = values | problems
    return Outcome(shown, report["images"], weights_of(report), missing_pictures(report))


def pyramid(run: Run) -> Outcome:
    """S9: SmallHardFace with each choice of sizes of `sweeps/shf_pyramid.yaml`."""
    settings = _settings(run, run.resources["smallhardface"], "wider_shf", run.folder)
    reports = evaluate_sweep("shf_pyramid", settings, run.folder / "sweep")
    values: Values = {}
    for report in reports:
        sides = ", ".join(map(str, report["settings"]["scales"]["sides"]))
        values |= {f"{key} of {sides}": value for key, value in _numbers(report).items()}
    last = reports[-1]
    return Outcome(values, last["images"], weights_of(last), missing_pictures(last))


def single_images(run: Run) -> Outcome:
    """S1: the AP of single training images; EXTD-64 stands in for SSH, whose model is missing."""
    weights, place = run.resources["extd_64"], _limited(run, "evaluation")
    report = evaluate_weights(run, weights, "wider_single", place, split="train")
    run.call("diagnose", "--run", str(place), "--data", str(run.resources["wider"]))
    with (place / "diagnosis" / "image_ap.csv").open(newline="", encoding="utf-8") as stream:
        values = [float(row["AP"]) for row in csv.DictReader(stream) if row["AP"]]
    share = sum(value >= SOLVED for value in values) / max(1, len(values))
    counts = {"share of images with AP 1": share, "images with faces that count": len(values)}
    figures = [f"{place.name}/diagnosis/image_ap.png"]
    return Outcome(counts, report["images"], weights_of(report), files=figures)


def examples(run: Run) -> Outcome:
    """E12: a free picture that shows one face, from scikit-image."""
    from skimage.data import astronaut

    weights, picture = run.resources["extd_64"], astronaut()
    found = load(weights, score=_FACE).detect(picture)
    scored = zip(found.boxes.tolist(), found.scores.tolist(), strict=True)
    boxes = [Box(box, text=f"{score:.2f}") for box, score in scored]
    save_picture(run.folder / "astronaut.jpg", draw_boxes(picture, boxes))
    count = {"faces in scikit-image's astronaut": len(boxes)}
    return Outcome(count, 1, weights.name, files=["astronaut.jpg"])


def times(
    run: Run, presets: Mapping[str, str], sides: Sequence[int], slower: Sequence[str]
) -> Outcome:
    """S10: costs, and times over square pictures of noise, of the first network and others.

    `presets` are by the name in the report. Those named in `slower` are said to be slower than
    the first: that holds where the 10th percentile of the pairs of runs is above 1, and is
    contradicted where the 90th is below.
    """
    contenders = [
        contender_of_preset(preset)._replace(name=name) for name, preset in presets.items()
    ]
    rows = _measured(run, contenders, [noise((side, side)) for side in sides], _RUNS)
    values: Values = dict(costs(run, presets, (PARAMETERS, TRUE)).values)
    for row in rows:
        name, side = row["network"], row["width"]
        values[f"{name} at {side} px"] = _time(row)
        if name in slower:
            least, ratio, most = (row[key] for key in ("ratio_low", "ratio", "ratio_high"))
            text = f"{name} takes {ratio:.2f} x its time ({least:.2f} to {most:.2f})"
            holds = None if least <= 1 <= most else least > 1
            why = f"undecided: {text}" if holds is None else ""
            claim = f"{contenders[0].name} faster than {name} at {side} px"
            values[claim] = Judged(text, holds, why)
    return Outcome(values, files=["times.csv"])


def picture_sizes(run: Run) -> Outcome:
    """E11: times of EXTD-64 over the sizes of a picture, fewer of them below the budget `paper`."""
    step, runs = _SIZES[run.budget]
    sides = _PROTOCOL_SIDES[:: step // _PROTOCOL_SIDES.step]
    weights = run.resources.get("extd_64", Path(DEFAULT))
    images = pictures_folder(run.resources.get("wider", Path("nowhere")), "val")
    path = min(images.glob("*/*.jpg"), default=None)
    pictures = [square_picture(path, side) for side in sides]
    values: Values = {
        f"{row['width']} px": _time(row)
        for row in _measured(run, [contender_of_weights(weights)], pictures, runs)
    }
    made = f"{len(sides)} of the protocol's {len(_PROTOCOL_SIDES)} sizes, medians of {runs}"
    picture = "noise" if path is None else path.name
    values["measured"] = f"{made} of its 999 runs, after 3 in place of 501, on {picture}"
    return Outcome(values, 1, weights.name, files=["times.csv"])


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
    run: Run,
    weights: Path,
    protocol: str,
    place: Path,
    data: str = "wider",
    resource: str = "wider",
    split: str = "val",
) -> dict[str, Any]:
    """`facedet evaluate` on the pictures that are there, resumed where it was interrupted."""
    settings = _settings(run, weights, protocol, place, data, resource)
    return evaluate(compose("evaluate", [*settings, f"split={split}"]))


def _settings(
    run: Run,
    weights: Path,
    protocol: str,
    place: Path,
    data: str = "wider",
    resource: str = "wider",
) -> list[str]:
    return [
        literal("weights", weights),
        f"data={data}",
        literal("data.root", run.resources[resource]),
        "data.images=present",
        f"protocol={protocol}",
        literal("paths.output", place),
        "resume=true",
        "engine=auto",
        f"limit={'null' if run.limit is None else run.limit}",
    ]


def _limited(run: Run, name: str) -> Path:
    """A folder in that of the run; detections of other pictures are no start for an evaluation."""
    return run.folder / (name if run.limit is None else f"{name}_first_{run.limit}")


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
    parts = ((*key.partition("/"), value) for key, value in report.items())
    benchmarks = ("wider", "fddb", "afw", "pascal")
    return {name: value for group, slash, name, value in parts if slash and group in benchmarks}
