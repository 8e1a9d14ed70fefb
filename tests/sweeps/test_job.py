"""What a job of a sweep does with what an earlier start has left, with a training that is quick."""

import json
import os
import pickle
import time
from types import SimpleNamespace

import pytest
from omegaconf import OmegaConf

from facedet.errors import FacedetError, InterruptedTrainingError
from facedet.sweeps import job as sweep_job
from facedet.sweeps import launchers as sweep_launchers
from facedet.sweeps.folder import SweepFolder, held
from facedet.sweeps.job import main, run_job_of_sweep
from facedet.sweeps.plan import job_hash
from facedet.training.hydra_app import JobEndError

ROWS = "epoch,step,loss,wider/easy,wider/medium\n0,1,9.5,,\n0,1,,0.5,0.25\n1,3,,0.75,0.125\n"


@pytest.fixture
def sweep(tmp_path, monkeypatch):
    """A started sweep; `run()` is one job of it, whose training does what `does` says."""
    folder, calls = SweepFolder(tmp_path / "sweep"), []

    def train(config):
        calls.append((config.paths.output, config.ckpt_path))
        result = made.does(len(calls)) if callable(made.does) else made.does
        if isinstance(result, BaseException):
            raise result
        return result

    def begin(**changes):
        plan = {"varying": ["seed"], "retry_failed": False, "tries": 1, "stop": False, "gpus": [],
                "begun": time.time()}  # fmt: skip
        folder.begin("seeds", [], plan | changes)

    def run(seed=0):
        task = ["preset=extd_fpn", f"seed={seed}", "~logger"]
        hydra = SimpleNamespace(
            sweep=SimpleNamespace(dir=str(folder.hydra)), overrides=SimpleNamespace(task=task)
        )
        monkeypatch.setattr(sweep_job, "HydraConfig", SimpleNamespace(get=lambda: hydra))
        return run_job_of_sweep(made.config(seed))

    def config(seed):
        return OmegaConf.create(
            {"seed": seed, "objective": made.objective, "ckpt_path": None,
             "paths": {"output": "?", "cache": "?"}}
        )  # fmt: skip

    made = SimpleNamespace(folder=folder, calls=calls, begin=begin, run=run, config=config)
    made.does, made.objective = 0.25, "wider/medium"
    made.name = job_hash(config(0))
    monkeypatch.setattr("facedet.commands.train.train", train)
    begin()
    return made


def test_a_finished_job_is_not_run_again(sweep):
    output = sweep.folder.job(sweep.name)
    (output / "logs").mkdir(parents=True)
    (output / "logs" / "metrics.csv").write_text(ROWS)
    (output / "checkpoints").mkdir()
    (output / "checkpoints" / "best.ckpt").touch()
    assert sweep.run() == 0.25
    assert sweep.calls == [(str(output), "auto")]
    status = json.loads((output / "status.json").read_text())
    assert set(status) == {
        "state", "hash", "overrides", "attempt", "host", "pid", "start", "end", "seconds",
        "exit", "error", "checkpoint", "objective", "objective_name", "metrics",
    }  # fmt: skip
    assert (status["state"], status["exit"], status["attempt"]) == ("finished", 0, 1)
    assert (status["overrides"], status["checkpoint"]) == ({"seed": "0"}, "checkpoints/best.ckpt")
    # Best of wider/medium is the first validation, 0.25; the last is 0.125.
    assert status["metrics"] == {
        "step": 1, "wider/easy": 0.5, "wider/medium": 0.25,
        "last/step": 3, "last/wider/easy": 0.75, "last/wider/medium": 0.125,
    }  # fmt: skip
    assert sweep.run() == 0.25
    assert len(sweep.calls) == 1


def test_of_a_loss_the_lowest_row_is_the_best(sweep):
    sweep.objective = "train/loss"
    output = sweep.folder.job(job_hash(sweep.config(0)))
    (output / "logs").mkdir(parents=True)
    (output / "logs" / "metrics.csv").write_text("step,train/loss\n9,4.0\n19,1.5\n29,2.0\n")
    sweep.run()
    status = json.loads((output / "status.json").read_text())
    assert status["metrics"] == {
        "step": 19, "train/loss": 1.5, "last/step": 29, "last/train/loss": 2.0,
    }  # fmt: skip


