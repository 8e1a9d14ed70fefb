"""`facedet COMMAND …`: one module per command in `facedet.commands`, imported when it is called."""

import argparse
import importlib
import io
import os
import shlex
import sys
import warnings
from collections.abc import Sequence
from typing import NoReturn

from facedet import __version__
from facedet.errors import FacedetError, UsageError, nearest
from facedet.training import COMMAND

COMMANDS = {
    "train": "train a detector; every part is one word",
    "sweep": "train a grid, such as the paper's 18 EXTD models",
    "evaluate": "measure weights on a data set by a benchmark's protocol",
    "reproduce": "the papers' experiments: expected, ours, and whether it holds",
    "compare": "own results on WIDER FACE beside the published ones",
    "predict": "find the faces in pictures and videos",
    "app": "find faces in a page of this machine: pictures, folders, videos, webcam",
    "diagnose": "why an AP is low: faces not found, wrong boxes, what each costs",
    "score": "score anybody's detection files, without a network",
    "weights": "shipped and released weights by name: list, fetch, average, push …",
    "export": "write a detector as an ONNX, OpenVINO or TorchScript file, or a web page",
    "cost": "parameters and multiply-adds of every preset",
    "benchmark": "time detectors on this machine, by picture size and by engine",
    "data": "make the embedded data; count, check or convert anybody's",
}
# Words of earlier versions: what to type instead.
REMOVED = {
    "study": "facedet evaluate -m KEY=A,B runs the grid, -m -cn shf_pyramid the pyramid's sizes",
    "hardest": "a training with mining=him writes hardest.csv and hardest.png into its folder",
}
# Words of earlier versions that still work.
ALIASES = {"convert": ("weights", "convert")}
EPILOG = """examples:
  facedet train                                      the embedded data, about five minutes
  facedet train data=wider data.root=PATH experiment=extd_fpn_64_prelu
  facedet predict photo.jpg folder/ --output out/     with the weights that are shipped
  facedet weights fetch extd-released-64
  facedet evaluate weights=extd-released-64 data=wider data.root=PATH protocol=wider

`facedet COMMAND --help` explains a command."""


_ASK = 'COMP_LINE="{line}" facedet "{command}" -sc query=bash 2>/dev/null'
_KEYS = {
    "bash": "_facedet_keys",
    "zsh": "_facedet_keys",
    "preamble": {
        # As Hydra's own completion does: KEY=VALUE is one word.
        "bash": 'COMP_WORDBREAKS=${COMP_WORDBREAKS//=}\n_facedet_keys() {\n  compgen -W "$('
        + _ASK.format(line="$COMP_LINE", command="${COMP_WORDS[1]}")
        + ')" -- "$1"\n}',
        "zsh": "_facedet_keys() {\n  local -a keys\n  keys=(${=$("
        + _ASK.format(line="facedet ${(j: :)words}", command="${words[1]}")
        + ")})\n  compadd -S '' -- $keys\n}",
    },
}


class Parser(argparse.ArgumentParser):
    """A parser that says what is wrong in one line, without a page of usage before it."""

    def error(self, message: str) -> NoReturn:
        """Ends the program."""
        self.exit(2, f"{self.prog}: {message} (see {self.prog} --help)\n")


