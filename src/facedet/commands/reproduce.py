"""`facedet reproduce`: the papers' experiments, what they gave here, and whether that holds."""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from facedet.errors import FacedetError, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from facedet.reproduce.experiments import Experiment, Resources
    from facedet.reproduce.results import Done, Line

HELP = """Run the experiments of EXTD's and SmallHardFace's papers that this machine can run within
an hour, or those that are named, and write REPRODUCE.md and REPRODUCE.html: expected value and
its source, ours, protocol, images, weights, machine, time, and a verdict: `holds`, `differs` or
`not run: why`. What was run before, with the same inputs, is not run again; so a run that was
interrupted goes on. Data, weights and curves are looked for in the folders of --data (or of the
variable FACEDET_DATA) and four levels below."""
EXAMPLE = """examples:
  facedet reproduce --list --data /data
  facedet reproduce --data /data
  facedet reproduce E2 E4 --data /data"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    parser.add_argument("ids", nargs="*", metavar="ID", help="experiments (those within an hour)")
    parser.add_argument("--list", action="store_true", help="cost and needs; run nothing")
    parser.add_argument(
        "--data",
        action="append",
        type=Path,
        default=[],
        help="folder that holds data, weights, curves; may be given several times",
    )
    parser.add_argument("--output", type=Path, default=Path("reports"), help="default: reports")
    parser.add_argument("--again", action="store_true", help="run also what was run before")


def run(args: argparse.Namespace) -> int:
    """Lists, or runs and reports."""
    from facedet.reproduce.registry import EXPERIMENTS
    from facedet.reproduce.resources import find_resources
    from facedet.reproduce.results import told, write_report

    variable = os.environ.get("FACEDET_DATA", "").split(os.pathsep)
    resources = find_resources(args.data or [Path(one) for one in variable if one])
    chosen = _choose(EXPERIMENTS, args.ids)
    if args.list:
        _list(chosen or EXPERIMENTS, resources)
        return 0
    failures: dict[str, str] = {}
    for experiment in chosen or [one for one in EXPERIMENTS if one.within_hour]:
        why = _run(experiment, resources, args.output / experiment.id, args.again)
        if why:
            failures[experiment.id] = why
        lines = _lines(EXPERIMENTS, resources, args.output, failures)
        paths = write_report(args.output, lines)
    for line in lines:
        print(f"{line.experiment.id:9} {told(line)}")
    print(*(f"  {path}" for path in paths), sep="\n")
    return 1 if failures else 0


def _choose(experiments: Sequence[Experiment], ids: Sequence[str]) -> list[Experiment]:
    """The experiments named; raises `UsageError` for unknown ones."""
    known = {experiment.id.lower(): experiment for experiment in experiments}
    unknown = [one for one in ids if one.lower() not in known]
    if unknown:
        names = ", ".join(experiment.id for experiment in experiments)
        raise UsageError(f"{unknown[0]} is no experiment; there are {names}")
    return [known[one.lower()] for one in ids]


def _list(experiments: Sequence[Experiment], resources: Resources) -> None:
    from facedet.reproduce.resources import TITLES

    for experiment in experiments:
        print(f"{experiment.id:9} {experiment.title}")
        print(f"{'':9} {experiment.claim}")
        why = _why_not(experiment, resources)
        cost = f"not run: {why}" if why else f"takes {experiment.cost}"
        print(f"{'':9} {cost}")
    needed = sorted({need for experiment in experiments for need in experiment.needs})
    print("\nneeded:")
    for need in needed:
        print(f"  {TITLES[need]}: {resources.get(need, 'not found')}")


def _why_not(experiment: Experiment, resources: Resources) -> str:
    """Why an experiment cannot be run; "" where it can."""
    from facedet.reproduce.resources import TITLES

    if experiment.run is None:
        return experiment.why_not
    missing = [TITLES[need] for need in experiment.needs if need not in resources]
    return f"needs {' and '.join(missing)}" if missing else ""


def _run(experiment: Experiment, resources: Resources, folder: Path, again: bool) -> str:
    """Runs an experiment unless its result is there; returns why it failed, or ""."""
    from datetime import datetime

    from facedet.profiling.timing import describe_machine
    from facedet.reproduce.results import (
        Done,
        machine_name,
        save_done,
        save_seconds,
        seconds_before,
    )

    why = _why_not(experiment, resources)
    if why:
        print(f"{experiment.id}: not run: {why}")
        return ""
    if not again and _read(experiment, resources, folder) is not None:
        print(f"{experiment.id}: was run before")
        return ""
    print(f"{experiment.id}: {experiment.title} (takes {experiment.cost})", flush=True)
    folder.mkdir(parents=True, exist_ok=True)
    inputs = _inputs(experiment, resources)
    # What goes on where it was broken off has taken the time of all its starts.
    began = time.perf_counter() - seconds_before(folder, inputs)
    assert experiment.run is not None  # noqa: S101  `_why_not` says so
    try:
        outcome = experiment.run(resources, folder)
    except BaseException as error:
        save_seconds(folder, inputs, time.perf_counter() - began)
        if not isinstance(error, FacedetError):
            raise
        # One experiment's trouble is no reason to leave out the others.
        print(f"{experiment.id}: {error}", file=sys.stderr)
        return str(error)
    seconds = time.perf_counter() - began
    today = datetime.now().astimezone().isoformat(timespec="minutes")
    machine = machine_name(describe_machine())
    save_done(folder, Done(outcome, machine, today, seconds, inputs))
    return ""


def _inputs(experiment: Experiment, resources: Resources) -> dict[str, str]:
    """What a result depends on beside the code: its version and the places of the resources."""
    from facedet import __version__

    places = {need: str(resources[need].resolve()) for need in experiment.needs}
    return {"facedet": __version__, **places}


def _read(experiment: Experiment, resources: Resources, folder: Path) -> Done | None:
    from facedet.reproduce.results import read_done

    return read_done(folder, _inputs(experiment, resources))


def _lines(
    experiments: Sequence[Experiment],
    resources: Resources,
    output: Path,
    failures: Mapping[str, str],
) -> list[Line]:
    """All experiments, run or not."""
    from facedet.reproduce.results import Line

    lines = []
    for experiment in experiments:
        why = _why_not(experiment, resources) or failures.get(experiment.id, "")
        done = None if why else _read(experiment, resources, output / experiment.id)
        command = f"facedet reproduce {experiment.id}"
        lines.append(
            Line(experiment, done, why or f"not asked for; {command} takes {experiment.cost}")
        )
    return lines
