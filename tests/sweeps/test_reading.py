"""What is read of a sweep's folder, also of one that is damaged or just being written."""

import json
import os
import socket
import subprocess
import sys

import pytest

from facedet.errors import FacedetError
from facedet.sweeps.reading import read_config, read_job, read_sweep, steps_done

FINISHED = {
    "state": "finished", "hash": "abc", "overrides": {"backbone.width": 32, "seed": "1"},
    "attempt": 1, "host": "elsewhere", "pid": 7, "seconds": 12.5, "exit": 0, "error": None,
    "objective": 0.5, "objective_name": "wider/medium",
    "metrics": {"wider/medium": 0.5, "wider/hard": 0.25, "step": 39, "wider/easy": None},
}  # fmt: skip


def write(folder, **changes):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "status.json").write_text(json.dumps({**FINISHED, **changes}))
    return folder


def test_a_finished_job(tmp_path):
    job = read_job(write(tmp_path))
    assert job.state == "finished"
    assert job.overrides == {"backbone.width": "32", "seed": "1"}
    assert (job.objective, job.objective_name, job.seconds) == (0.5, "wider/medium", 12.5)
    assert job.metrics == {"wider/medium": 0.5, "wider/hard": 0.25, "step": 39}
    # An older facedet did not tell its parts.
    assert job.parts == {}
    parts = {"start": 1.5, "training": 9, "end": None}
    assert read_job(write(tmp_path, parts=parts)).parts == {"start": 1.5, "training": 9.0}


def test_numbers_of_unfinished_jobs_are_not_taken(tmp_path):
    job = read_job(write(tmp_path, state="failed", error="FacedetError: no\nTraceback"))
    assert (job.state, job.objective, job.metrics, job.seconds) == ("failed", None, {}, None)
    assert job.error == "FacedetError: no"


@pytest.mark.parametrize("value", [None, float("nan"), float("inf")])
def test_a_job_that_measured_nothing(tmp_path, value):
    job = read_job(write(tmp_path, objective=value))
    assert (job.state, job.objective) == ("finished", None)
    assert "no objective was measured" in job.error


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "damaged or being written"),
        ('{"state": "finis', "damaged or being written"),
        ("\udcff", "damaged or being written"),
        ("[" * 100_000, "damaged or being written"),
        ("[1]", "holds list, wanted an object"),
        ("{}", "state is None"),
        (json.dumps({**FINISHED, "state": "done"}), "state is 'done'"),
        (json.dumps({**FINISHED, "overrides": [1]}), "overrides is [1]"),
        (json.dumps({**FINISHED, "metrics": 3}), "metrics is 3"),
        (json.dumps({**FINISHED, "parts": [1]}), "parts is [1]"),
        (json.dumps({**FINISHED, "objective": "0.5"}), "objective is '0.5'"),
        (json.dumps({**FINISHED, "objective": True}), "objective is True"),
        (json.dumps({**FINISHED, "seconds": "long"}), "seconds is 'long'"),
    ],
)
def test_a_status_that_cannot_be_used(tmp_path, content, words):
    (tmp_path / "status.json").write_bytes(content.encode(errors="surrogateescape"))
    job = read_job(tmp_path)
    assert job.state == "unreadable"
    assert words in job.error
    assert "\n" not in job.error


def test_no_status(tmp_path):
    assert read_job(tmp_path).error == "status.json: No such file or directory"


@pytest.mark.skipif(os.name == "nt", reason="asks whether a process lives")
def test_a_running_job_whose_process_is_gone(tmp_path):
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    here = {"state": "running", "host": socket.gethostname()}
    job = read_job(write(tmp_path, **here, pid=process.pid))
    assert (job.state, job.error) == ("interrupted", f"its process {process.pid} is gone")
    assert read_job(write(tmp_path, **here, pid=os.getpid())).state == "running"
    assert read_job(write(tmp_path, **here, pid=2**80)).state == "running"
    assert read_job(write(tmp_path, state="running", pid=process.pid)).state == "running"


def test_a_sweep(tmp_path):
    write(tmp_path / "jobs" / "b")
    write(tmp_path / "jobs" / "a", state="running")
    (tmp_path / "jobs" / ".aside").mkdir()
    (tmp_path / "jobs" / "note.txt").write_text("no job")
    about = {"name": "extd_width", "overrides": ["budget=smoke", "seed=1,2"]}
    (tmp_path / "sweep.json").write_text(json.dumps(about))
    sweep = read_sweep(tmp_path)
    assert (sweep.name, sweep.overrides, sweep.problems) == (
        "extd_width", "budget=smoke seed=1,2", []
    )  # fmt: skip
    assert [job.folder.name for job in sweep.jobs] == ["a", "b"]


def test_a_sweep_that_does_not_tell_its_name(tmp_path):
    write(tmp_path / "mine" / "jobs" / "a")
    sweep = read_sweep(tmp_path / "mine")
    assert (sweep.name, sweep.overrides) == ("mine", "")
    assert sweep.problems == ["sweep.json: No such file or directory"]
    (tmp_path / "mine" / "sweep.json").write_text("{")
    assert "sweep.json is damaged" in read_sweep(tmp_path / "mine").problems[0]


def test_no_sweep(tmp_path):
    with pytest.raises(FacedetError, match="nowhere: no such folder"):
        read_sweep(tmp_path / "nowhere")
    with pytest.raises(FacedetError, match="holds no sweep: wanted sweep.json and jobs/"):
        read_sweep(tmp_path)


def test_the_first_config_that_can_be_read(tmp_path):
    assert read_config(tmp_path) == {}
    content = "trainer: {max_steps: %d}\ndata: {root: a}\nmodel: {net: {}}\n"
    for steps, name in enumerate(("logs/hparams.yaml", ".ranks/ranks.yaml", "config.yaml")):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content % steps)
        assert read_config(tmp_path)["trainer"] == {"max_steps": steps}
    for damaged in ("a: [", "trainer: 3\ndata: {}\nmodel: {}\n", "\0", "- 1\n"):
        (tmp_path / "config.yaml").write_text(damaged)
        assert read_config(tmp_path)["trainer"] == {"max_steps": 1}


def test_a_config_runs_nothing(tmp_path):
    command = f"!!python/object/apply:os.mkdir ['{tmp_path / 'made'}']"
    (tmp_path / "config.yaml").write_text(f"trainer: {command}\ndata: {{}}\nmodel: {{}}\n")
    assert read_config(tmp_path) == {}
    assert not (tmp_path / "made").exists()


def test_steps_done(tmp_path):
    assert steps_done(tmp_path) is None
    (tmp_path / "logs").mkdir()
    history = tmp_path / "logs" / "metrics.csv"
    history.write_text("")
    assert steps_done(tmp_path) is None
    # Steps are counted from 0; the last row is cut off.
    history.write_text("epoch,step,train/loss\n0,9,1.5\n0,19,1.25\n0,")
    assert steps_done(tmp_path) == 20
