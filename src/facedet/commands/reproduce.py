"""`facedet reproduce`: the papers' experiments, what they gave here, and whether that holds."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

from facedet.commands import diagnose, sweep, sweep_report, train, weights
from facedet.errors import FacedetError, UsageError
from facedet.option_types import count

if TYPE_CHECKING:
    from collections.abc import Sequence

    from facedet.reproduce.experiments import Experiment
    from facedet.reproduce.run import Reproduction

HELP = """Run the experiments of EXTD's and SmallHardFace's papers that this machine can run within
an hour, or those that are named, and write REPRODUCE.md: expected value and its source, ours,
protocol, images, weights, machine, time, and a verdict: `holds`, `differs` (a number),
`contradicted` (a claim, beyond what seeds or runs make of it), `undecided` or `not run: why`.
What was run before with the same inputs is not run again, so an interrupted run is resumed by the
same command; a training that has finished in outputs/sweeps, or in a sweep's folder in --data, is
used. Data, weights and curves are looked for in the folders of --data (or of the variable
FACEDET_DATA) and four levels below."""
EXAMPLE = """examples:
  facedet reproduce --list --data /data
  facedet reproduce --data /data
  facedet reproduce E2 E4 --data /data"""
# Commands that experiments are made of.
_COMMANDS = {
    "diagnose": diagnose,
    "sweep": sweep,
    "sweep report": sweep_report,
    "train": train,
    "weights": weights,
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    add = parser.add_argument
    add("ids", nargs="*", metavar="ID", help="experiments (those within an hour)")
    add("--list", action="store_true", help="cost and needs; run nothing")
    text = "folder that holds data, weights, curves; may be given several times"
    add("--data", action="append", type=Path, default=[], help=text)
    add("--output", type=Path, default=Path("reports"), help="default: reports")
    budgets = ("smoke", "short", "paper")
    add("--budget", choices=budgets, default="short", help="of sweeps and E11 (short)")
    add("--seeds", type=count, default=3, help="trainings per cell of them (3)")
    text = "evaluate the first N pictures only (labelled)"
    add("--limit", type=count, metavar="N", help=text)
    add("--again", action="store_true", help="run also what was run before")


def run(args: argparse.Namespace) -> int:
    """Lists, or runs and reports."""
    from facedet.reproduce.experiments import Run, read_catalogue
    from facedet.reproduce.resources import find_resources
    from facedet.reproduce.run import Reproduction

    experiments, resources = read_catalogue()
    variable = os.environ.get("FACEDET_DATA", "").split(os.pathsep)
    folders = args.data or [Path(one) for one in variable if one]
    found, places = find_resources(folders, resources), [Path("outputs/sweeps"), *folders]
    base = Run(found, args.output, _call, args.budget, args.seeds, args.limit, places)
    # Takes seconds; a list does without.
    contents = {
        name: resources[name].contents(path) for name, path in found.items() if not args.list
    }
    reproduction = Reproduction(experiments, resources, base, contents)
    chosen = _choose(experiments, args.ids)
    if args.list:
        _list(reproduction, chosen or experiments)
        return 0
    chosen = chosen or [one for one in experiments if one.within_hour]
    lines, is_well = reproduction.run(chosen, args.again)
    for line in lines:
        print(f"{line.experiment.id:9} {line.verdict()}")
    print(f"  {args.output / 'REPRODUCE.md'}")
    return 0 if is_well else 1


def _call(name: str, *words: str) -> None:
    """Runs a command in this process, so that a stop signal reaches it."""
    command = _COMMANDS[name]
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    code = command.run(parser.parse_args(words))
    if code:
        raise FacedetError(
            f"facedet {name} {' '.join(words)}: ended with {code}; "
            "the same facedet reproduce resumes it"
        )


def _choose(experiments: Sequence[Experiment], ids: Sequence[str]) -> list[Experiment]:
    """The experiments named; raises `UsageError` for unknown ones."""
    known = {experiment.id.lower(): experiment for experiment in experiments}
    unknown = [one for one in ids if one.lower() not in known]
    if unknown:
        names = ", ".join(experiment.id for experiment in experiments)
        raise UsageError(f"{unknown[0]} is no experiment; there are {names}")
    return [known[one.lower()] for one in ids]


def _list(reproduction: Reproduction, experiments: Sequence[Experiment]) -> None:
    for experiment in experiments:
        why = reproduction.why_not(experiment)
        print(f"{experiment.id:9} {experiment.title}")
        print(f"{'':9} {experiment.claim}")
        takes = f"takes {experiment.takes(reproduction.base.seeds)}"
        print(f"{'':9} {f'not run: {why}' if why else takes}")
    print("\nneeded:")
    for need in sorted({need for experiment in experiments for need in experiment.needs}):
        place = reproduction.base.resources.get(need, "not found")
        print(f"  {reproduction.resources[need].title}: {place}")
