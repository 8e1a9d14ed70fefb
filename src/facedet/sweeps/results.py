"""What is read of a sweep's folder, and its arithmetic: means over seeds, effects of settings."""

import json
import math
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from facedet.errors import FacedetError
from facedet.sweeps.jobs import read_object, read_record, state_of

SEED = "seed"


class Job(NamedTuple):
    """One job of a sweep, as read from its folder."""

    folder: Path
    state: str  # finished | running | interrupted | failed | new
    overrides: dict[str, str] = {}  # its own settings as on a command line, by key
    objective: float | None = None  # None: not finished, or never measured
    objective_name: str = ""
    metrics: dict[str, float] = {}  # of a finished one, by name
    seconds: float | None = None  # that the last attempt of a finished one took
    error: str = ""  # one line
    config: dict[str, Any] = {}  # resolved; empty: not known


class Spread(NamedTuple):
    """Several measurements of one thing."""

    mean: float
    deviation: float | None  # of a sample (n - 1); None: there is one measurement only
    number: int


class Row(NamedTuple):
    """Jobs that differ in their seed only."""

    settings: dict[str, str]  # all but the seed
    jobs: list[Job]
    objective: Spread | None  # of the finished jobs; None: there is none


class Effect(NamedTuple):
    """One value of one axis, over whatever else the jobs vary."""

    axis: str
    value: str
    finished: Spread | None  # objective of all finished jobs with this value
    paired: Spread | None  # over the settings of the rest at which every value has finished


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
        text = (folder / "error.txt").read_text(encoding="utf-8", errors="replace")
        return job._replace(error=text.partition("\n")[0])
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


def spread(values: Sequence[float | None]) -> Spread | None:
    """Mean and sample standard deviation of the numbers; None of nothing.

    >>> spread([1.0, None, 3.0])
    Spread(mean=2.0, deviation=1.4142135623730951, number=2)
    """
    found = [value for value in values if value is not None]
    if not found:
        return None
    deviation = statistics.stdev(found) if len(found) > 1 else None
    return Spread(statistics.fmean(found), deviation, len(found))


def axes(jobs: Sequence[Job]) -> dict[str, list[str]]:
    """The settings in which jobs differ but for the seed, with their values in order.

    A job that lacks a setting has the value "" there: it was started before the grid had it.
    """
    names = dict.fromkeys(key for job in jobs for key in job.overrides if key != SEED)
    values = {name: {job.overrides.get(name, "") for job in jobs} for name in names}
    return {name: sorted(found, key=_order) for name, found in values.items() if len(found) > 1}


def rows(jobs: Sequence[Job], mode: str = "max") -> list[Row]:
    """The jobs joined over their seeds, best objective ("max" or "min") first, unmeasured last."""
    groups: dict[tuple, list[Job]] = {}
    for job in jobs:
        settings = {key: value for key, value in job.overrides.items() if key != SEED}
        groups.setdefault(tuple(sorted(settings.items())), []).append(job)
    found = [
        Row(dict(k), group, spread([j.objective for j in group])) for k, group in groups.items()
    ]
    sign = -1 if mode == "max" else 1
    return sorted(found, key=lambda row: sign * row.objective.mean if row.objective else math.inf)


def effects(jobs: Sequence[Job]) -> list[Effect]:
    """The objective's marginal mean for every value of every axis.

    Means over all finished jobs compare unlike things where some are missing. The paired ones are
    over the same settings of everything else, the seed included, for every value that has a
    finished job; only these support a comparison.
    """
    found = []
    for axis, values in axes(jobs).items():
        cells: dict[str, dict[tuple, float]] = {value: {} for value in values}
        for job in jobs:
            if job.objective is not None:
                rest = tuple(sorted((k, v) for k, v in job.overrides.items() if k != axis))
                cells[job.overrides.get(axis, "")][rest] = job.objective
        measured = [set(cell) for cell in cells.values() if cell]
        shared = set.intersection(*measured) if len(measured) > 1 else set()
        for value, cell in cells.items():
            pairs = [cell[rest] for rest in shared if cell]
            found.append(Effect(axis, value, spread(list(cell.values())), spread(pairs)))
    return found


def _order(value: str) -> tuple[bool, float, str]:
    """Numbers by size, then words."""
    try:
        return False, float(value), value
    except ValueError:
        return True, 0.0, value
