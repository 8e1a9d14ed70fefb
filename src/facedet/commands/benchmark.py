"""`facedet benchmark`: what things take on this machine, as ratios taken in one run."""

import argparse
import json
from pathlib import Path
from typing import Any

from facedet.commands.option_types import count, megapixels

HELP = """Time things on this machine. Speeds are ratios of runs taken in turn, after a warm-up, as
medians with 10th and 90th percentiles:
  network   one picture: preparation, network (plain and folded), postprocessing apart
  training  images/s of our training step against a plain one (NCHW, float32)
  mining    what hard image mining adds to a training step, as a share of it
  pipeline  images/s of the training crops against resizing whole pictures as the release does
  memory    peak memory of a prediction on a picture of 24 megapixels"""
EXAMPLE = """examples:
  facedet benchmark network --preset extd_fpn_64_prelu
  facedet benchmark memory --weights extd64.safetensors
  facedet benchmark pipeline --data /data/wider --json"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    things = ("network", "training", "mining", "pipeline", "memory")
    parser.add_argument("what", choices=things, help="what is timed")
    parser.add_argument("--preset", default="extd_fpn_32_prelu", help="network, if no weights")
    parser.add_argument("--weights", type=Path, help="weights of the network (random otherwise)")
    parser.add_argument("--image", type=Path, help="picture for network (noise otherwise)")
    parser.add_argument("--size", type=count, help="side of picture or crop (640; training: 320)")
    parser.add_argument("--batch", type=count, default=8, help="of training (8)")
    parser.add_argument("--data", type=Path, help="WIDER FACE folder for pipeline (crowds)")
    parser.add_argument("--megapixels", type=megapixels, default=24.0, help="of memory (24)")
    parser.add_argument("--runs", type=count, default=20, help="pairs of timed runs (20)")
    parser.add_argument("--threads", type=count, help="CPU threads (torch's default)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    """Measures and prints."""
    import torch

    from facedet.profiling.speed import describe_machine

    if args.threads:
        torch.set_num_threads(args.threads)
    measure = {
        "network": _network,
        "training": _training,
        "mining": _mining,
        "pipeline": _pipeline,
        "memory": _memory,
    }[args.what]
    result = {"what": args.what, **measure(args), "machine": describe_machine()}
    if args.json:
        print(json.dumps(result, indent=1))
    else:
        _print(result)
    return 0


def _built(args: argparse.Namespace) -> tuple[Any, Any]:
    """The network and the config's other parts."""
    import torch

    from facedet.config import build, compose

    torch.manual_seed(0)
    config = compose("train", [f"preset={args.preset}"])
    if args.weights is None:
        return build(config.model.net), config
    from facedet.weights import build_net, read_weights

    return build_net(read_weights(args.weights), args.weights), config


def _network(args: argparse.Namespace) -> dict[str, Any]:
    import numpy as np
    from PIL import Image

    from facedet.config import build
    from facedet.data.images import read_image
    from facedet.profiling.speed import measure_network

    net, config = _built(args)
    side = args.size or 640
    if args.image:
        picture = Image.fromarray(read_image(args.image).rgb).resize((side, side))
        rgb = np.asarray(picture)
    else:
        rgb = np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8)
    name = str(args.weights) if args.weights else f"{args.preset}, random weights"
    return {"net": name, **measure_network(net, build(config.postprocess), rgb, args.runs)}


def _training(args: argparse.Namespace) -> dict[str, Any]:
    from facedet.config import build
    from facedet.profiling.speed import measure_training

    net, config = _built(args)
    return {"net": args.preset} | measure_training(
        net, build(config.criterion), args.size or 320, args.batch, args.runs
    )


def _mining(args: argparse.Namespace) -> dict[str, Any]:
    from facedet.config import build
    from facedet.profiling.speed import measure_mining

    net, config = _built(args)
    return {"net": args.preset} | measure_mining(
        net, build(config.criterion), args.size or 320, args.batch, args.runs
    )


def _pipeline(args: argparse.Namespace) -> dict[str, Any]:
    from facedet.config import build, compose
    from facedet.data.wider import read_wider
    from facedet.profiling.pipeline import measure_pipeline

    root = args.data
    if root is None:
        data = build(compose("train").data)
        data.prepare_data()
        root = data.root
    records = read_wider(root, "train", images="present").records
    return {"data": str(root), **measure_pipeline(records, size=args.size or 640)}


def _memory(args: argparse.Namespace) -> dict[str, Any]:
    from facedet.errors import UsageError
    from facedet.profiling.memory import measure_memory
    from facedet.weights import build_net, read_weights

    if args.weights is None:
        raise UsageError("benchmark memory wants --weights FILE")
    build_net(read_weights(args.weights), args.weights)  # what is wrong is said here, in one line
    width = round((args.megapixels * 1e6 * 3 / 2) ** 0.5)
    return measure_memory(args.weights, width * 2 // 3, width)


def _print(result: dict[str, Any], indent: str = "") -> None:
    for key, value in result.items():
        if isinstance(value, dict):
            print(f"{indent}{key}")
            _print(value, indent + "  ")
        else:
            print(f"{indent}{key:26} {f'{value:.4g}' if isinstance(value, float) else value}")
