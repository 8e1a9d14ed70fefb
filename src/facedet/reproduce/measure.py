"""Experiments that run networks over pictures: their AP, their times, their detections."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from facedet.api import load
from facedet.config import compose, literal
from facedet.evaluation.application import evaluate_sweep
from facedet.evaluation.contenders import contender_of_preset
from facedet.evaluation.diagnosis.plots import SOLVED
from facedet.evaluation.run import evaluate
from facedet.evaluation.wider_curves import read_wider_curves
from facedet.files import replacing_table
from facedet.plots import Box, draw_boxes, save_picture
from facedet.profiling.latency import measure_sizes, noise
from facedet.reproduce.count import PARAMETERS, TRUE, costs
from facedet.reproduce.curves import values_of
from facedet.reproduce.experiments import Outcome, Run

_FACE = 0.5
_RUNS = 7
Values = dict[str, float | int | str]


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
        place = run.folder / name
        report = evaluate_weights(
            run.resources[resource], run.resources[one], protocol, place, data=data
        )
        values |= {f"{name} {key}": value for key, value in _numbers(report).items()}
        weights.append(weights_of(report))
        files += [f"{name}/{path.name}" for path in sorted(place.glob("*.png"))]
        images, short_of = report["images"], missing_pictures(report)
    return Outcome(values, images, "; ".join(weights), short_of, files)


def points_below(run: Run, methods: Sequence[str]) -> Outcome:
    """E9: how far the released FPN-64 is below others on hard faces, in hundredths of AP."""
    # E4's evaluation: what it has found is not detected again.
    place = run.folder.parent / "E4" / "FPN-64"
    report = evaluate_weights(run.resources["wider"], run.resources["extd_64"], "wider", place)
    curves = read_wider_curves(run.resources["curves"])
    values = {
        f"points below {name} on hard": 100 * (values_of(curves[name])[-1] - report["wider/hard"])
        for name in methods
    }
    return Outcome(values, report["images"], weights_of(report), missing_pictures(report))


def pyramid(run: Run) -> Outcome:
    """S9: SmallHardFace with each choice of sizes of `sweeps/shf_pyramid.yaml`."""
    root, weights = run.resources["wider"], run.resources["smallhardface"]
    settings = _settings(root, weights, "wider_shf", run.folder)
    reports = evaluate_sweep("shf_pyramid", settings, run.folder / "sweep")
    values: Values = {}
    for report in reports:
        sides = ", ".join(map(str, report["settings"]["scales"]["sides"]))
        values |= {f"{key} of {sides}": value for key, value in _numbers(report).items()}
    last = reports[-1]
    return Outcome(values, last["images"], weights_of(last), missing_pictures(last))


def single_images(run: Run) -> Outcome:
    """S1: the AP of single images; EXTD-64 stands in for SSH, whose model is not at hand."""
    root, place = run.resources["wider"], run.folder / "evaluation"
    report = evaluate_weights(root, run.resources["extd_64"], "wider_single", place)
    run.call("diagnose", "--run", str(place), "--data", str(root))
    with (place / "diagnosis" / "image_ap.csv").open(newline="", encoding="utf-8") as stream:
        values = [float(row["AP"]) for row in csv.DictReader(stream) if row["AP"]]
    share = sum(value >= SOLVED for value in values) / max(1, len(values))
    counted = {"share of images with AP 1": share, "images with faces that count": len(values)}
    figures = ["evaluation/diagnosis/image_ap.png"]
    return Outcome(counted, report["images"], weights_of(report), files=figures)


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
    run: Run, presets: Sequence[str], sides: Sequence[int], counted: Mapping[str, str] | None = None
) -> Outcome:
    """E11, S10: times over square pictures of `sides` px here, compared with the first preset's.

    Parameters and multiply-adds of the presets `counted` are given too.
    """
    contenders = [contender_of_preset(preset) for preset in presets]
    rows = measure_sizes(contenders, [noise((side, side)) for side in sides], _RUNS)
    with replacing_table(run.folder / "times.csv") as table:
        table.writerow(rows[0])
        table.writerows(row.values() for row in rows)
    values = dict(costs(run, counted or {}, (PARAMETERS, TRUE)).values)
    for row in rows:
        ratio = "" if len(presets) == 1 else f", {row['ratio']:.2f} x the first one's time"
        text = f"{row['network_ms']:.0f} ms{ratio}; {row['fps']:.1f} pictures per second"
        values[f"{row['network']} at {row['width']} px"] = text
    return Outcome(values, files=["times.csv"])


def evaluate_weights(
    root: Path, weights: Path, protocol: str, folder: Path, data: str = "wider"
) -> dict[str, Any]:
    """`facedet evaluate` on the test pictures that are there, resumed where it was interrupted."""
    return evaluate(compose("evaluate", _settings(root, weights, protocol, folder, data)))


def _settings(
    root: Path, weights: Path, protocol: str, folder: Path, data: str = "wider"
) -> list[str]:
    return [
        literal("weights", weights),
        f"data={data}",
        literal("data.root", root),
        "data.images=present",
        f"protocol={protocol}",
        literal("paths.output", folder),
        "resume=true",
    ]


def missing_pictures(report: Mapping[str, Any]) -> str:
    """What numbers of some of a benchmark's pictures lack; "" where no picture is missing."""
    images, missing = report["images"], report["missing_pictures"]
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
