"""`facedet COMMAND …`: one module per command in `facedet.commands`, imported when it is called."""

import argparse
import importlib
import os
import sys
from collections.abc import Sequence

from facedet import __version__
from facedet.errors import FacedetError

COMMANDS = {
    "train": "train a detector; every part is one word",
    "sweep": "train a grid, such as the paper's 18 EXTD models",
    "evaluate": "measure weights on a data set by a benchmark's protocol",
    "predict": "find the faces in pictures and folders",
    "score": "score anybody's detection files, without a network",
    "convert": "turn released weights or a checkpoint into a weights file",
    "cost": "parameters and multiply-adds of every preset",
    "benchmark": "time the network, the training step and the input pipeline on this machine",
    "data": "make the embedded data set, or count what a data set holds",
}
EPILOG = """examples:
  facedet train                                      the embedded data, about five minutes
  facedet train data=wider data.root=PATH experiment=extd_fpn_64_prelu
  facedet convert EXTD_64.pth extd64.safetensors
  facedet predict photo.jpg folder/ --weights extd64.safetensors --output out/
  facedet evaluate weights=extd64.safetensors data=wider data.root=PATH protocol=wider

`facedet COMMAND --help` explains a command."""


def make_parser() -> argparse.ArgumentParser:
    """The parser of the top level; the commands add theirs."""
    parser = argparse.ArgumentParser(
        prog="facedet",
        description="Face detectors of a few hundred kilobytes, and the experiments behind them.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"facedet {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    for name, text in COMMANDS.items():
        commands.add_parser(name, help=text, add_help=False)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command.

    Returns:
        0: all well; 1: something asked for failed; 2: wrong usage.
    """
    argv = list(sys.argv[1:] if argv is None else argv)
    if not argv or argv[0] not in COMMANDS:
        parser = make_parser()
        if argv:
            parser.parse_args(argv)
        parser.print_help()
        return 2
    module = importlib.import_module(f"facedet.commands.{argv[0]}")
    parser = argparse.ArgumentParser(
        prog=f"facedet {argv[0]}",
        description=module.HELP,
        epilog=module.EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    module.add_arguments(parser)
    try:
        return module.run(parser.parse_args(argv[1:]))
    except FacedetError as error:
        print(f"facedet {argv[0]}: {error}", file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:
        # The reader of the output is gone (`| head`); nothing is left to be said to it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        print(f"facedet {argv[0]}: interrupted", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
