"""What is read of a sweep's folder, also of one that is damaged or just being written."""

import json

import pytest

from facedet.errors import FacedetError
from facedet.sweeps.listing import print_result, read_job, read_sweep_folder

RECORD = {
    "overrides": {"backbone.width": 32, "seed": "1"}, "seconds": 12.5, "objective": 0.5,
    "objective_name": "wider/medium", "metrics": {"wider/medium": 0.5, "wider/easy": float("nan")},
}  # fmt: skip


def write(folder, *files, name="job.json", **changes):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(json.dumps({**RECORD, **changes}))
    for file in files:
        (folder / file).write_text("no disk\n\nTraceback\n")
    return folder


@pytest.mark.parametrize("name", ["job.json", "status.json"])
def test_a_finished_job(tmp_path, name):
    job = read_job(write(tmp_path, "weights.safetensors", name=name))
    assert (job.state, job.overrides) == ("finished", {"backbone.width": "32", "seed": "1"})
    assert (job.objective, job.objective_name, job.seconds) == (0.5, "wider/medium", 12.5)
    assert job.metrics == {"wider/medium": 0.5}


def test_jobs_without_a_number(tmp_path):
    job = read_job(write(tmp_path / "a", "error.txt"))
    assert (job.state, job.objective, job.metrics, job.seconds) == ("failed", None, {}, None)
    assert job.error == "no disk"
    for value in (None, float("nan"), float("inf")):
        job = read_job(write(tmp_path / "b", "weights.safetensors", objective=value))
        assert (job.state, job.objective) == ("finished", None)
        assert "no objective was measured" in job.error


def test_a_sweep(tmp_path):
    write(tmp_path / "jobs" / "b", "weights.safetensors")
    write(tmp_path / "jobs" / "a")
    for number, content in enumerate(("", "{", "[1]", "\udcff")):
        damaged = tmp_path / "jobs" / f"c{number}" / "job.json"
        damaged.parent.mkdir()
        damaged.write_bytes(content.encode(errors="surrogateescape"))
    (tmp_path / "jobs" / ".aside").mkdir()
    (tmp_path / "jobs" / "note.txt").write_text("no job")
    sweep = read_sweep_folder(tmp_path)
    assert (sweep.name, sweep.overrides) == (tmp_path.name, "")
    about = {"name": "extd_width", "overrides": ["budget=smoke", "seed=1,2"]}
    (tmp_path / "sweep.json").write_text(json.dumps(about))
    sweep = read_sweep_folder(tmp_path)
    assert (sweep.name, sweep.overrides) == ("extd_width", "budget=smoke seed=1,2")
    assert [(job.folder.name, job.state) for job in sweep.jobs] == [("a", "new"), ("b", "finished")]
    assert all("job.json is missing or damaged" in one for one in sweep.problems)
    assert len(sweep.problems) == 4


def test_no_sweep(tmp_path):
    with pytest.raises(FacedetError, match="is not the folder of a sweep: expected sweep.json"):
        read_sweep_folder(tmp_path)


def test_the_result_says_why_a_job_failed(tmp_path, capsys):
    write(tmp_path / "jobs" / "a", "weights.safetensors")
    assert print_result(tmp_path, ["a"])
    write(tmp_path / "jobs" / "b", "error.txt")
    assert not print_result(tmp_path, ["a", "b"])
    out = capsys.readouterr().out
    assert f"no disk  ({tmp_path / 'jobs' / 'b' / 'error.txt'})" in out
    assert "\njobs: 1 finished\n" in out
    assert out.endswith("jobs: 1 failed, 1 finished\n--on-error retry runs the failed ones again\n")
