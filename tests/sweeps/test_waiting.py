"""The seconds before a job: since the process was free, and not before the sweep was begun."""

import subprocess
import sys
import time
from contextlib import suppress
from types import SimpleNamespace

from facedet.sweeps import waiting as sweep_waiting
from facedet.sweeps.waiting import at_work


def test_from_one_job_to_the_next(monkeypatch):
    clock = SimpleNamespace(now=100.0)
    monkeypatch.setattr(sweep_waiting, "time", SimpleNamespace(time=lambda: clock.now))
    monkeypatch.setattr(sweep_waiting, "_free_since", [60.0])
    # The process is older than the sweep.
    with at_work(begun=90.0) as waited:
        assert waited == 10.0
        clock.now = 120.0
    clock.now = 121.0
    # Also one that failed.
    with suppress(KeyError), at_work(begun=90.0) as waited:
        clock.now = 150.0
        raise KeyError
    assert waited == 1.0
    clock.now = 153.0
    with at_work(begun=90.0) as waited:
        assert waited == 3.0


def test_the_start_of_a_process():
    before = time.time()
    code = "from facedet.sweeps.waiting import process_start; print(process_start())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    # The system counts in hundredths of a second.
    assert before - 0.05 <= float(done.stdout) <= time.time() + 0.05
