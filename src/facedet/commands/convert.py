"""`facedet convert`: weights of others, or a checkpoint, to a weights file of ours."""

import argparse
from pathlib import Path

HELP = """Turn released EXTD weights (EXTD_32.pth, EXTD_48.pth, EXTD_64.pth), or a training
checkpoint, into a safetensors file that carries its own network description. Known files are
checked by SHA-256; only tensors are read, nothing in the file is run."""
EXAMPLE = """example:
  facedet convert EXTD_64.pth extd64.safetensors"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    parser.add_argument("source", type=Path, help="released .pth, or a .ckpt of a training")
    parser.add_argument("target", type=Path, help="the .safetensors file to write")
    parser.add_argument("--force", action="store_true", help="replace an existing target")


def run(args: argparse.Namespace) -> int:
    """Converts, and loads the result once to see that it works."""
    from facedet.errors import UsageError
    from facedet.weights.store import build_net, read_weights, save_weights

    if args.target.suffix != ".safetensors":
        raise UsageError(f"{args.target}: the target's name must end in .safetensors")
    if args.target.exists() and not args.force:
        raise UsageError(f"{args.target} exists already: add --force to replace it")
    weights = read_weights(args.source)
    net = build_net(weights, args.source)
    save_weights(args.target, weights)
    parameters = sum(value.numel() for value in net.parameters())
    size = args.target.stat().st_size
    source = weights.info["source"]
    print(f"{args.target}: {parameters:,} parameters, {size / 1e6:.2f} MB, {source}")
    return 0
