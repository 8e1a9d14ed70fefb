"""Freed memory kept for the next allocation."""

import resource
import sys
from pathlib import Path

import pytest
import torch

from facedet.allocator import give_back_above, keep_freed_memory

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="malloc of glibc")


@pytest.fixture
def defaults():
    yield
    keep_freed_memory(False)


def faults(rounds):
    """Pages faulted in by taking and freeing 64 MiB so often, 16,384 pages of 4 KiB each time."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(rounds):
        torch.ones(16 * 1024**2)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


def test_what_was_freed_is_taken_again(defaults):
    if not keep_freed_memory():
        pytest.skip("malloc is not glibc's")
    faults(12)  # the heap grows until a block fits between its aligned neighbours
    assert faults(10) < 1000
    keep_freed_memory(False)
    # All is gone; pages may be huge ones of 2 MiB.
    assert faults(1) >= 32


def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def test_kept_memory_goes_back_above_a_limit(defaults):
    if not keep_freed_memory():
        pytest.skip("malloc is not glibc's")
    before = resident()
    # Blocks of growing sizes; 640 MiB in all, of which the last alone needs 128.
    blocks = [torch.ones(size * 1024**2 // 4) for size in (64, 128, 192, 128, 128)]
    del blocks
    taken = resident()
    assert taken > before + 600 * 1024**2
    assert not give_back_above(taken + 1024**2)
    assert resident() > before + 600 * 1024**2
    assert give_back_above(before)
    assert resident() < before + 64 * 1024**2


def test_elsewhere_it_says_that_it_cannot(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    assert not keep_freed_memory()
    assert not give_back_above(0)
