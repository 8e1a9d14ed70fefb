"""A sweep that is killed at random moments and started again ends as one that was not.

FACEDET_SWEEP_KILLS=10 FACEDET_SWEEP_JOBS=6 kills more often, over more jobs.
"""

import json
import os
import random
import signal
import time

import pytest
import torch

from facedet.cli import main
from facedet.data.crowds.dataset import ensure_crowds
from facedet.sweeps.jobs import state_of
from facedet.weights.store import read_weights
from reference.commands import finish, start
from reference.small_training import SMALL_TRAINING, TINY_NET, one_thread

KILLS = int(os.environ.get("FACEDET_SWEEP_KILLS", "2"))
JOBS = int(os.environ.get("FACEDET_SWEEP_JOBS", "3"))
STEPS = 6
SETTINGS = [
    *SMALL_TRAINING, *TINY_NET, "data.prepare=null", f"trainer.max_steps={STEPS}", f"seeds={JOBS}",
    "trainer.val_check_interval=3", "trainer.precision=32-true",
    "callbacks.last.every_n_train_steps=1", "callbacks.freeze_norm.from_step=4",
]  # fmt: skip


@pytest.fixture(scope="module")
def crowds(tmp_path_factory):
    root = tmp_path_factory.mktemp("data") / "crowds"
    return ensure_crowds(root, train_images=3, val_images=1, size=128, progress=False)


def words(root, folder):
    return ["sweep", "seeds", *SETTINGS, f"data.root={root}", "--dir", str(folder)]


def finished(folder):
    """By hash, the records of the finished jobs; half a moment old, but never half a file."""
    records = {
        path.parent.name: json.loads(path.read_text()) for path in folder.glob("jobs/*/job.json")
    }
    # Only the last write of a record has an objective.
    return {name: record for name, record in records.items() if "objective" in record}


def signs(folder):
    """How far it has come: checkpoints change when a job takes a step."""
    return {path: path.stat().st_mtime_ns for path in folder.glob("jobs/*/checkpoints/last.ckpt")}


@pytest.mark.slow
def test_killed_at_random_moments_a_sweep_ends_the_same(crowds, tmp_path):
    whole, folder = tmp_path / "whole", tmp_path / "killed"
    with one_thread():
        assert main(words(crowds, whole)) == 0
    draw, ended, log = random.Random(0), {}, tmp_path / "killed.log"
    for number in range(KILLS):
        process, before = start(words(crowds, folder), log), signs(folder)
        began = time.monotonic()
        # Starting takes seconds in which nothing happens: the kills shall hit the trainings.
        while process.is_alive() and (
            signs(folder) == before or len(finished(folder)) < number * (JOBS - 1) // KILLS
        ):
            time.sleep(0.02)
            assert time.monotonic() - began < 300
        time.sleep(draw.uniform(0, 1))
        if process.is_alive():
            os.killpg(process.pid, signal.SIGKILL)
        process.join()
        # What was finished at an earlier kill was not touched since.
        assert ended.items() <= finished(folder).items()
        ended = finished(folder)
    finish(words(crowds, folder), log)
    assert ended.items() <= finished(folder).items()
    print(f"{len(ended)} of {JOBS} jobs had ended before the last start")
    expected, found = finished(whole), finished(folder)
    assert len(expected) == JOBS
    assert expected.keys() == found.keys()
    for name, record in expected.items():
        assert state_of(folder / "jobs" / name) == "finished"
        assert found[name]["objective"] == record["objective"]
        assert found[name]["metrics"] == record["metrics"]
        states = [read_weights(f / "jobs" / name / "weights.safetensors").state
                  for f in (whole, folder)]  # fmt: skip
        assert all(torch.equal(value, states[1][key]) for key, value in states[0].items())
    # To the end each job was trained once.
    assert log.read_text(errors="replace").count(f"trained {STEPS} steps") <= JOBS + KILLS


@pytest.mark.slow
@pytest.mark.parametrize("is_ctrl_c", [False, True], ids=["SIGTERM", "Ctrl-C"])
def test_a_signal_to_a_sweep_of_joblib_saves_what_its_workers_run(crowds, tmp_path, is_ctrl_c):
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher", reason="facedet[joblib] is missing")
    folder, log = tmp_path / "sweep", tmp_path / "log"
    more = ("launcher=joblib", "seeds=2", "trainer.max_steps=100000")
    process = start([*words(crowds, folder), *more], log)
    began = time.monotonic()
    while len(signs(folder)) < 2:
        time.sleep(0.1)
        assert process.is_alive(), log.read_text(errors="replace")
        assert time.monotonic() - began < 600
    if is_ctrl_c:
        os.killpg(process.pid, signal.SIGINT)
    else:
        os.kill(process.pid, signal.SIGTERM)
    process.join(120)
    assert process.exitcode == 128 + (signal.SIGINT if is_ctrl_c else signal.SIGTERM)
    assert log.read_text(errors="replace").count("everything is saved; the same command") == 2
    assert [state_of(job) for job in folder.glob("jobs/*")] == ["interrupted"] * 2
