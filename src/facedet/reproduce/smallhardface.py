"""SmallHardFace's own experiments, with weights of it; and EXTD's in their place for one figure."""

import csv
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from facedet.data.readers.wider_annotations import SUBSETS
from facedet.evaluation.application import evaluate_sweep
from facedet.evaluation.diagnosis.report import SOLVED
from facedet.reproduce.experiments import PAPER, RELEASE, Outcome, Resources, Result
from facedet.reproduce.measuring import (
    WIDER_VAL_IMAGES,
    evaluate_weights,
    missing_pictures,
    settings_of,
    weights_of,
)
from facedet.reproduce.published import (
    SMALLHARDFACE_EASY_WITHOUT_SMALL,
    SMALLHARDFACE_OTHERS,
    SMALLHARDFACE_WIDER,
)

# Of values published with three digits.
_TOLERANCE = 0.005


def evaluate_wider(resources: Resources, folder: Path) -> Outcome:
    """S2: the full model on WIDER val."""
    report = evaluate_weights(
        resources["wider"], resources["smallhardface"], "wider_shf", folder / "evaluation"
    )
    is_whole = report["images"] == WIDER_VAL_IMAGES
    results = [
        _compare(subset, report[f"wider/{subset}"], expected, RELEASE, is_whole)
        for subset, expected in zip(SUBSETS, SMALLHARDFACE_WIDER, strict=True)
    ]
    return _outcome(results, report, missing_pictures(report["images"]))


def evaluate_on(benchmark: str, resource: str, key: str) -> Callable[[Resources, Path], Outcome]:
    """S4 to S6: another benchmark.

    Args:
        benchmark: the data set's and the protocol's name.
        resource: the data.
        key: of the number in the metrics.
    """
    return partial(_evaluate_on, benchmark, resource, key)


def _evaluate_on(
    benchmark: str, resource: str, key: str, resources: Resources, folder: Path
) -> Outcome:
    root, weights = resources[resource], resources["smallhardface"]
    report = evaluate_weights(root, weights, benchmark, folder / "evaluation", benchmark)
    missing = report["missing_pictures"]
    result = _compare(key, report[key], SMALLHARDFACE_OTHERS[benchmark], PAPER, not missing)
    return _outcome([result], report, f"{missing:,} pictures" if missing else "")


def leave_out_scales(resources: Resources, folder: Path) -> Outcome:
    """S9: what each size of the pyramid is worth."""
    place = folder / "pyramid"
    words = settings_of(resources["wider"], resources["smallhardface"], "wider_shf", place)
    reports = evaluate_sweep("shf_pyramid", words, place)
    is_whole = reports[0]["images"] == WIDER_VAL_IMAGES
    results = []
    for report in reports:
        sides = report["settings"]["scales"]["sides"]
        name = ", ".join(map(str, sides))
        values = " / ".join(f"{report[f'wider/{subset}']:.4f}" for subset in SUBSETS)
        results.append(Result(name, values))
        if sides == [600, 1000, 1400]:
            expected = SMALLHARDFACE_EASY_WITHOUT_SMALL
            easy = report["wider/easy"]
            results.append(_compare(f"{name}, easy", easy, expected, PAPER, is_whole))
    return _outcome(results, reports[0], missing_pictures(reports[0]["images"]))


def rate_images(resources: Resources, folder: Path) -> Outcome:
    """S1: the AP of single images; EXTD-64 stands in for SSH, whose model is not at hand."""
    from facedet.cli import main

    place = folder / "evaluation"
    report = evaluate_weights(resources["wider"], resources["extd_64"], "wider_single", place)
    main(["diagnose", "--run", str(place), "--data", str(resources["wider"])])
    with (place / "diagnosis" / "image_ap.csv").open(newline="", encoding="utf-8") as stream:
        values = [float(row["AP"]) for row in csv.DictReader(stream) if row["AP"]]
    share = sum(value >= SOLVED for value in values) / max(1, len(values))
    results = [
        Result("share of images with AP 1", f"{share:.2f}", "over two thirds", PAPER),
        Result("images with faces that count", f"{len(values):,}"),
    ]
    short_of = "SSH's model on WIDER train; EXTD-64 on val stands in for it"
    return _outcome(results, report, short_of, "evaluation/diagnosis/image_ap.png")


def _compare(name: str, ours: float, expected: float, source: str, is_whole: bool) -> Result:
    holds = abs(ours - expected) <= _TOLERANCE if is_whole else None
    return Result(name, f"{ours:.4f}", f"{expected:.3f}", source, holds)


def _outcome(results: list[Result], report: dict[str, Any], short_of: str, *files: str) -> Outcome:
    return Outcome(
        results,
        report["protocol"],
        report["images"],
        weights_of(report),
        short_of=short_of,
        files=list(files),
    )
