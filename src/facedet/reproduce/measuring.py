"""Experiments that run weights over pictures."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from facedet.config import compose, literal
from facedet.data.readers.wider_annotations import SUBSETS
from facedet.evaluation.run import evaluate
from facedet.plots import Box, draw_boxes, save_picture
from facedet.reproduce.curves import read_methods, values_of
from facedet.reproduce.experiments import LISTING, PAPER, Outcome, Resources, Result
from facedet.reproduce.published import EXTD_BELOW, EXTD_EASY

WIDER_VAL_IMAGES = 3226
# Of an AP read from a listing with three digits, measured by another's evaluator.
_TOLERANCE = 0.005
_FACE = 0.5
_POINTS = 0.5  # of an AP in hundredths, from a sentence of the paper


def evaluate_released(*widths: int) -> Callable[[Resources, Path], Outcome]:
    """E4 and E6: the released EXTD weights of some widths on WIDER val, multi-scale."""

    def run(resources: Resources, folder: Path) -> Outcome:
        results, files, weights = [], [], []
        images = 0
        for width in widths:
            name = f"extd_{width}"
            if name not in resources:
                results.append(Result(f"FPN-{width}", "not run: no weights"))
                continue
            report = evaluate_weights(resources["wider"], resources[name], "wider", folder / name)
            images = report["images"]
            weights.append(weights_of(report))
            results += _compare(width, report)
            files += [f"{name}/precision_recall.png", f"{name}/sheet.png"]
        return Outcome(
            results,
            "wider: multi-scale, mirrored, box voting, official rounding",
            images,
            "; ".join(weights),
            short_of=missing_pictures(images),
            files=files,
        )

    return run


def _compare(width: int, report: dict[str, Any]) -> list[Result]:
    """AP by subset; beside a published one where there is one, and held to it on all pictures."""
    results = []
    for subset in SUBSETS:
        ours = report[f"wider/{subset}"]
        published = EXTD_EASY.get(width) if subset == "easy" else None
        is_whole = published is not None and report["images"] == WIDER_VAL_IMAGES
        results.append(
            Result(
                f"FPN-{width} {subset}",
                f"{ours:.4f}",
                None if published is None else f"{published:.3f} of {WIDER_VAL_IMAGES:,} images",
                "" if published is None else LISTING,
                abs(ours - (published or 0)) <= _TOLERANCE if is_whole else None,
            )
        )
    return results


def compare_extd(resources: Resources, folder: Path) -> Outcome:
    """E9: how far the released FPN-64 is below heavy detectors on hard faces."""
    # The evaluation is E4's: what that has found is not looked for again.
    place = folder.parent / "E4" / "extd_64"
    report = evaluate_weights(resources["wider"], resources["extd_64"], "wider", place)
    is_whole = report["images"] == WIDER_VAL_IMAGES
    methods = read_methods(resources["curves"])
    results = []
    for name, points in EXTD_BELOW.items():
        ours = 100 * (values_of(methods[name])[-1] - report["wider/hard"])
        holds = abs(ours - points) <= _POINTS if is_whole else None
        results.append(
            Result(f"points below {name} on hard", f"{ours:.1f}", f"{points:.1f}", PAPER, holds)
        )
    return Outcome(
        results,
        "wider: multi-scale, mirrored, box voting; the others' from their curves",
        report["images"],
        weights_of(report),
        short_of=missing_pictures(report["images"]),
    )


def evaluate_weights(
    root: Path, weights: Path, protocol: str, folder: Path, data: str = "wider"
) -> dict[str, Any]:
    """`facedet evaluate` on the test pictures that are there; goes on where it stopped."""
    config = compose("evaluate", settings_of(root, weights, protocol, folder, data))
    return evaluate(config)


def settings_of(
    root: Path, weights: Path, protocol: str, folder: Path, data: str = "wider"
) -> list[str]:
    """Settings of an evaluation or a study that goes on where it stopped."""
    return [
        literal("weights", weights),
        f"data={data}",
        literal("data.root", root),
        "data.images=present",
        f"protocol={protocol}",
        literal("paths.output", folder),
        "resume=true",
    ]


def missing_pictures(images: int) -> str:
    """What a number lacks that is of some of WIDER val's pictures only."""
    return (
        "" if images == WIDER_VAL_IMAGES else f"on {images:,} of {WIDER_VAL_IMAGES:,} pictures only"
    )


def weights_of(report: dict[str, Any]) -> str:
    """File and hash of a report's weights."""
    return f"{report['weights']['file']} ({report['weights']['sha256'][:12]})"


def show_examples(resources: Resources, folder: Path) -> Outcome:
    """E12: a free picture that shows one face, from scikit-image."""
    from skimage.data import astronaut

    from facedet.api import load

    weights = resources["extd_64"]
    picture: np.ndarray = astronaut()
    found = load(weights, score=_FACE).detect(picture)
    boxes = [
        Box(box, text=f"{score:.2f}")
        for box, score in zip(found.boxes.tolist(), found.scores.tolist(), strict=True)
    ]
    save_picture(folder / "astronaut.jpg", draw_boxes(picture, boxes))
    count = Result(
        "faces in scikit-image's astronaut",
        str(len(boxes)),
        "1",
        "seen in the picture",
        len(boxes) == 1,
    )
    return Outcome([count], f"one pass, score {_FACE}", 1, weights.name, files=["astronaut.jpg"])
