"""Where a network runs: the device of a name, and whether this process can run it at all."""

import os

import torch

from facedet.errors import FacedetError, UsageError, first_line

# The process in which PyTorch has started its threads.
_process: int | None = None


def find_device(name: str | int | torch.device = "auto") -> torch.device:
    """The device of that name, after a check that it can be used.

    Args:
        name: `auto` (the first GPU, else Apple's, else the CPU), `cpu`, `cuda`, `cuda:1`, `mps`, or
            the number of a GPU.

    Raises:
        UsageError: that is no name of a device.
        FacedetError: there is no such device on this machine.
    """
    text = str(name).strip().lower()
    if text == "auto":
        gpu = "mps" if torch.backends.mps.is_available() else "cpu"
        return torch.device("cuda" if torch.cuda.is_available() else gpu)
    if text.isdecimal():
        text = f"cuda:{text}"
    kind, colon, number = text.partition(":")
    if kind not in ("cpu", "cuda", "mps", "xpu") or (colon and not number.isdecimal()):
        raise UsageError(f"device={name}: expected auto, cpu, cuda, cuda:N, N or mps")
    try:
        device = torch.device(text)
        torch.zeros(1, device=device)
    # A build without the device asserts, a machine without it is a RuntimeError.
    except (AssertionError, NotImplementedError, RuntimeError) as error:
        said = f"device={name} cannot be used, cpu can: {first_line(error)}"
        raise FacedetError(said) from error
    return device


def check_process() -> None:
    """Refuses a forked process: its first parallel operation would wait for threads for ever.

    Raises:
        FacedetError: names the ways that work.
    """
    global _process
    if _process is None:
        _process = os.getpid()
    if _process != os.getpid() and torch.get_num_threads() > 1:
        raise FacedetError(
            "this process was forked from one in which facedet was loaded, and PyTorch's threads "
            "do not survive a fork: take multiprocessing.get_context('spawn'), or call "
            "torch.set_num_threads(1) in each process"
        )
