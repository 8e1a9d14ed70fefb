"""The jobs of a sweep, planned or found in its folder, and what is printed of them."""

import json
import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from facedet.config import plain
from facedet.errors import FacedetError
from facedet.sweeps.effort import effort_of, expected_seconds
from facedet.sweeps.jobs import read_object, read_record, state_of
from facedet.sweeps.plan import PlannedJob, Sweep, settings_text, without_places
from facedet.sweeps.statistics import Job
from facedet.training.estimate import duration


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
    if state == "failed":
        lines = (folder / "error.txt").read_text(encoding="utf-8", errors="replace").splitlines()
        return job._replace(error=lines[0] if lines else "")
    if state != "finished":
        return job
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


def print_plan(sweep: Sweep, folder: Path, jobs: Sequence[PlannedJob], with_jobs: bool) -> None:
    """Prints budget, steps and expected time, and how far the jobs are already.

    Args:
        sweep: what is started or only listed.
        folder: of the sweep; only read.
        jobs: of a grid; none of a search.
        with_jobs: list each job of a grid with its state, cost and settings too.
    """
    configs = [job.config for job in jobs]
    if not sweep.is_grid:  # each trial takes what the file's own settings do
        number = int(sweep.config.hydra.sweeper.get("n_trials", 1))
        configs = [plain(without_places(sweep.config))] * number
    efforts = [effort_of(config) for config in configs]
    steps, crops = (
        " to ".join(f"{value:,}" for value in sorted({min(values), max(values)}))
        for values in zip(*(effort[:2] for effort in efforts), strict=True)
    )
    print(
        f"{sweep.name}: {len(efforts):,} x {steps} steps of {crops} crops "
        f"(budget={sweep.choice('budget', 'null')}), about "
        f"{duration(expected_seconds(configs[0], efforts))} one after the other at this machine's "
        "present speed, without validation",
        flush=True,
    )
    paths = [folder / "jobs" / job.hash for job in jobs] or list(folder.glob("jobs/*"))
    states = [state_of(path) for path in paths]
    print(f"{folder}: {states_text(states)}")
    if with_jobs and jobs:
        print(f"{'job':12}  {'state':11}  {'images':>12}  {'size':>11}  {'G madds':>12}  settings")
        for job, state, effort in zip(jobs, states, efforts, strict=True):
            size, madds = "{} x {}".format(*effort.size), effort.images * effort.madds / 1e9
            print(
                f"{job.hash}  {state:11}  {effort.images:>12,}  {size:>11}  {madds:>12,.0f}  "
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
    states = [job.state for job in jobs]
    print(f"jobs: {states_text(states)}")
    if "failed" in states:
        print("--on-error retry runs the failed ones again")
    return set(states) == {"finished"}


def states_text(states: Sequence[str]) -> str:
    """How many jobs are in each state.

    >>> states_text(["new", "finished", "new"]), states_text([])
    ('1 finished, 2 new', 'no jobs yet')
    """
    counted = sorted(Counter(states).items())
    return ", ".join(f"{number:,} {state}" for state, number in counted) or "no jobs yet"
