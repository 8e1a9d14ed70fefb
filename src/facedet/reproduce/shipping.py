"""The shipped weights, trained again: the same commands, the same seed."""

from pathlib import Path

import torch

from facedet.config import compose, literal
from facedet.errors import FacedetError
from facedet.evaluation.run import evaluate
from facedet.reproduce.experiments import Outcome, Resources, Result
from facedet.reproduce.measuring import missing_pictures, settings_of
from facedet.weights.store import read_weights
from facedet.weights.zoo import locate

_THREE = ("shipped", "shipped_large_crops", "shipped_medium_crops")
# The experiments of each training; a part starts from the weights of the one before.
PARTS = {
    "extd-fpn-64-prelu": (*_THREE, "shipped_longer", "shipped_full_size"),
    "extd-fpn-32-prelu": (*_THREE, "shipped_full_size"),
}


def train_shipped(resources: Resources, folder: Path) -> Outcome:
    """Trains the shipped networks and compares the files."""
    results = []
    threads = torch.get_num_threads()
    # Sums in another order round differently, and a training carries that on.
    torch.set_num_threads(1)
    try:
        for name in PARTS:
            trained = train_parts_of(name, resources["wider"], folder / name)
            ours = read_weights(trained).info["sha256"][:12]
            theirs = read_weights(locate(name)).info["sha256"][:12]
            is_same = True if ours == theirs else None
            results.append(Result(f"{name}, SHA-256", ours, theirs, "the shipped file", is_same))
            results += _measure(resources["wider"], trained, folder / name / "evaluation")
    finally:
        torch.set_num_threads(threads)
    return Outcome(
        results,
        "wider_single on the pictures of WIDER val that are there",
        weights="those trained here",
        short_of="a machine whose arithmetic rounds as the one of the shipped files did",
    )


def train_parts_of(name: str, root: Path, folder: Path) -> Path:
    """All parts of a training, each going on where it stopped; returns the last one's weights.

    Args:
        name: of shipped weights.
        root: of WIDER FACE.
        folder: for the parts' folders.

    Raises:
        FacedetError: a part did not end well.
    """
    preset = f"preset={name.replace('-', '_')}"
    start: list[str] = []
    for experiment in PARTS[name]:
        part = folder / experiment
        words = ["train", preset, f"experiment={experiment}", "ckpt_path=auto", *start]
        _call([*words, literal("data.root", root), literal("paths.output", part)], part)
        start = [literal("weights", part / "weights.safetensors")]
    return part / "weights.safetensors"


def _call(words: list[str], folder: Path) -> None:
    from facedet.cli import main

    # A finished part is not trained further: its last step is the schedule's.
    if (folder / "weights.safetensors").is_file():
        return
    code = main(words)
    if code:
        raise FacedetError(f"{folder}: the training ended with {code}; the same command goes on")


def _measure(root: Path, weights: Path, folder: Path) -> list[Result]:
    report = evaluate(compose("evaluate", settings_of(root, weights, "wider_single", folder)))
    images = report["images"]
    what = missing_pictures(images) or "on all pictures"
    return [
        Result(f"AP {key.partition('/')[2]}, {what}", f"{value:.4f}")
        for key, value in report.items()
        if key.startswith("wider/")
    ]
