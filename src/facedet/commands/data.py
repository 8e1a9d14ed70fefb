"""`facedet data`: make the embedded data set, or count what a data set holds."""

import argparse
from pathlib import Path

HELP = """Make the embedded crowds in a folder, or read a data set's annotations and say what they
hold and what is left out of the training, and why."""
EXAMPLE = """examples:
  facedet data crowds --root crowds/
  facedet data count --root /data/wider --split train"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    parser.add_argument("action", choices=("crowds", "count"), help="what to do")
    parser.add_argument("--root", type=Path, required=True, help="folder of the data set")
    parser.add_argument("--split", choices=("train", "val"), default="train", help="for count")


def run(args: argparse.Namespace) -> int:
    """Makes or counts."""
    from facedet.config import build, compose
    from facedet.data.wider import read_wider

    if args.action == "crowds":
        # The size and number of the pictures are said once, in conf/data/crowds.yaml.
        print(build(compose("train").data.prepare)(args.root))
        return 0
    rest = "drop" if args.split == "train" else "keep"
    reading = read_wider(args.root, args.split, images="present", zero_size=rest, faceless=rest)
    for what, number in reading.counts.items():
        print(f"{number:>9,}  {what.replace('_', ' ')}")
    return 0
