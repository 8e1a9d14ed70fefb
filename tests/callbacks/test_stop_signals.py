import os
import signal

import pytest

from facedet.callbacks import stop_signals
from facedet.callbacks.stop_signals import StopSignals, requeue


@pytest.fixture
def signals():
    signals = StopSignals()
    yield signals
    signals.restore()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_becomes_a_wish_and_the_handlers_come_back(signals, number, capfd):
    before = signal.getsignal(number)
    signals.install()
    assert signals.agreed() == 0
    os.kill(os.getpid(), number)
    assert signals.agreed() == number
    assert "ending after this step" in capfd.readouterr().err
    signals.restore()
    assert signal.getsignal(number) is before


def test_a_second_signal_ends_at_once_but_not_one_of_the_same_second(signals, monkeypatch):
    clock, ended = [5.0], []
    monkeypatch.setattr(stop_signals.time, "monotonic", lambda: clock[0])
    before = signal.signal(signal.SIGTERM, lambda *_: None)
    signals.install()
    os.kill(os.getpid(), signal.SIGTERM)
    clock[0] = 5.9  # handed on by a `make` that got it too
    os.kill(os.getpid(), signal.SIGTERM)
    assert signals.agreed() == signal.SIGTERM
    monkeypatch.setattr(stop_signals.os, "kill", lambda pid, number: ended.append(number))
    clock[0] = 6.0
    signal.raise_signal(signal.SIGTERM)
    assert ended == [signal.SIGTERM]
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    signal.signal(signal.SIGTERM, before)


def test_slurms_warning_counts_under_slurm_only(signals, monkeypatch):
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    before = signal.getsignal(signal.SIGUSR1)
    signals.install()
    assert signal.getsignal(signal.SIGUSR1) is before
    signals.restore()
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    signals.install()
    os.kill(os.getpid(), signal.SIGUSR1)
    assert signals.agreed() == signal.SIGUSR1


@pytest.fixture
def scontrol(monkeypatch, tmp_path):
    """Makes a program of that name, which does as the line says, on a node of job 17."""

    def make(line):
        script = tmp_path / "scontrol"
        script.write_text(f"#!/bin/sh\n{line}\n")
        script.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
        monkeypatch.setenv("SLURM_JOB_ID", "17")

    return make


def test_requeue_names_the_job(scontrol, monkeypatch, tmp_path):
    called = tmp_path / "called"
    scontrol(f'echo "$@" > {called}')
    requeue()
    assert called.read_text() == "requeue 17\n"
    called.unlink()
    monkeypatch.delenv("SLURM_JOB_ID")
    requeue()
    assert not called.exists()


def test_a_requeue_that_fails_is_said(scontrol, caplog):
    scontrol("echo no such job >&2\nexit 1")
    requeue()
    assert "scontrol requeue 17 failed: no such job" in caplog.text
