"""Detectors and pictures to be timed."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from facedet.config import build, compose
from facedet.data.images import read_image
from facedet.errors import UsageError
from facedet.profiling.latency import Contender, noise
from facedet.weights.store import build_coder, build_net, read_weights


def contenders_of(weights: Sequence[str | Path], presets: Sequence[str]) -> list[Contender]:
    """The detectors of weights, then those of presets; raises `UsageError` if one comes twice."""
    found = [*map(contender_of_weights, weights), *map(contender_of_preset, presets)]
    names = [one.name for one in found]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"{name} is named twice")
    return found


def contender_of_weights(path: str | Path) -> Contender:
    """The detector of a weights file, or of a name of `facedet weights list`."""
    weights = read_weights(path)
    postprocess = build(compose("network").postprocess, box_coder=build_coder(weights, path))
    return Contender(Path(path).stem, build_net(weights, path), postprocess)


def contender_of_preset(name: str) -> Contender:
    """A preset's detector with random weights, the same every time."""
    torch.manual_seed(0)
    config = compose("network", [f"preset={name}"])
    return Contender(f"{name} (random)", build(config.model.net).eval(), build(config.postprocess))


def square_picture(path: Path | None, side: int) -> np.ndarray:
    """The picture of a file resized to `side` x `side` px, or noise; RGB uint8 [H, W, 3]."""
    if path is None:
        return noise((side, side))
    return np.asarray(Image.fromarray(read_image(path).rgb).resize((side, side)))