def make_parser() -> Parser:
    """The parser of the top level; the commands add theirs."""
    parser = Parser(
        prog="facedet",
        description="Face detectors of a few hundred kilobytes, and the experiments behind them.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("-V", "--version", action="version", version=f"facedet {__version__}")
    parser.add_argument(
        "--print-completion",
        choices=("bash", "zsh"),
        help='for eval "$(facedet --print-completion bash)": complete commands, options and keys',
    )
    return parser


def add_commands(parser: Parser, is_complete: bool = False) -> None:
    """Adds the commands, by name or, for a shell's completion, with all of their arguments."""
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    for name, text in COMMANDS.items():
        command = commands.add_parser(name, help=text, add_help=is_complete)
        if is_complete:
            importlib.import_module(f"facedet.commands.{name}").add_arguments(command)
            for action in command._actions:
                if isinstance(action.choices, dict):  # which shtab takes for commands
                    action.choices = list(action.choices)
                if action.dest == "overrides":
                    action.complete = _KEYS  # type: ignore[attr-defined]  # shtab's attribute


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command.

    Returns:
        0: all well; 1: something asked for failed; 2: wrong usage.
    """
    argv = list(sys.argv[1:] if argv is None else argv)
    if argv and argv[0] in ALIASES:
        argv[:1] = ALIASES[argv[0]]
    if not argv or argv[0] not in COMMANDS:
        return _without_command(argv)
    name = argv[0]
    os.environ[COMMAND] = shlex.join(["facedet", *argv])
    _quiet_libraries()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A file name may hold bytes that the terminal's encoding has no letters for.
            stream.reconfigure(errors="backslashreplace")
    try:
        code = _run(name, argv[1:])
        # What the buffer still holds would fail after this function, past all handling.
        sys.stdout.flush()
    except FacedetError as error:
        _say(name, str(error))
        code = error.exit_code
    except BrokenPipeError:
        # The reader of the output is gone (`| head`); nothing is left to be said to it.
        code = 1
    except OSError as error:
        _say(name, f"{error.filename or 'the output'}: {error.strerror or error}")
        code = 1
    except KeyboardInterrupt:
        _say(name, "interrupted")
        code = 130
    _settle_output()
    return code


def _quiet_libraries() -> None:
    """Silences warnings about single files: what matters comes as an error that names the file."""
    warnings.filterwarnings("ignore", module="PIL")
    warnings.filterwarnings("ignore", "Detected pickle protocol")  # of `torch.load`


def _without_command(argv: list[str]) -> int:
    """Prints the help or the completion, or what is wrong with the first word."""
    parser = make_parser()
    if argv and argv[0] in REMOVED:
        parser.error(f"{argv[0]} is no longer a command: {REMOVED[argv[0]]}")
    if argv and argv[0] in ("-sc", "--shell-completion"):
        return _complete_keys(argv)
    if argv and argv[0].startswith("--print-c"):
        import shtab

        add_commands(parser, is_complete=True)
        print(shtab.complete(parser, parser.parse_args(argv).print_completion))
        return 0
    add_commands(parser)
    if argv and not argv[0].startswith("-"):
        hint = nearest(argv[0], COMMANDS) or f"; there are {', '.join(COMMANDS)}"
        parser.error(f"{argv[0]}: there is no such command{hint}")
    if argv:
        parser.parse_args(argv)
    parser.print_help()
    return UsageError.exit_code


def _complete_keys(argv: list[str]) -> int:
    """Answers what Hydra's own completion (`facedet train -sc install=bash`) asks for."""
    words = os.environ.get("COMP_LINE", "").split()
    if len(words) > 1 and words[1] in COMMANDS:
        return main([words[1], *argv])
    print(*COMMANDS)
    return 0


def _run(name: str, argv: list[str]) -> int:
    module = importlib.import_module(f"facedet.commands.{name}")
    # `sweep report`: a command's further ones lie in modules of their own.
    further = getattr(module, "FURTHER", {})
    if argv and argv[0] in further:
        name, argv = f"{name} {argv[0]}", argv[1:]
        module = importlib.import_module(f"facedet.commands.{further[name.split()[1]]}")
    parser = Parser(
        prog=f"facedet {name}",
        description=module.HELP,
        epilog=module.EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    module.add_arguments(parser)
    # Options may stand between the words, `predict a.jpg --weights W b.jpg`, but for `-- -a.jpg`.
    parse = parser.parse_args if "--" in argv else parser.parse_intermixed_args
    return module.run(parse(argv))


def _say(name: str, text: str) -> None:
    print(f"facedet {name}: {text}", file=sys.stderr)


def _settle_output() -> None:
    """Keeps Python from a last vain attempt, and a traceback, where stdout takes no more."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    sys.exit(main())
