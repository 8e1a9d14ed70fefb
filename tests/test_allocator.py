"""Freed memory kept for the next allocation.

Each test measures a process of its own: where memory has once run out, glibc allocates elsewhere.
"""

import subprocess
import sys

import pytest

from facedet.allocator import give_back_above, keep_freed_memory

on_linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="malloc of glibc")

MEASURING = """
import resource, sys, torch
from pathlib import Path
from facedet.allocator import give_back_above, keep_freed_memory
MIB = 1024**2
def faults(rounds):
    # Pages faulted in by taking and freeing 64 MiB so often, 16,384 pages of 4 KiB each time.
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(rounds):
        torch.ones(16 * MIB)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
if not keep_freed_memory():
    sys.exit(3)
"""


def measure(code):
    done = subprocess.run([sys.executable, "-c", MEASURING + code], capture_output=True, text=True)
    if done.returncode == 3:
        pytest.skip("malloc is not glibc's")
    assert done.returncode == 0, done.stderr


@on_linux
def test_what_was_freed_is_taken_again():
    measure("""
faults(12)  # the heap grows until a block fits between its aligned neighbours
assert faults(10) < 1000
""")


@on_linux
def test_kept_memory_goes_back_above_a_limit():
    measure("""
before = resident()
blocks = [torch.ones(size * MIB // 4) for size in (64, 128, 192, 128, 128)]  # 640 MiB in all
del blocks
assert resident() > before + 600 * MIB
assert not give_back_above(1024 * MIB)
assert resident() > before + 600 * MIB
assert give_back_above(512 * MIB)
assert resident() < before + 64 * MIB
""")


def test_elsewhere_it_says_that_it_cannot(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    assert not keep_freed_memory()
    assert not give_back_above(0)
