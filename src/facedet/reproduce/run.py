"""Runs the catalogue's experiments, each into a folder of its own, once for the same inputs."""

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path

from facedet import __version__
from facedet.errors import FacedetError
from facedet.profiling.timing import describe_machine
from facedet.reproduce import count, curves, measure, train
from facedet.reproduce.experiments import Experiment, Outcome, Resource, Run, judge
from facedet.reproduce.report import (
    Done,
    Line,
    read_done,
    save_done,
    save_seconds,
    seconds_before,
    write_report,
)

# What `run` of an experiment in the catalogue names.
FUNCTIONS: dict[str, Callable[..., Outcome]] = {
    function.__name__: function
    for function in (
        count.costs,
        count.training_images,
        curves.curves_beside,
        curves.curves_drawing,
        curves.curves_table,
        measure.benchmark,
        measure.examples,
        measure.points_below,
        measure.pyramid,
        measure.single_images,
        measure.times,
        train.shipped,
        train.sweep,
    )
}


def reproduce(
    experiments: Sequence[Experiment],
    titles: Mapping[str, Resource],
    chosen: Sequence[Experiment],
    found: Mapping[str, Path],
    output: Path,
    again: bool,
    call: Callable[..., None],
) -> tuple[list[Line], bool]:
    """Runs the chosen experiments and writes the report of all after each of them.

    Args:
        experiments: all of them.
        titles: what each resource is.
        chosen: those to run.
        found: the resources that there are.
        output: folder of the report, with a folder for each experiment.
        again: run also what was run before.
        call: runs a command of `facedet`, see `Run`.

    Returns:
        A line for each experiment, and whether all that could be run ended well.
    """
    failures: dict[str, str] = {}
    for experiment in chosen:
        folder = output / experiment.id
        if why := why_not(experiment, titles, found):
            print(f"{experiment.id}: not run: {why}")
        elif not again and read_done(folder, _inputs(experiment, found)) is not None:
            print(f"{experiment.id}: was run before")
        else:
            print(f"{experiment.id}: {experiment.title} (takes {experiment.cost})", flush=True)
            try:
                _run(experiment, Run(found, folder, call))
            except FacedetError as error:
                # One experiment's failure is no reason to leave out the others.
                print(f"{experiment.id}: {error}", file=sys.stderr)
                failures[experiment.id] = str(error)
        lines = [_line(one, titles, found, output, failures) for one in experiments]
        write_report(output, lines)
    return lines, not failures


def why_not(
    experiment: Experiment, titles: Mapping[str, Resource], found: Mapping[str, Path]
) -> str:
    """Why an experiment cannot be run; "" where it can."""
    missing = [titles[need].title for need in experiment.needs if need not in found]
    return experiment.why_not or (f"needs {' and '.join(missing)}" if missing else "")


def _run(experiment: Experiment, run: Run) -> None:
    inputs = _inputs(experiment, run.resources)
    # What is resumed has taken the time of all its starts.
    began = time.perf_counter() - seconds_before(run.folder, inputs)
    run.folder.mkdir(parents=True, exist_ok=True)
    try:
        outcome = FUNCTIONS[experiment.run](run, **experiment.settings)
    except BaseException:
        save_seconds(run.folder, inputs, time.perf_counter() - began)
        raise
    machine = describe_machine()
    threads = f"{machine['threads']} threads" if machine["threads"] > 1 else "1 thread"
    done = Done(
        judge(experiment, outcome),
        outcome.images,
        outcome.weights,
        experiment.short_of or outcome.short_of,
        list(outcome.files),
        f"{machine['gpu'] or machine['cpu']}, {threads}, torch {machine['torch']}",
        datetime.now().astimezone().isoformat(timespec="minutes"),
        time.perf_counter() - began,
        inputs,
    )
    save_done(run.folder, done)


def _inputs(experiment: Experiment, found: Mapping[str, Path]) -> dict[str, str]:
    """What a result depends on besides the code: its version and the places of the resources."""
    places = {need: str(found[need].resolve()) for need in experiment.needs}
    return {"facedet": __version__, **places}


def _line(
    experiment: Experiment,
    titles: Mapping[str, Resource],
    found: Mapping[str, Path],
    output: Path,
    failures: Mapping[str, str],
) -> Line:
    why = why_not(experiment, titles, found) or failures.get(experiment.id, "")
    if why:
        return Line(experiment, None, why)
    done = read_done(output / experiment.id, _inputs(experiment, found))
    command = f"facedet reproduce {experiment.id}"
    return Line(experiment, done, f"not asked for; {command} takes {experiment.cost}")
