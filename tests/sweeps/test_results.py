"""What is read of a sweep's folder, also of a damaged one, and its arithmetic by hand."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from facedet.errors import FacedetError
from facedet.plots import pareto_front
from facedet.sweeps.results import Job, Spread, axes, effects, read_job, read_sweep_folder

NAMES = ("width", "act", "seed")
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
    with pytest.raises(FacedetError, match="is not the folder of a sweep: expected sweep.json"):
        read_sweep_folder(tmp_path)
    write(tmp_path / "jobs" / "b", "weights.safetensors")
    write(tmp_path / "jobs" / "a")
    for number, content in enumerate(("", "{", "[1]", "\udcff")):
        damaged = tmp_path / "jobs" / f"c{number}" / "job.json"
        damaged.parent.mkdir()
        damaged.write_bytes(content.encode(errors="surrogateescape"))
    (tmp_path / "jobs" / ".aside").mkdir()
    (tmp_path / "jobs" / "note.txt").write_text("no job")
    assert read_sweep_folder(tmp_path)[:2] == (tmp_path.name, "")
    about = {"name": "extd_width", "overrides": ["budget=smoke", "seed=1,2"]}
    (tmp_path / "sweep.json").write_text(json.dumps(about))
    sweep = read_sweep_folder(tmp_path)
    assert (sweep.name, sweep.overrides) == ("extd_width", "budget=smoke seed=1,2")
    assert [(job.folder.name, job.state) for job in sweep.jobs] == [("a", "new"), ("b", "finished")]
    assert all("job.json is missing or damaged" in one for one in sweep.problems)
    assert len(sweep.problems) == 4


def job(objective, *values, state="finished", **more):
    """A job with its width, activation and perhaps seed."""
    settings = {name: str(value) for name, value in zip(NAMES, values, strict=False)}
    return Job(Path("x"), state, settings, objective, "wider/medium", **more)


GRID = [job(0.2, 32, "relu"), job(0.4, 32, "prelu"), job(0.3, 64, "relu"), job(0.7, 64, "prelu")]


def by_value(found):
    return {(one.axis, one.value): one for one in found}


def test_axes_are_what_varies_but_the_seed():
    jobs = [job(0.1, 8, "relu", 0), job(0.1, 64, "relu", 1), job(0.1, 16, "relu", 2)]
    assert axes(jobs) == {"width": ["8", "16", "64"]}
    assert axes([*jobs, job(0.1, "auto", "relu", 0)]) == {"width": ["8", "16", "64", "auto"]}
    assert axes([job(0.1, 8), job(0.1, 8, "relu")]) == {"act": ["", "relu"]}
    assert axes([]) == axes(jobs[:1]) == {}


def test_only_pairs_are_compared_in_an_incomplete_grid():
    found = by_value(effects([*GRID[:2], job(None, 64, "relu", state="running"), GRID[3]]))
    # Of 64 only prelu is there: against 0.4, not against the mean 0.3 that relu pulls down.
    assert found["width", "32"].finished[::2] == (pytest.approx(0.3), 2)
    assert found["width", "32"].paired == Spread(0.4, None, 1)
    assert found["width", "64"].finished == found["width", "64"].paired == Spread(0.7, None, 1)
    assert found["act", "relu"].paired == Spread(0.2, None, 1)
    assert found["act", "prelu"].paired == Spread(0.4, None, 1)


def test_effects_of_what_has_no_pair():
    # A value without any number leaves the others alone.
    found = by_value(effects([*GRID, job(None, 48, "relu", state="failed")]))
    assert found["width", "48"][2:] == (None, None)
    assert found["width", "64"].paired.number == 2
    # Other seeds are no pairs.
    found = effects([job(0.2, 32, "relu", 0), job(0.9, 64, "relu", 1)])
    assert [one.paired for one in found] == [None, None]
    assert [one.finished.number for one in found] == [1, 1]
    # One value alone has nothing to be compared with.
    found = by_value(effects([job(0.2, 32, "relu"), job(None, 64, "relu", state="running")]))
    assert found["width", "32"][2:] == (Spread(0.2, None, 1), None)


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=12))
def test_whoever_is_not_on_the_front_is_beaten_by_one_who_is(points):
    costs, values = zip(*points, strict=True)
    front = [point for point, best in zip(points, pareto_front(costs, values), strict=True) if best]
    assert front
    for cost, value in set(points) - set(front):
        assert any(c <= cost and v >= value for c, v in front)
    for cost, value in front:
        assert not any(c <= cost and v >= value and (c, v) != (cost, value) for c, v in front)
