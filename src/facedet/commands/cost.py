"""`facedet cost`: parameters and multiply-adds of every preset."""

import argparse
import json

from facedet.option_types import count

HELP = """List parameters and multiply-adds of every preset for one image. Two counts: `true` counts
every use of a convolution; `paper` counts each convolution once, as EXTD's paper does, and so
ignores that its backbone is applied six times ("-": a network that paper's count does not fit)."""
EXAMPLE = """examples:
  facedet cost
  facedet cost extd_fpn_64_prelu --size 480 640 --json"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    add = parser.add_argument
    add("presets", nargs="*", help="presets (all)")
    sides = ("HEIGHT", "WIDTH")
    add("--size", nargs=2, type=count, default=(640, 640), metavar=sides, help="640 640")
    add("--json", action="store_true", help="print a list of objects")


def run(args: argparse.Namespace) -> int:
    """Counts and prints, each preset as soon as it is counted."""
    from tqdm import tqdm

    from facedet.config import presets

    names = args.presets or presets()
    if args.json:
        # The list is one text: until it is there a bar on the terminal shows how far it is.
        bar = tqdm(names, unit="preset", leave=False, disable=None)
        print(json.dumps([_count(name, args.size) for name in bar], indent=1))
        return 0
    height, width = args.size
    print(f"{'preset':26} {'parameters':>11} {'true G':>9} {'paper G':>9}   at {height} x {width}")
    for name in names:
        row = _count(name, args.size)
        paper = "-" if row["madds_paper"] is None else f"{row['madds_paper'] / 1e9:.4f}"
        cells = f"{row['parameters']:>11,} {row['madds'] / 1e9:>9.4f} {paper:>9}"
        print(f"{name:26} {cells}", flush=True)
    print("true: multiply-adds with every use counted; paper: each convolution once (no reuse)")
    return 0


def _count(name: str, size: tuple[int, int]) -> dict:
    import torch

    from facedet.config import build, compose
    from facedet.profiling.cost import measure_cost

    config = compose("network", [f"preset={name}"])
    # Without memory for weights, and without drawing random ones.
    with torch.device("meta"):
        net = build(config.model.net)
    return {"preset": name, "size": list(size), **measure_cost(net, (size[0], size[1]))._asdict()}
