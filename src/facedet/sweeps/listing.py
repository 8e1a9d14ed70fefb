"""The jobs of a sweep, planned or found in its folder, and what is printed of them."""

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from facedet.errors import FacedetError
from facedet.sweeps.effort import Effort, effort_text, efforts_of
from facedet.sweeps.jobs import read_object, read_record, state_of
from facedet.sweeps.plan import PlannedJob, Sweep, settings_text
from facedet.sweeps.statistics import Job


class FoundSweep(NamedTuple):
    """A sweep as read from its folder."""

    name: str
    overrides: str  # settings of all jobs
    jobs: list[Job]
    problems: list[str]  # what could not be read, one line each


def read_sweep_folder(folder: Path) -> FoundSweep:
    """What a sweep's folder holds at this moment, also while its jobs run.

    Raises:
        FacedetError: it is not the folder of a sweep.
    """
    if not (folder / "sweep.json").is_file() and not (folder / "jobs").is_dir():
        raise FacedetError(f"{folder} is not the folder of a sweep: expected sweep.json and jobs/")
    about, jobs, problems = read_object(folder / "sweep.json"), [], []
    for path in sorted(one for one in folder.glob("jobs/[!.]*") if one.is_dir()):
        if read_record(path):
            jobs.append(read_job(path))
        else:
            problems.append(f"{path / 'job.json'} is missing or damaged")
    name, overrides = about.get("name", folder.resolve().name), about.get("overrides", [])
    return FoundSweep(name, " ".join(overrides), jobs, problems)


def read_job(folder: Path) -> Job:
    """What the files of a job say; numbers of an unfinished one do not count."""
    record, state = read_record(folder), state_of(folder)
    settings = {key: setting_text(one) for key, one in record.get("overrides", {}).items()}
    name = record.get("objective_name", "objective")
    job = Job(folder, state, settings, None, name, config=record.get("config", {}))
    if state != "finished":
        return job._replace(error=_first_line(folder / "error.txt"))
    value = record.get("objective")
    if value is None or not math.isfinite(value):
        return job._replace(error=f"no objective was measured ({name} is {value})")
    metrics = {key: one for key, one in record.get("metrics", {}).items() if math.isfinite(one)}
    return job._replace(objective=float(value), metrics=metrics, seconds=record.get("seconds"))


def setting_text(value: Any) -> str:  # noqa: ANN401
    """A value as it is written on a command line.

    >>> [setting_text(value) for value in (32, 1e-3, True, None, "prelu", [1, 2])]
    ['32', '0.001', 'true', 'null', 'prelu', '[1, 2]']
    """
    return value if isinstance(value, str) else json.dumps(value)


def print_plan(sweep: Sweep, folder: Path, jobs: Sequence[PlannedJob]) -> list[Effort]:
    """Says what the sweep will do: budget, steps and expected time, and what is there already.

    Args:
        sweep: what is started or only listed.
        folder: of the sweep; only read.
        jobs: of a grid; none of a search.

    Returns:
        What each job takes, in the order of `jobs`; of a search that of its trials together.
    """
    efforts, number = efforts_of(sweep, jobs), len(jobs)
    if not sweep.is_grid:
        number = int(sweep.config.hydra.sweeper.get("n_trials", 1))
    print(
        f"{sweep.name}: {count(number, 'job')}, {effort_text(sweep, jobs, efforts, number)}",
        flush=True,
    )
    there = {path.name for path in folder.glob("jobs/*") if path.is_dir()}
    if not sweep.is_grid:
        print(f"{folder}: {count(len(there), 'job')} there already")
        return efforts
    states = Counter(state_of(folder / "jobs" / job.hash) for job in jobs)
    print(f"{folder}: {_states_text(states)}")
    if others := len(there - {job.hash for job in jobs}):
        print(f"{count(others, 'job')} of other settings there too: left as they are")
    return efforts


def print_jobs(folder: Path, jobs: Sequence[PlannedJob], efforts: Sequence[Effort]) -> None:
    """Lists the jobs of a grid with their state, cost and settings."""
    print(f"{'job':12}  {'state':11}  {'images':>12}  {'size':>11}  {'G madds':>12}  settings")
    for job, effort in zip(jobs, efforts, strict=True):
        size = f"{effort.size[0]} x {effort.size[1]}"
        print(
            f"{job.hash}  {state_of(folder / 'jobs' / job.hash):11}  {effort.images:>12,}  "
            f"{size:>11}  {effort.images * effort.madds / 1e9:>12,.0f}  "
            f"{settings_text(job.settings)}"
        )


def print_result(folder: Path, names: Sequence[str]) -> bool:
    """The table of the named jobs, and why those that are not finished are not.

    Returns:
        Whether there are jobs and all are finished.
    """
    jobs = [read_job(folder / "jobs" / name) for name in names]
    objective = next((job.objective_name for job in jobs), "objective")
    print(f"{'job':12}  {'state':11}  {objective:>12}  settings")
    for job in jobs:
        shown = "-" if job.objective is None else f"{job.objective:.4f}"
        print(f"{job.folder.name}  {job.state:11}  {shown:>12}  {settings_text(job.overrides)}")
        if job.state == "failed":
            print(f"{'':12}  {job.error}  ({job.folder / 'error.txt'})")
    states = Counter(job.state for job in jobs)
    print(f"{count(len(jobs), 'job')}: {_states_text(states) or 'none'}")
    if states["failed"]:
        print("--on-error retry runs the failed ones again")
    return states.keys() == {"finished"}


def count(number: int, noun: str) -> str:
    """The number with its noun.

    >>> count(1, "job"), count(2_000, "job")
    ('1 job', '2,000 jobs')
    """
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _states_text(states: Mapping[str, int]) -> str:
    return ", ".join(f"{number:,} {state}" for state, number in sorted(states.items()))


def _first_line(path: Path) -> str:
    """The first line of a file; "" without one."""
    try:
        with path.open(encoding="utf-8", errors="replace") as stream:
            return stream.readline().strip()
    except OSError:
        return ""
