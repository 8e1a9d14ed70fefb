"""How many threads a training on the CPU takes: as many as cores are idle when it starts.

The threads of an operation wait for each other: two on two busy cores are slower than one.
"""

import logging
import os
import time
from contextlib import suppress
from pathlib import Path

from omegaconf import DictConfig

from facedet.errors import UsageError
from facedet.structures import CHECKPOINT_KEY
from facedet.training.resume import read_checkpoint
from facedet.training.trainer import uses_gpu

log = logging.getLogger(__name__)

_PROBE_SECONDS = 0.3
_PROC_STAT = Path("/proc/stat")
_CGROUP_LIMIT = Path("/sys/fs/cgroup/cpu.max")


def set_threads(config: DictConfig, resume: str | None) -> int | str:
    """Sets torch's number of threads as `threads` says.

    `auto` takes the number of the run whose checkpoint `resume` is, for another one rounds sums
    differently; else OMP_NUM_THREADS; else the number of idle cores. On a GPU, and with several
    processes, which Lightning gives their threads, it changes nothing.

    Returns:
        What the checkpoints of this run are to say: a number, or `auto` where nothing was changed.

    Raises:
        UsageError: `threads` is neither auto nor a number above 0.
    """
    import torch

    given, most = str(config.get("threads", "auto")), torch.get_num_threads()
    if given != "auto" and not (given.isdecimal() and int(given) > 0):
        raise UsageError(f"threads={given}: expected auto, or a whole number from 1 on")
    before = None
    if resume is not None:
        before = read_checkpoint(resume)[CHECKPOINT_KEY]["config"].get("threads")
    if given != "auto":
        threads = int(given)
    elif uses_gpu(config.trainer) or config.trainer.devices != 1:
        return "auto"
    elif isinstance(before, int):
        threads = before
    elif resume is not None or "OMP_NUM_THREADS" in os.environ:
        threads = most
    else:
        threads = min(idle_cores(), most)
    if isinstance(before, int) and threads != before:
        log.warning(
            "threads=%d, the checkpoint was trained with %d: other roundings, so that the run does "
            "not end as an uninterrupted one to the bit", threads, before,
        )  # fmt: skip
    elif threads < most:
        log.info("%d of %d threads: the other cores are busy; threads=N sets it", threads, most)
    torch.set_num_threads(threads)
    return threads


def idle_cores() -> int:
    """Cores that this process may use and that nobody else uses now, at least 1."""
    cores = os.cpu_count() or 1
    limit = float(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else cores)
    with suppress(OSError, ValueError):  # no such file, or "max": no limit
        quota, period = _CGROUP_LIMIT.read_text(encoding="utf-8").split()
        limit = min(limit, float(quota) / float(period))
    idle = 1.0
    with suppress(OSError, ValueError):
        before = _times()
        time.sleep(_PROBE_SECONDS)
        passed = [after - earlier for after, earlier in zip(_times(), before, strict=True)]
        idle = (passed[3] + passed[4]) / max(1, sum(passed))
    return max(1, min(int(limit), round(cores * idle)))


def _times() -> list[int]:
    """User, nice, system, idle, iowait, irq, softirq and steal of proc(5), in clock ticks."""
    words = _PROC_STAT.read_text(encoding="utf-8").splitlines()[0].split()
    return [int(word) for word in words[1:9]]
