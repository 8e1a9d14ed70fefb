"""`facedet benchmark`: what detectors take on this machine, as ratios taken in one run."""

import argparse
import json
import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from facedet.option_types import count
from facedet.training import COMMAND

HELP = """Time detectors on this machine, folded as `facedet predict` runs them. Speeds are ratios
of runs taken in turn, after a warm-up, as medians with 10th and 90th percentiles:
  network   one detector on one picture: preparation, network (plain and folded), postprocessing
  sizes     several detectors over picture sizes, each in turn with the first; with their
            parameters and multiply-adds; --output writes the table as sizes.csv and sizes.json
  engines   weights in PyTorch, ONNX Runtime and OpenVINO, and exported files, in turn: the whole
            call and its parts on a VGA picture with faces or --image, the file's size, with
            --memory the peak of a process, with --data the AP by each engine; --output writes
            engines.csv, engines.json and, with --data, engines.png (AP over milliseconds)
--output FILE.json writes that one file, as docs/measured/ has them for the model zoo."""
EXAMPLE = """examples:
  facedet benchmark network --preset extd_fpn_64_prelu
  facedet benchmark sizes --weights extd64.safetensors --preset s3fd_vgg16 --sizes 320,640,1024
  facedet benchmark engines --weights extd-plain-32-s8 int8.onnx --data WIDER --limit 50"""
_USUAL = ["extd_fpn_32_prelu"]  # the network that is timed where none is named
# Measurements of the training and of memory are scripts next to the tests.
_SCRIPTS = ("training", "mining", "pipeline", "memory")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    add = parser.add_argument
    add("what", type=_what, metavar="{network,sizes,engines}", help="what is timed")
    add("--preset", nargs="+", default=[], help="networks with random weights")
    add("--weights", nargs="+", default=[], help="files or names")
    add("--image", type=Path, help="picture, resized to squares but for engines (noise)")
    add("--size", type=count, default=640, help="network: side, px (640)")
    add("--sizes", type=_sides, default=[320, 640], help="sides, px (320,640)")
    add("--data", type=Path, help="engines: folder of WIDER FACE, for the AP")
    add("--limit", type=count, help="engines: pictures of --data (all)")
    add("--memory", action="store_true", help="engines: peak memory, in processes")
    text = "engines: first the networks as trained, in PyTorch"
    add("--unfolded", action="store_true", help=text)
    add("--output", type=Path, help="sizes, engines: folder for the table, or a .json file")
    add("--runs", type=count, default=20, help="pairs of timed runs (20)")
    add("--threads", type=count, help="CPU threads (torch's default)")
    add("--json", action="store_true", help="print one JSON object")


def _what(word: str) -> str:
    if word in _SCRIPTS:
        script = f"python tests/benchmarks/{word}.py"
        raise argparse.ArgumentTypeError(f"{word} is now a script: {script}")
    if word not in ("network", "sizes", "engines"):
        raise argparse.ArgumentTypeError(f"{word}: expected network, sizes or engines")
    return word


def _sides(text: str) -> list[int]:
    """Whole numbers above 0 separated by commas, sorted, each once."""
    return sorted({count(one) for one in text.split(",")})


def run(args: argparse.Namespace) -> int:
    """Measures and prints."""
    import torch

    from facedet.evaluation.contenders import contenders_of, square_picture
    from facedet.profiling.latency import measure_network, measure_sizes
    from facedet.profiling.report import network_text, save_rows, sizes_text
    from facedet.profiling.timing import describe_machine

    _check(args)
    if args.threads:
        torch.set_num_threads(args.threads)
    text: Callable[[dict[str, Any]], str]
    if args.what == "engines":
        from facedet.evaluation.engines import draw_engines, engines_text

        result, text = _engines(args), engines_text
    elif args.what == "network":
        (contender,) = contenders_of(args.weights, args.preset or ([] if args.weights else _USUAL))
        picture, text = square_picture(args.image, args.size), network_text
        result = measure_network(contender, picture, args.runs)
    else:
        contenders = contenders_of(args.weights, args.preset)
        pictures = [square_picture(args.image, side) for side in args.sizes]
        rows = measure_sizes(contenders, pictures, args.runs)
        result, text = {"pictures": str(args.image or "noise"), "rows": rows}, sizes_text
    made = {"date": f"{datetime.now(UTC):%Y-%m-%d}", "command": os.environ.get(COMMAND, "")}
    result = {"what": args.what, **made, **result, "machine": describe_machine()}
    print(json.dumps(result, indent=1) if args.json else text(result))
    if args.output is not None:
        save_rows(args.output, result)
        if args.data is not None and args.output.suffix != ".json":
            draw_engines(args.output / "engines.png", result["rows"])
    return 0


def _check(args: argparse.Namespace) -> None:
    from facedet.errors import UsageError

    named = len(args.weights) + len(args.preset)
    if args.output is not None and args.what == "network":
        raise UsageError("--output belongs to sizes and engines, not to network")
    if args.what == "network" and named > 1:
        raise UsageError(f"benchmark network times one detector, {named} were given")
    if args.what == "sizes" and not named:
        raise UsageError("benchmark sizes expects --weights FILE … or --preset NAME …")
    if args.what == "engines" and (args.preset or not args.weights):
        raise UsageError("benchmark engines expects --weights FILE …, and no --preset")
    if args.what != "engines" and (args.data or args.limit or args.memory or args.unfolded):
        options = "--data, --limit, --memory and --unfolded"
        raise UsageError(f"{options} belong to engines, not to {args.what}")


def _engines(args: argparse.Namespace) -> dict[str, Any]:
    from facedet.data.images import read_image
    from facedet.evaluation.engines import compare_engines, entries
    from facedet.export.pictures import embedded_pictures

    if args.image is None:
        # A crowd of the embedded data, cut to VGA.
        rgb = embedded_pictures("val", 1, 640)[0][:480]
    else:
        rgb = read_image(args.image).rgb
    rows = compare_engines(
        entries(args.weights, args.unfolded),
        rgb,
        args.runs,
        args.threads,
        args.data,
        args.limit,
        args.memory,
    )
    picture = f"{args.image or 'embedded crowd'}, {rgb.shape[1]} x {rgb.shape[0]} px"
    return {"pictures": picture, "rows": rows}
