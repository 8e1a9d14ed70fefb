"""Threads of a training: idle cores, the environment, the run that is resumed."""

import logging

import pytest
import torch
from omegaconf import OmegaConf

from facedet.errors import UsageError
from facedet.structures import CHECKPOINT_KEY
from facedet.training import threads as module
from facedet.training.threads import idle_cores, set_threads


def config(threads="auto", devices=1, accelerator="cpu"):
    return OmegaConf.create(
        {"threads": threads, "trainer": {"accelerator": accelerator, "devices": devices}}
    )


@pytest.fixture(autouse=True)
def chosen(monkeypatch):
    """What torch is told; it has eight threads, of which five cores are idle."""
    told = []
    monkeypatch.setattr(torch, "set_num_threads", told.append)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 8)
    monkeypatch.setattr(module, "idle_cores", lambda: 5)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    return told


@pytest.fixture
def checkpoint(monkeypatch):
    """Makes a checkpoint whose training had so many threads."""

    def make(**of_config):
        content = {CHECKPOINT_KEY: {"config": of_config}}
        monkeypatch.setattr(module, "read_checkpoint", lambda path: content)
        return "last.ckpt"

    return make


def test_idle_cores_or_what_is_said(chosen, monkeypatch):
    assert set_threads(config(), None) == 5
    assert set_threads(config("3"), None) == set_threads(config(3), None) == 3
    assert set_threads(config(devices=2), None) == "auto"  # Lightning divides them
    monkeypatch.setenv("OMP_NUM_THREADS", "8")
    assert set_threads(config(), None) == 8
    assert chosen == [5, 3, 3, 8]


def test_a_resumed_run_keeps_its_number(checkpoint, caplog):
    assert set_threads(config(), checkpoint(threads=2)) == 2
    assert set_threads(config(), checkpoint(threads="auto")) == 8
    assert set_threads(config(), checkpoint()) == 8  # of a version that left it to torch
    with caplog.at_level(logging.WARNING):
        assert set_threads(config(4), checkpoint(threads=2)) == 4
    assert "threads=4, the checkpoint was trained with 2: other roundings" in caplog.text


@pytest.mark.parametrize("wrong", ["0", "-1", "many", "1.5"])
def test_what_is_no_number_is_refused(wrong):
    with pytest.raises(UsageError, match=f"threads={wrong}: expected auto"):
        set_threads(config(wrong), None)


@pytest.mark.parametrize(
    ("idle", "limit", "allowed", "cores"),
    [
        (80, "max 100000", 4, 3),
        (0, "max 100000", 4, 1),
        (100, "200000 100000", 4, 2),
        (100, "50000 100000", 4, 1),
        (100, "max 100000", 2, 2),  # as taskset and SLURM leave a process
    ],
)
def test_the_cores_of_four_that_are_left(tmp_path, monkeypatch, idle, limit, allowed, cores):
    """`idle` of 100 ticks pass without work."""
    stat, cgroup = tmp_path / "stat", tmp_path / "cpu.max"
    stat.write_text("cpu  5 5 5 5 5 5 5 5 0 0\ncpu0 1\n")
    cgroup.write_text(limit + "\n")
    monkeypatch.setattr(module, "_PROC_STAT", stat)
    monkeypatch.setattr(module, "_CGROUP_LIMIT", cgroup)
    monkeypatch.setattr(module.os, "cpu_count", lambda: 4)
    monkeypatch.setattr(module.os, "sched_getaffinity", lambda pid: range(allowed), raising=False)

    def sleep(seconds):
        stat.write_text(f"cpu  {5 + 100 - idle} 5 5 {5 + idle} 5 5 5 5 0 0\n")

    monkeypatch.setattr(module.time, "sleep", sleep)
    assert idle_cores() == cores
