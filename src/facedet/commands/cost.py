"""`facedet cost`: parameters and multiply-adds of every preset."""

import argparse
import json

from facedet.commands.option_types import count

HELP = """List parameters and multiply-adds of every preset for one image. Two counts: `true` counts
every use of a convolution; `paper` counts each convolution once, as EXTD's paper does, and so
ignores that its backbone is applied six times ("-": a network that paper's count does not fit)."""
EXAMPLE = """examples:
  facedet cost
  facedet cost extd_fpn_64_prelu --size 480 640 --json"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    parser.add_argument("presets", nargs="*", help="presets (all)")
    parser.add_argument(
        "--size",
        nargs=2,
        type=count,
        default=(640, 640),
        metavar=("HEIGHT", "WIDTH"),
        help="640 640",
    )
    parser.add_argument("--json", action="store_true", help="print a list of objects")


def run(args: argparse.Namespace) -> int:
    """Counts and prints."""
    from facedet.config import build, compose, presets
    from facedet.profiling.cost import measure_cost

    rows = []
    for name in args.presets or presets():
        net = build(compose("train", [f"preset={name}"]).model.net)
        cost = measure_cost(net, tuple(args.size))
        rows.append({"preset": name, "size": list(args.size), **cost._asdict()})
    if args.json:
        print(json.dumps(rows, indent=1))
        return 0
    height, width = args.size
    print(f"{'preset':26} {'parameters':>11} {'true G':>9} {'paper G':>9}   at {height} x {width}")
    for row in rows:
        paper = "-" if row["madds_paper"] is None else f"{row['madds_paper'] / 1e9:.4f}"
        print(f"{row['preset']:26} {row['parameters']:>11,} {row['madds'] / 1e9:>9.4f} {paper:>9}")
    print("true: multiply-adds with every use counted; paper: each convolution once (no reuse)")
    return 0