@pytest.mark.parametrize("left", ["running", "damaged"])
def test_an_interrupted_one_goes_on(sweep, left):
    if left == "running":
        sweep.folder.write_status(sweep.name, {"state": "running", "attempt": 4})
    else:
        sweep.folder.job(sweep.name).mkdir(parents=True)
        (sweep.folder.job(sweep.name) / "status.json").write_text("{")
    assert sweep.run() == 0.25
    status = sweep.folder.status(sweep.name)
    assert (status["state"], status["attempt"]) == ("finished", {"running": 5, "damaged": 1}[left])


def test_a_failed_one_stays_failed_until_a_retry_is_asked_for(sweep):
    sweep.does = FacedetError("no disk")
    assert sweep.run() is None
    status = sweep.folder.status(sweep.name)
    assert (status["state"], status["exit"], status["error"]) == ("failed", 1, "no disk")
    log = (sweep.folder.job(sweep.name) / "job.log").read_text()
    assert "[ERROR] no disk" in log
    assert "Traceback" in log
    assert sweep.run() is None
    assert len(sweep.calls) == 1
    sweep.begin(retry_failed=True, tries=2)
    # The first attempt of this start fails too.
    sweep.does = lambda number: FacedetError("again") if number == 2 else 0.5
    assert sweep.run() == 0.5
    assert sweep.folder.status(sweep.name)["attempt"] == 3


def test_others_go_on_after_a_failure_or_do_not(sweep):
    sweep.does = lambda number: FacedetError("no") if number == 1 else 0.5
    assert (sweep.run(0), sweep.run(1)) == (None, 0.5)
    sweep.begin(stop=True, retry_failed=True)
    sweep.does = FacedetError("no")
    assert (sweep.run(0), sweep.run(2)) == (None, None)
    assert len(sweep.calls) == 3
    assert sweep.folder.status(job_hash(sweep.config(2))) == {"state": "new"}


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (OSError(28, "No space left on device", "/x/a.ckpt"), "/x/a.ckpt: No space left on device"),
        (ValueError("bad\nmore"), "ValueError: bad"),
        (SystemExit(3), "SystemExit: 3"),
        (MemoryError(), "MemoryError"),
    ],
)
def test_whatever_ends_a_job_ends_it_alone(sweep, error, line):
    sweep.does = error
    assert sweep.run() is None
    assert sweep.folder.status(sweep.name)["error"] == line


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (
            InterruptedTrainingError("SIGTERM at step 3", 15, "ckpt_path=last goes on"),
            143,
            "SIGTERM at step 3; the same command goes on",
        ),
        (KeyboardInterrupt(), 130, "interrupted; the same command goes on"),
    ],
)
def test_a_signal_ends_the_sweep(sweep, error, code, line):
    sweep.does = error
    with pytest.raises(JobEndError) as caught:
        sweep.run()
    # It comes out of a worker process with its exit code.
    told = pickle.loads(pickle.dumps(caught.value)).args[0]
    assert (told.exit_code, str(told)) == (code, line)
    status = sweep.folder.status(sweep.name)
    assert [status[key] for key in ("state", "exit", "error")] == ["interrupted", code, line]
    sweep.does = 0.5
    assert sweep.run() == 0.5


def test_a_job_that_another_process_runs_is_left_to_it(sweep):
    sweep.folder.write_status(sweep.name, {"state": "running", "attempt": 1})
    with held(sweep.folder.job(sweep.name) / ".job.lock"):
        assert sweep.run() is None
    assert sweep.calls == []


def test_further_processes_train_without_a_word(sweep, monkeypatch):
    monkeypatch.setenv("SLURM_PROCID", "1")
    assert sweep.run() == 0.25
    assert sweep.folder.status(sweep.name) == {"state": "new"}


def test_each_worker_keeps_one_gpu(sweep, monkeypatch):
    monkeypatch.setattr(sweep_launchers, "_own_gpu", [])
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    sweep.begin(gpus=["4", "7"])
    with held(sweep.folder.hydra / "gpu-4.lock"):  # by another worker
        assert (sweep.run(0), sweep.run(1)) == (0.25, 0.25)
        assert os.environ["CUDA_VISIBLE_DEVICES"] == "7"
        monkeypatch.setattr(sweep_launchers, "_own_gpu", held_before := [])
        taken = held(sweep.folder.hydra / "gpu-7.lock")
        with taken, pytest.raises(FacedetError, match="all 2 GPUs are taken"):
            sweep.run(2)
        assert held_before == []


def test_launchers_find_the_job_by_its_name():
    assert pickle.loads(pickle.dumps(run_job_of_sweep)) is run_job_of_sweep
    assert main is not run_job_of_sweep
