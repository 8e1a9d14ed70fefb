"""Ends a training between two steps when a signal asks for it, on all processes at once."""

import logging
import os
import shutil
import signal
import subprocess
import threading
import time
from types import FrameType
from typing import Any

import torch
import torch.distributed as dist

log = logging.getLogger(__name__)

# SLURM sends it before the time is up, where `--signal=USR1@120` asks for it.
# Windows has no such signal.
REQUEUE: int | None = getattr(signal, "SIGUSR1", None)
# A signal to a whole process group comes again from a `make` in it, which hands it on.
_SAME_REQUEST = 1.0  # seconds


class StopSignals:
    """Turns SIGINT, SIGTERM and, under SLURM, SIGUSR1 into a request that is read once a step.

    A second signal, unless it comes in the same second, does at once what it always does.
    """

    def __init__(self) -> None:
        self._received = 0
        self._when = 0.0  # time.monotonic() of it
        self._before: dict[int, Any] = {}
        self._group: Any = None

    def install(self) -> None:
        """Takes the signals over, until `restore`; every process has to call it."""
        self._received = 0
        if dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1:
            # On the CPU: a request on the GPU would wait for all the work queued before it.
            self._group = dist.new_group(backend="gloo")
        if threading.current_thread() is not threading.main_thread():
            return
        slurm = [REQUEUE] if "SLURM_JOB_ID" in os.environ and REQUEUE is not None else []
        for number in (signal.SIGINT, signal.SIGTERM, *slurm):
            self._before[number] = signal.signal(number, self._receive)

    def restore(self) -> None:
        """Gives the signals back."""
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}
        self._group = None

    def agreed(self) -> int:
        """The signal that any process has received, 0 for none; the same in all of them."""
        if self._group is None:
            return self._received
        request = torch.tensor(self._received)
        dist.all_reduce(request, dist.ReduceOp.MAX, group=self._group)
        return int(request)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if self._received and now - self._when >= _SAME_REQUEST:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        if self._received:
            return
        self._received, self._when = number, now
        name = signal.Signals(number).name
        # Not the logger: the signal may have come while it held its lock.
        text = f"\n{name}: ending after this step; once more ends at once, with the last checkpoint"
        os.write(2, f"{text}\n".encode())


def requeue() -> None:
    """Asks SLURM to run this job again, from its start."""
    job = os.environ.get("SLURM_JOB_ID")
    if job is None or not shutil.which("scontrol"):
        return
    done = subprocess.run(["scontrol", "requeue", job], capture_output=True, text=True, check=False)
    if done.returncode:
        log.warning("scontrol requeue %s failed: %s", job, done.stderr.strip())
