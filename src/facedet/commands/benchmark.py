"""`facedet benchmark`: what things take on this machine, as ratios taken in one run."""

import argparse
import json
from pathlib import Path
from typing import Any

from facedet.commands.benchmark_sizes import (
    machine_line,
    measure_networks,
    save_sizes,
    sides,
    sizes_table,
)
from facedet.commands.option_types import count, megapixels

HELP = """Time things on this machine. Speeds are ratios of runs taken in turn, after a warm-up, as
medians with 10th and 90th percentiles:
  network   one picture: preparation, network (plain and folded), postprocessing apart
  sizes     several networks over picture sizes, folded, each in turn with the first; with their
            parameters and multiply-adds; --output gets the table as CSV and JSON, and a picture
  training  images/s of a training step from file to weights: a plain loop (whole pictures resized,
            NCHW, float32), and what each thing adds that ours has beyond it
  mining    what hard image mining adds to a training step, as a share of it
  pipeline  images/s of the training crops against resizing whole pictures as the release does
  memory    peak memory of a prediction on a picture of 24 megapixels"""
EXAMPLE = """examples:
  facedet benchmark network --preset extd_fpn_64_prelu
  facedet benchmark sizes --weights extd64.safetensors --preset s3fd_vgg16 --sizes 320,640,1024
  facedet benchmark memory --weights extd64.safetensors
  facedet benchmark training --data /data/wider --threads 1
  facedet benchmark pipeline --data /data/wider --json"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    things = ("network", "sizes", "training", "mining", "pipeline", "memory")
    parser.add_argument("what", choices=things, help="what is timed")
    parser.add_argument(
        "--preset", nargs="+", help="network, if no weights (extd_fpn_32_prelu); sizes: several"
    )
    parser.add_argument(
        "--weights", nargs="+", type=Path, help="of the network (random otherwise); sizes: several"
    )
    parser.add_argument("--image", type=Path, help="picture for network, sizes (noise otherwise)")
    parser.add_argument("--sizes", type=sides, default=[320, 640], help="sides, px (320,640)")
    parser.add_argument("--output", type=Path, help="sizes: folder for the table and its picture")
    parser.add_argument("--size", type=count, help="side of picture or crop (640; training: 320)")
    parser.add_argument("--batch", type=count, default=8, help="of training (8)")
    parser.add_argument("--data", type=Path, help="WIDER FACE, of training, pipeline (crowds)")
    parser.add_argument("--megapixels", type=megapixels, default=24.0, help="of memory (24)")
    parser.add_argument("--runs", type=count, default=20, help="pairs of timed runs (20)")
    parser.add_argument("--threads", type=count, help="CPU threads (torch's default)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    """Measures and prints."""
    import torch

    from facedet.profiling.speed import describe_machine

    _check(args)
    if args.threads:
        torch.set_num_threads(args.threads)
    measure = {
        "network": _network,
        "sizes": measure_networks,
        "training": _training,
        "mining": _mining,
        "pipeline": _pipeline,
        "memory": _memory,
    }[args.what]
    result = {"what": args.what, **measure(args), "machine": describe_machine()}
    if args.output is not None:
        save_sizes(args.output, result)
    if args.json:
        print(json.dumps(result, indent=1))
    elif args.what == "sizes":
        print(sizes_table(result))
    elif args.what == "training":
        print(_training_table(result))
    else:
        _print(result)
    return 0


def _check(args: argparse.Namespace) -> None:
    """Several networks, and files, are for sizes alone; elsewhere one name stands for its list."""
    from facedet.errors import UsageError

    if args.what == "sizes":
        return
    if args.output is not None:
        raise UsageError(f"--output belongs to sizes, not to {args.what}")
    for key, default in (("preset", "extd_fpn_32_prelu"), ("weights", None)):
        given = getattr(args, key) or [default]
        if len(given) > 1:
            raise UsageError(f"--{key}: {args.what} takes one, {len(given)} were given")
        setattr(args, key, given[0])


def _built(args: argparse.Namespace) -> tuple[Any, Any]:
    """The network and the config's other parts."""
    import torch

    from facedet.config import build, compose

    torch.manual_seed(0)
    config = compose("train", [f"preset={args.preset}"])
    if args.weights is None:
        return build(config.model.net), config
    from facedet.weights.store import build_net, read_weights

    return build_net(read_weights(args.weights), args.weights), config


def _network(args: argparse.Namespace) -> dict[str, Any]:
    from facedet.commands.benchmark_sizes import square_picture
    from facedet.config import build
    from facedet.profiling.speed import measure_network

    net, config = _built(args)
    rgb = square_picture(args.image, args.size or 640)
    name = str(args.weights) if args.weights else f"{args.preset}, random weights"
    return {"net": name, **measure_network(net, build(config.postprocess), rgb, args.runs)}


def _training(args: argparse.Namespace) -> dict[str, Any]:
    from facedet.config import build
    from facedet.profiling.training_speed import measure_training

    net, config = _built(args)
    root, records = _pictures(args)
    size = args.size or 320
    return {"net": args.preset, "data": str(root)} | measure_training(
        net, build(config.criterion), records, size, args.batch, args.runs
    )


def _training_table(result: dict[str, Any]) -> str:
    from facedet.evaluation.study_files import markdown

    rows = [
        {
            "loop": one["loop"],
            "images/s": f"{one['images_per_second']:.2f}",
            "x plain": f"{one['to_plain']:.2f}",
            "10th to 90th": f"{one['to_plain_low']:.2f} to {one['to_plain_high']:.2f}",
            "x the one before": f"{one['to_before']:.2f}",
        }
        for one in result["loops"]
    ]
    about = f"{result['net']}, {result['batch']} crops of {result['size']} px a step"
    place = f"pictures of {result['data']}, read in the loop's own process"
    return f"{machine_line(result['machine'])}; {about}; {place}\n{markdown(rows)}"


def _mining(args: argparse.Namespace) -> dict[str, Any]:
    from facedet.config import build
    from facedet.profiling.speed import measure_mining

    net, config = _built(args)
    return {"net": args.preset} | measure_mining(
        net, build(config.criterion), args.size or 320, args.batch, args.runs
    )


def _pipeline(args: argparse.Namespace) -> dict[str, Any]:
    from facedet.profiling.pipeline import measure_pipeline

    root, records = _pictures(args)
    return {"data": str(root), **measure_pipeline(records, size=args.size or 640)}


def _pictures(args: argparse.Namespace) -> tuple[Path, list[Any]]:
    """The folder of the training pictures that are drawn from, and the records with faces."""
    from facedet.config import build, compose
    from facedet.data.readers.wider import read_wider

    root = args.data
    if root is None:
        data = build(compose("train").data)
        data.prepare_data()
        root = data.root
    records = read_wider(root, "train", images="present").records
    return root, [record for record in records if not record.ignore.all()]


def _memory(args: argparse.Namespace) -> dict[str, Any]:
    from facedet.errors import UsageError
    from facedet.profiling.memory import measure_memory
    from facedet.weights.store import build_net, read_weights

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
