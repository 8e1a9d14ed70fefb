"""What precedes a job of a sweep in its process: imports, and Hydra's composing of its config."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def process_start() -> float:
    """When this process was started, s since 1970; where the system does not tell, now."""
    try:
        fields = Path("/proc/self/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        # The 22nd field of proc(5), in clock ticks since the machine was started.
        seconds = int(fields[19]) / os.sysconf("SC_CLK_TCK")
        return time.time() - time.clock_gettime(time.CLOCK_BOOTTIME) + seconds
    except (OSError, AttributeError):
        return time.time()


_free_since = [process_start()]


@contextmanager
def at_work(begun: float) -> Iterator[float]:
    """Marks this process as busy with a job while the block runs.

    Args:
        begun: when the sweep was started, s since 1970.

    Yields:
        Seconds since this process ended its job before, or was started; none before `begun` count.
    """
    try:
        yield time.time() - max(_free_since[0], begun)
    finally:
        _free_since[0] = time.time()
