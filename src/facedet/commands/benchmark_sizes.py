"""`facedet benchmark sizes`: a table of several networks' times over picture sizes."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from facedet.commands.option_types import count
from facedet.errors import UsageError

if TYPE_CHECKING:
    import numpy as np

    from facedet.profiling.sizes import Contender


def sides(text: str) -> list[int]:
    """Whole numbers above 0 with commas between them, rising, each once."""
    return sorted({count(one) for one in text.split(",")})


def measure_networks(args: argparse.Namespace) -> dict[str, Any]:
    """Times the networks of `args.weights` and `args.preset` at `args.sizes`, px.

    Returns:
        "pictures", what they showed; "random", the networks without weights; "rows", as
        `profiling.sizes.measure_sizes` has them.

    Raises:
        FacedetError: weights or the picture cannot be read.
        UsageError: no network is named, or one twice.
    """
    from facedet.profiling.sizes import measure_sizes

    contenders = [_of_weights(path) for path in args.weights or []]
    contenders += [contender_of(name) for name in args.preset or []]
    names = [one.name for one in contenders]
    if not names:
        raise UsageError("benchmark sizes wants --weights FILE … or --preset NAME …")
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise UsageError(f"{twice[0]} is named twice")
    pictures = [square_picture(args.image, side) for side in args.sizes]
    return {
        "pictures": str(args.image or "noise"),
        "random": [f"{name} (random)" for name in args.preset or []],
        "rows": measure_sizes(contenders, pictures, args.runs),
    }


def square_picture(path: Path | None, side: int) -> np.ndarray:
    """The picture of a file resized to `side` x `side` px, or noise; RGB uint8 [H, W, 3]."""
    import numpy as np
    from PIL import Image

    from facedet.data.images import read_image
    from facedet.profiling.sizes import noise

    if path is None:
        return noise((side, side))
    return np.asarray(Image.fromarray(read_image(path).rgb).resize((side, side)))


def sizes_table(result: dict[str, Any]) -> str:
    """The result of `measure_networks`, with the machine, for a reader."""
    from facedet.evaluation.study_files import markdown

    machine = result["machine"]
    lines = [
        f"{machine_line(machine)}; pictures: {result['pictures']}, one at a time; networks folded",
        markdown([_shown(row) for row in result["rows"]]),
        "ms: medians; x first: the network's time over that of the first, in turn, and its 10th to "
        "90th percentile; fps: of all three steps; multiply-adds: every use counted",
    ]
    if result["random"]:
        lines.append("random: without weights, so its faces and its postprocessing are of no worth")
    return "\n".join(lines)


def save_sizes(folder: Path, result: dict[str, Any]) -> None:
    """Writes sizes.csv, sizes.json and sizes.png, the time of a picture over its size.

    Args:
        folder: made if need be.
        result: of `measure_networks`, with "machine".
    """
    from facedet.evaluation.study_files import plot_lines, save_csv
    from facedet.files import replacing

    rows, machine = result["rows"], result["machine"]
    with replacing(folder / "sizes.json") as aside:
        aside.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    named = {key: machine[key] for key in ("cpu", "threads", "torch")}
    save_csv(folder / "sizes.csv", rows, named | {"pictures": result["pictures"]})
    series: dict[str, tuple[list[float], list[float]]] = {}
    for row in rows:
        x, y = series.setdefault(row["network"], ([], []))
        x.append(row["width"])
        y.append(1e3 / row["fps"])
    labels = ("side of the picture, px", "ms per picture")
    plot_lines(folder / "sizes.png", series, labels, machine_line(machine), log=True)


def machine_line(machine: dict[str, Any]) -> str:
    """What was measured on, in words."""
    return f"{machine['cpu']}, threads: {machine['threads']}, torch {machine['torch']}"


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    """A row with the digits that a timing has."""
    ratio = "1" if row["ratio"] == 1.0 else f"{row['ratio']:.2f}"
    spread = "" if ratio == "1" else f" ({row['ratio_low']:.2f}–{row['ratio_high']:.2f})"
    return {
        "network": row["network"],
        "size": f"{row['height']} x {row['width']}",
        "prepare ms": f"{row['prepare_ms']:.2f}",
        "network ms": f"{row['network_ms']:.1f}",
        "postprocess ms": f"{row['postprocess_ms']:.2f}",
        "fps": f"{row['fps']:.1f}",
        "x first": ratio + spread,
        "parameters": row["parameters"],
        "multiply-adds G": f"{row['madds'] / 1e9:.3f}",
    }


def _of_weights(path: Path) -> Contender:
    from facedet.config import build, compose
    from facedet.profiling.sizes import Contender
    from facedet.weights.store import build_coder, build_net, read_weights

    weights = read_weights(path)
    coder = build_coder(weights, path)
    postprocess = build(compose("train").postprocess, box_coder=coder)
    return Contender(path.stem, build_net(weights, path), postprocess)


def contender_of(name: str) -> Contender:
    """A preset's detector with random weights."""
    import torch

    from facedet.config import build, compose
    from facedet.profiling.sizes import Contender

    torch.manual_seed(0)
    config = compose("train", [f"preset={name}"])
    net = build(config.model.net).eval()
    return Contender(f"{name} (random)", net, build(config.postprocess))
