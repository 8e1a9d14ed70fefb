"""Commands in processes of their own, to be killed."""

import os
import sys
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from pathlib import Path

import torch

from facedet.cli import main

# Takes what a training needs, which takes seconds, into each process that is forked from it.
_SERVER = get_context("forkserver")
_LATER = ("matplotlib.pyplot", "pytorch_lightning", "torch._dynamo")


def start(words: list[str], log: Path) -> BaseProcess:
    """Starts `facedet WORDS` in a process group of its own, with one thread; `log` has its output.

    Modules of the package that this process has are not imported once more.
    """
    own = [name for name in sys.modules if name.startswith("facedet.")]
    _SERVER.set_forkserver_preload([*own, *_LATER])
    process = _SERVER.Process(target=_run, args=(words, log))
    process.start()
    return process


def finish(words: list[str], log: Path) -> None:
    """Runs the command to its end, which is its success."""
    process = start(words, log)
    process.join(300)
    assert process.exitcode == 0, log.read_text(errors="replace")


def _run(words: list[str], log: Path) -> None:
    os.setsid()
    with log.open("ab") as stream:
        os.dup2(stream.fileno(), 1)
        os.dup2(stream.fileno(), 2)
    os.environ["OMP_NUM_THREADS"] = "1"
    torch.set_num_threads(1)
    sys.exit(main(words))
