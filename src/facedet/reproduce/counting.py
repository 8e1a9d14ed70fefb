"""Experiments that count: parameters, multiply-adds, pictures. No picture is opened."""

from pathlib import Path

from facedet.config import build, compose
from facedet.data.readers.wider import read_wider_annotations
from facedet.profiling.cost import Cost, measure_cost
from facedet.reproduce.experiments import COMPUTED, PAPER, Outcome, Resources, Result, check_number
from facedet.reproduce.published import (
    EXTD_COSTS,
    EXTD_LIGHTER,
    EXTD_RATIOS,
    S3FD_PARAMETERS,
    SMALLHARDFACE_COSTS,
    WIDER_TRAIN,
)

_PROTOCOL = "one image of 640 x 640; multiply-adds of convolutions"


def count_parameters(resources: Resources, folder: Path) -> Outcome:
    """E1: EXTD's parameters, and how many times fewer they are than S3FD's."""
    results = []
    for (layout, width), (expected, _, _) in EXTD_COSTS.items():
        if layout == "fpn":
            ours = cost_of(f"extd_{layout}_{width}_prelu").parameters
            results.append(_count(f"parameters, FPN-{width}", ours, expected))
    s3fd = cost_of("s3fd_vgg16").parameters
    results.append(_count("parameters, S3FD", s3fd, S3FD_PARAMETERS))
    lighter = s3fd / cost_of("extd_fpn_64_prelu").parameters
    results.append(check_number("S3FD / FPN-64", lighter, EXTD_LIGHTER, 0.5, PAPER, ".1f"))
    return Outcome(results, "parameters of the networks")


def count_madds(resources: Resources, folder: Path) -> Outcome:
    """E2: EXTD's multiply-adds as the paper counts and truly, and the ratios to S3FD's."""
    s3fd = cost_of("s3fd_vgg16")
    results = []
    for width, times in EXTD_RATIOS.items():
        cost = cost_of(f"extd_fpn_{width}_prelu")
        _, true, paper = EXTD_COSTS["fpn", width]
        results += [
            _giga(f"FPN-{width}, as the paper counts", cost.madds_paper, paper),
            _giga(f"FPN-{width}, every use counted", cost.madds, true),
            check_number(
                f"S3FD / FPN-{width}, as the paper counts",
                (s3fd.madds_paper or 0) / (cost.madds_paper or 1),
                times,
                0.5 if times == round(times) else 0.05,
                PAPER,
                ".2f",
            ),
            Result(f"S3FD / FPN-{width}, every use counted", f"{s3fd.madds / cost.madds:.2f}"),
        ]
    return Outcome(results, f"{_PROTOCOL}; the paper's leave out that filters are used again")


def count_ssd(resources: Resources, folder: Path) -> Outcome:
    """E3: parameters and true multiply-adds of the SSD-like models."""
    results = []
    for (layout, width), (parameters, true, _) in EXTD_COSTS.items():
        if layout == "ssd":
            cost = cost_of(f"extd_{layout}_{width}_prelu")
            results.append(_count(f"parameters, SSD-{width}", cost.parameters, parameters))
            results.append(_giga(f"SSD-{width}, every use counted", cost.madds, true))
    return Outcome(results, _PROTOCOL)


def count_smallhardface() -> list[Result]:
    """Parameters and multiply-adds of SmallHardFace, for the table of times."""
    results = []
    for preset, (parameters, madds) in SMALLHARDFACE_COSTS.items():
        cost = cost_of(preset)
        results.append(_count(f"parameters, {preset}", cost.parameters, parameters))
        results.append(_giga(f"multiply-adds, {preset}", cost.madds, madds, ".2f"))
    return results


def count_training_images(resources: Resources, folder: Path) -> Outcome:
    """S13: the training images, before and after a mirrored copy of each."""
    reading = read_wider_annotations(resources["wider"], "train", faceless="keep")
    images = len(reading.records)
    before, after = WIDER_TRAIN
    return Outcome(
        [
            _count("training images", images, before, PAPER),
            _count("with mirrored copies", 2 * images, after, PAPER),
        ],
        "WIDER FACE's annotations of the training part",
        images,
    )


def cost_of(preset: str) -> Cost:
    """Cost of a preset's network at 640 x 640."""
    return measure_cost(build(compose("train", [f"preset={preset}"]).model.net))


def _count(name: str, ours: int, expected: int, source: str = COMPUTED) -> Result:
    return Result(name, f"{ours:,}", f"{expected:,}", source, ours == expected)


def _giga(name: str, ours: int | None, expected: float | None, form: str = ".4f") -> Result:
    """A count in G; holds where it rounds to the digits of the expectation."""
    shown = "–" if ours is None else f"{ours / 1e9:{form}}"
    wanted = None if expected is None else f"{expected:{form}}"
    return Result(name, f"{shown} G", f"{wanted} G", COMPUTED, shown == wanted)
