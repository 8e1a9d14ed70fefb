"""The jobs of a sweep: states from files, and what one does with what an earlier start left."""

import json
import os
import pickle
import subprocess
import sys
from types import SimpleNamespace

import pytest
from omegaconf import OmegaConf

from facedet.errors import FacedetError, InterruptedTrainingError
from facedet.files import locked
from facedet.sweeps import jobs as sweep_jobs
from facedet.sweeps import launchers as sweep_launchers
from facedet.sweeps.jobs import read_object, run_job_of_sweep, started_sweep, state_of
from facedet.sweeps.plan import job_hash
from facedet.training.hydra_app import JobEndError

ROWS = "epoch,step,loss,wider/easy,wider/medium\n0,1,9.5,,\n0,1,,0.5,0.25\n1,3,,0.75,0.125\n"
FILES = ("checkpoints/last.ckpt", "weights.safetensors", "error.txt")
WORKER = """
import os, threading, time
from facedet.sweeps import jobs
parent = os.getpid()
if os.fork() == 0:
    threading.Thread(target=jobs._end_after, args=(parent,), daemon=True).start()
    print("begun", flush=True)
time.sleep(600)
"""


def leave(folder, *names):
    """Files that a run has left, empty ones."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


@pytest.fixture
def sweep(tmp_path, monkeypatch):
    """A started sweep; `run()` is one job of it, whose training does what `does` says."""
    folder, calls = tmp_path / "sweep", []
    (folder / ".hydra").mkdir(parents=True)

    def train(config):
        output, job = config.paths.output, sweep.job(config.seed)
        calls.append((output, config.ckpt_path))
        result = made.does(len(calls)) if callable(made.does) else made.does
        if isinstance(result, BaseException):
            leave(job, "checkpoints/last.ckpt")
            raise result
        leave(job, "weights.safetensors")
        return result

    def start(**changes):
        how = {"varying": ["seed"], "on_error": "continue", "gpus": []}
        with started_sweep(folder, "seeds", [], how | changes):
            pass

    def run(seed=0):
        task = ["preset=extd_fpn", f"seed={seed}", "~logger"]
        hydra = SimpleNamespace(
            sweep=SimpleNamespace(dir=str(folder / ".hydra")),
            overrides=SimpleNamespace(task=task),
        )
        monkeypatch.setattr(sweep_jobs, "HydraConfig", SimpleNamespace(get=lambda: hydra))
        return run_job_of_sweep(config(seed))

    def config(seed):
        return OmegaConf.create(
            {"seed": seed, "objective": made.objective, "ckpt_path": None,
             "paths": {"output": "?", "cache": "?"}}
        )  # fmt: skip

    sweep = made = SimpleNamespace(folder=folder, calls=calls, start=start, run=run)
    made.does, made.objective = 0.25, "wider/medium"
    made.job = lambda seed=0: folder / "jobs" / job_hash(config(seed))
    made.record = lambda seed=0: read_object(made.job(seed) / "job.json")
    monkeypatch.setattr("facedet.training.fit.train", train)
    start()
    return made


def test_the_state_of_a_job_is_its_files(tmp_path):
    assert state_of(tmp_path / "none") == "new"
    # Each file that comes later in a job's life outweighs those before it.
    for name, state in zip(FILES, ("interrupted", "finished", "failed"), strict=True):
        leave(tmp_path, name)
        assert state_of(tmp_path) == state
    with locked(tmp_path / ".job.lock"):
        assert state_of(tmp_path) == "running"
    assert state_of(tmp_path) == "failed"


def test_a_finished_job_is_not_run_again(sweep):
    job = sweep.job()
    (job / "logs").mkdir(parents=True)
    (job / "logs" / "metrics.csv").write_text(ROWS)
    assert sweep.run() == 0.25
    assert sweep.calls == [(str(job), "auto")]
    record = sweep.record()
    assert (record["overrides"], record["objective"]) == ({"seed": "0"}, 0.25)
    # Best of wider/medium is the first validation.
    assert record["metrics"] == {"step": 1, "wider/easy": 0.5, "wider/medium": 0.25}
    assert record["config"]["objective"] == record["objective_name"] == "wider/medium"
    assert record["config"]["paths"]["output"] == str(job)
    assert sweep.run() == 0.25
    assert len(sweep.calls) == 1


@pytest.mark.parametrize("left", [["checkpoints/last.ckpt"], ["weights.safetensors"]])
def test_an_interrupted_one_is_resumed(sweep, left):
    # Weights without numbers: killed between the two.
    leave(sweep.job(), *left)
    assert sweep.run() == 0.25
    assert state_of(sweep.job()) == "finished"


def test_a_failed_one_stays_failed_until_a_retry(sweep):
    sweep.does = FacedetError("no disk")
    assert sweep.run() is None
    assert state_of(sweep.job()) == "failed"
    line, _, *trace = (sweep.job() / "error.txt").read_text().splitlines()
    assert (line, trace[0]) == ("no disk", "Traceback (most recent call last):")
    assert sweep.run() is None
    assert len(sweep.calls) == 1
    sweep.start(on_error="retry")
    # The first attempt of this start fails too.
    sweep.does = lambda number: FacedetError("again") if number == 2 else 0.5
    assert sweep.run() == 0.5
    assert state_of(sweep.job()) == "finished"


def test_after_a_failure_the_others_are_run_or_not(sweep):
    sweep.does = lambda number: FacedetError("no") if number == 1 else 0.5
    assert (sweep.run(0), sweep.run(1)) == (None, 0.5)
    sweep.start(on_error="stop")
    sweep.does = FacedetError("no")
    assert (sweep.run(0), sweep.run(2)) == (None, None)
    assert len(sweep.calls) == 3
    assert state_of(sweep.job(2)) == "new"
    sweep.start(on_error="stop")
    sweep.does = 0.5
    assert sweep.run(0) == 0.5


@pytest.mark.parametrize(
    ("error", "line"),
    [(ValueError("bad\nmore"), "ValueError: bad"), (SystemExit(3), "SystemExit: 3")],
)
def test_whatever_ends_a_job_ends_it_alone(sweep, error, line):
    sweep.does = error
    assert sweep.run() is None
    assert (sweep.job() / "error.txt").read_text().splitlines()[0] == line


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (
            InterruptedTrainingError("SIGTERM at step 3", 15, "ckpt_path=last resumes"),
            143,
            "SIGTERM at step 3; the same command resumes it",
        ),
        (KeyboardInterrupt(), 130, "interrupted; the same command resumes it"),
    ],
)
def test_a_signal_ends_the_sweep(sweep, error, code, line):
    sweep.does = error
    with pytest.raises(JobEndError) as caught:
        sweep.run()
    # It comes out of a worker process with its exit code.
    end = pickle.loads(pickle.dumps(caught.value)).args[0]
    assert (end.exit_code, str(end)) == (code, line)
    assert state_of(sweep.job()) == "interrupted"
    sweep.does = 0.5
    assert sweep.run() == 0.5


def test_a_job_that_another_process_runs_is_left_to_it(sweep):
    with locked(sweep.job() / ".job.lock"):
        assert sweep.run() is None
    assert sweep.calls == []


def test_further_processes_train_and_write_no_record(sweep, monkeypatch):
    monkeypatch.setenv("SLURM_PROCID", "1")
    assert sweep.run() == 0.25
    assert sweep.record() == {}


def test_a_full_disk_leaves_the_old_record(sweep, monkeypatch):
    sweep.run()
    before = sweep.record()
    (sweep.job() / "weights.safetensors").unlink()

    def full(*_, **__):
        raise OSError(28, "full")

    monkeypatch.setattr("pathlib.Path.write_text", full)
    with pytest.raises(FacedetError, match="error.txt cannot be written: full"):
        sweep.run()
    assert sweep.record() == before


def test_an_idle_worker_ends_after_its_sweep():
    process = subprocess.Popen([sys.executable, "-c", WORKER], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "begun\n"
    process.kill()
    # The worker has the other end of the pipe.
    process.communicate(timeout=60)


def test_each_worker_keeps_one_gpu(sweep, monkeypatch):
    monkeypatch.setattr(sweep_launchers, "_own_gpu", [])
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    sweep.start(gpus=["4", "7"])
    with locked(sweep.folder / ".hydra" / "gpu-4.lock"):  # by another worker
        assert (sweep.run(0), sweep.run(1)) == (0.25, 0.25)
        assert os.environ["CUDA_VISIBLE_DEVICES"] == "7"
        monkeypatch.setattr(sweep_launchers, "_own_gpu", [])
        with pytest.raises(FacedetError, match="all 2 GPUs are taken"):
            sweep.run(2)


def test_a_folder_belongs_to_one_sweep(sweep):
    leave(sweep.folder, ".hydra/stop")
    sweep.start(on_error="stop")
    about = json.loads((sweep.folder / "sweep.json").read_text())
    assert (about["name"], about["varying"], about["on_error"]) == ("seeds", ["seed"], "stop")
    assert not (sweep.folder / ".hydra" / "stop").exists()
    other = started_sweep(sweep.folder, "lr", [], {})
    with pytest.raises(FacedetError, match="holds the sweep seeds: give another --dir for lr"):
        other.__enter__()
    said = rf"process {os.getpid()} on .* is running a sweep there"
    with started_sweep(sweep.folder, "seeds", [], {}), pytest.raises(FacedetError, match=said):
        sweep.start()
