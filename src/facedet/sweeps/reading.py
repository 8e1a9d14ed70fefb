"""What a sweep's folder says of its jobs.

Nothing here writes, and nothing is loaded but JSON and plain YAML: a sweep can be looked at while
it runs.
"""

import csv
import json
import math
import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml  # type: ignore[import-untyped]

from facedet.errors import FacedetError
from facedet.sweeps.statistics import STATES, UNREADABLE, Job

# Where a run's folder tells of its resolved config: what a sweep, a start and a logger write there.
_CONFIGS = ("config.yaml", ".ranks/ranks.yaml", "logs/hparams.yaml")


class Sweep(NamedTuple):
    """A sweep's folder."""

    name: str
    overrides: str  # settings of all jobs
    jobs: list[Job]
    problems: list[str]  # what could not be read of the sweep itself, one line each


def read_sweep(folder: Path) -> Sweep:
    """What a sweep's folder holds at this moment.

    Args:
        folder: with sweep.json and jobs/HASH/status.json.

    Raises:
        FacedetError: there is no such folder, or no sweep lies in it.
    """
    if not folder.is_dir():
        raise FacedetError(f"{folder}: no such folder, that of a sweep is wanted")
    described, jobs = folder / "sweep.json", folder / "jobs"
    if not described.is_file() and not jobs.is_dir():
        raise FacedetError(f"{folder} holds no sweep: wanted sweep.json and jobs/")
    about, problem = _read_json(described)
    runs = sorted(one for one in jobs.glob("*") if one.is_dir() and one.name[0] != ".")
    given = about.get("overrides") or ()
    return Sweep(
        str(about.get("name") or folder.resolve().name),
        " ".join(map(str, given)) if isinstance(given, (list, tuple)) else setting(given),
        [read_job(one) for one in runs],
        [problem] if problem else [],
    )


def read_job(folder: Path) -> Job:
    """What `status.json` in a run's folder says; one that cannot be used is UNREADABLE, and why."""
    content, problem = _read_json(folder / "status.json")
    if problem:
        return Job(folder, UNREADABLE, error=problem)
    state, error = content.get("state"), content.get("error")
    overrides, metrics = content.get("overrides") or {}, content.get("metrics") or {}
    parts = content.get("parts") or {}  # of a job of an older facedet there are none
    wrong = [
        key
        for key, is_right in {
            "state": state in STATES,
            "overrides": isinstance(overrides, dict),
            "metrics": isinstance(metrics, dict),
            "parts": isinstance(parts, dict),
            **{key: _is_number(content.get(key)) for key in ("objective", "seconds")},
        }.items()
        if not is_right
    ]
    if wrong:
        text = f"status.json: {wrong[0]} is {content.get(wrong[0])!r}"
        return Job(folder, UNREADABLE, error=text)
    if state == "running" and _is_gone(content):
        state, error = "interrupted", f"its process {content['pid']} is gone"
    settings = {str(key): setting(value) for key, value in overrides.items()}
    name = str(content.get("objective_name") or "")
    if state != "finished":  # a number of an unfinished training is none to be ranked by
        return Job(folder, str(state), settings, None, name, error=_one_line(error))
    value = content.get("objective")
    if value is None or not math.isfinite(value):
        said = f"no objective was measured ({name} is {value})"
        return Job(folder, "finished", settings, None, name, error=_one_line(error) or said)
    seconds = content.get("seconds")
    seconds = None if seconds is None or not math.isfinite(seconds) else float(seconds)
    numbers = _numbers(metrics), seconds, _numbers(parts)
    return Job(folder, "finished", settings, float(value), name, *numbers)


def read_config(folder: Path) -> dict[str, Any]:
    """The resolved config of the run in `folder`; empty where none is there or it is damaged."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    for name in _CONFIGS:
        try:
            content = yaml.load((folder / name).read_text(encoding="utf-8"), loader)
        except (OSError, ValueError, RecursionError, yaml.YAMLError):
            continue
        parts = ("trainer", "data", "model")
        if isinstance(content, dict) and all(isinstance(content.get(one), dict) for one in parts):
            return content
    return {}


def steps_done(folder: Path) -> int | None:
    """Steps that the run in `folder` has logged so far; None: none yet."""
    try:
        with (folder / "logs" / "metrics.csv").open(encoding="utf-8", newline="") as stream:
            steps = [row.get("step") or "" for row in csv.DictReader(stream)]
    except (OSError, ValueError, csv.Error):
        return None
    return max((int(step) + 1 for step in steps if step.isdecimal()), default=None)


def setting(value: Any) -> str:  # noqa: ANN401
    """A value as it stands on a command line.

    >>> [setting(value) for value in (32, 1e-3, True, None, "prelu", [1, 2])]
    ['32', '0.001', 'true', 'null', 'prelu', '[1, 2]']
    """
    return value if isinstance(value, str) else json.dumps(value)


def _read_json(path: Path) -> tuple[dict[str, Any], str]:
    """The object in a file, and what is wrong with it in a line."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        return {}, f"{path.name}: {error.strerror}"
    except (ValueError, RecursionError) as error:
        return {}, f"{path.name} is damaged or being written: {_one_line(error)}"
    if not isinstance(content, dict):
        return {}, f"{path.name} holds {type(content).__name__}, wanted an object"
    return content, ""


def _numbers(content: Mapping[str, Any]) -> dict[str, float]:
    """What is a finite number in an object."""
    return {
        str(key): float(one)
        for key, one in content.items()
        if one is not None and _is_number(one) and math.isfinite(one)
    }


def _is_number(value: Any) -> bool:  # noqa: ANN401
    return value is None or (isinstance(value, (int, float)) and not isinstance(value, bool))


def _is_gone(status: Mapping[str, Any]) -> bool:
    """Whether a job that says it runs was killed: its process was on this machine and is not."""
    pid = status.get("pid")
    if os.name == "nt" or not isinstance(pid, int) or status.get("host") != socket.gethostname():
        return False  # Windows ends a process that is asked whether it lives
    return not _lives(pid)


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):  # somebody else's
        return True
    return True


def _one_line(text: Any) -> str:  # noqa: ANN401
    lines = str(text or "").strip().splitlines()
    return lines[0][:200] if lines else ""
