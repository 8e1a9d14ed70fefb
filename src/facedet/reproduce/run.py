"""Runs the catalogue's experiments, once for the same inputs, and writes the report of all."""

import json
import os
import re
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from facedet import __version__
from facedet.errors import FacedetError
from facedet.files import replace_json, replacing
from facedet.profiling.timing import describe_machine
from facedet.reproduce import arithmetic, measure, train
from facedet.reproduce.experiments import Experiment, Outcome, Result, Run, judge, verdict
from facedet.reproduce.resources import Resource
from facedet.tables import pipe_table
from facedet.training.estimate import duration

# What `run` of an experiment in the catalogue names.
_FUNCTIONS: tuple[Callable[..., Outcome], ...] = (
    arithmetic.costs, arithmetic.training_images, arithmetic.curves_compared,
    arithmetic.curves_drawing, arithmetic.curves_table, arithmetic.fddb_rates, measure.benchmark,
    measure.examples, measure.picture_sizes, measure.points_below, measure.pyramid,
    measure.single_images, measure.times, train.shipped, train.sweep,
)  # fmt: skip
FUNCTIONS = {function.__name__: function for function in _FUNCTIONS}
# Those of them that `budget` and `seeds` change, and those that `limit` does.
_BUDGETED = {one.__name__ for one in (measure.picture_sizes, train.sweep)}
_LIMITED = {
    one.__name__
    for one in (measure.benchmark, measure.points_below, measure.pyramid, measure.single_images)
}
_HEAD = (
    "id", "experiment", "expected", "ours", "protocol", "images", "weights", "machine", "time",
    "verdict",
)  # fmt: skip
_WORDS = ("holds", "differs", "contradicted", "undecided", "not run")
_SHOWN = 4  # values of an experiment in its row; all of them stand below
_PICTURES = (".png", ".jpg")
_SOURCES = (
    "Expected values come from: paper, stated there; release, read from the authors' code; "
    "computed from released curves or weights; listing, a public one of third parties. A number "
    "belongs to its protocol, images and weights; what is labelled a short training stands for "
    "nothing else."
)


class Done(NamedTuple):
    """A finished run of an experiment, as its result.json has it."""

    results: list[Result]
    images: int | None
    weights: str
    short_of: str
    files: list[str]
    machine: str
    date: str  # ISO
    seconds: float  # of its last start
    core_seconds: float  # of that, all of the processor's cores together
    inputs: dict[str, str]  # what it was run with


class Line(NamedTuple):
    """An experiment, and its run or why there is none."""

    experiment: Experiment
    done: Done | None
    why: str = ""  # where it was not run

    def verdict(self) -> str:
        """See `experiments.verdict`."""
        if self.done is None:
            return f"not run: {self.why}"
        return verdict(self.done.results, self.experiment.label, self.done.short_of)


def save_done(folder: Path, done: Done) -> None:
    """Writes a run's result into its folder."""
    content = done._asdict() | {"results": [result._asdict() for result in done.results]}
    replace_json(folder / "result.json", content)


def read_done(folder: Path, inputs: Mapping[str, str]) -> Done | None:
    """The result that `save_done` wrote, None where there is none, or one of other inputs."""
    try:
        content = json.loads((folder / "result.json").read_text(encoding="utf-8"))
        done = Done(**content | {"results": [Result(**result) for result in content["results"]]})
    # Absent, cut short or of another version: it is run again.
    except (OSError, ValueError, TypeError, KeyError):
        return None
    return done if done.inputs == dict(inputs) else None


def write_report(folder: Path, lines: Sequence[Line]) -> None:
    """Writes REPRODUCE.md into `folder`, which holds the experiments' own."""
    words = [re.split(r"[:;]| \(", line.verdict())[0] for line in lines]
    counts = ", ".join(f"{words.count(word)} {word}" for word in _WORDS)
    text = ["# Reproduction", "", f"{len(lines)} experiments: {counts}.", "", _SOURCES, ""]
    text += pipe_table(_HEAD, [_row(line) for line in lines])
    for line in lines:
        if line.done is not None:
            text += _section(line, line.done)
    with replacing(folder / "REPRODUCE.md") as aside:
        aside.write_text("\n".join(text) + "\n", encoding="utf-8")


def _row(line: Line) -> list[str]:
    experiment, done = line.experiment, line.done
    if done is None:
        return [experiment.id, experiment.title, experiment.claim, *["–"] * 6, line.verdict()]
    # Those that differ come first.
    results = sorted(done.results, key=lambda result: result.holds is not False)[:_SHOWN]
    hidden = len(done.results) - len(results)
    rest = f"; {hidden} more below" if hidden else ""
    expected = [f"{r.name}: {r.expected} ({r.source})" for r in results if r.expected is not None]
    return [
        experiment.id,
        experiment.title,
        "; ".join(expected) + rest if expected else experiment.claim,
        "; ".join(f"{result.name}: {result.ours}" for result in results) + rest,
        experiment.protocol,
        "–" if done.images is None else f"{done.images:,}",
        done.weights or "–",
        done.machine,
        f"{duration(done.seconds)}, {duration(done.core_seconds)} of one core",
        line.verdict(),
    ]


def _section(line: Line, done: Done) -> list[str]:
    """All values of an experiment, its figures and files."""
    experiment = line.experiment
    words = {True: "yes", False: "no", None: "–"}
    rows = [
        [one.name, one.expected or "–", one.source or "–", one.ours, words[one.holds]]
        for one in done.results
    ]
    text = ["", f"## {experiment.id}: {experiment.title}", ""]
    text += [f"{experiment.claim} Run on {done.date}: **{line.verdict()}**.", ""]
    text += pipe_table(("what", "expected", "source", "ours", "holds"), rows)
    for name in done.files:
        mark = "!" if name.endswith(_PICTURES) else ""
        text += ["", f"{mark}[{name}]({experiment.id}/{name})"]
    return text


class Reproduction(NamedTuple):
    """The experiments, with the data and weights that there are."""

    experiments: Sequence[Experiment]  # all of them, in the order of the report
    resources: Mapping[str, Resource]
    base: Run  # its folder is that of the report, with a folder for each experiment
    contents: Mapping[str, str]  # of the resources that were found, see `Resource`

    def why_not(self, experiment: Experiment) -> str:
        """Why an experiment cannot be run; "" where it can."""
        missing = [
            self.resources[need].title
            for need in experiment.needs
            if need not in self.base.resources
        ]
        return experiment.why_not or (f"needs {' and '.join(missing)}" if missing else "")

    def run(self, chosen: Sequence[Experiment], again: bool) -> tuple[list[Line], bool]:
        """Runs experiments, and writes the report of all after each of them.

        `again` runs also what was run before. Returns a line for each experiment, and whether all
        that could be run ended well.
        """
        failures: dict[str, str] = {}
        for experiment in chosen:
            if why := self.why_not(experiment):
                print(f"{experiment.id}: not run: {why}")
            elif not again and self._read(experiment) is not None:
                print(f"{experiment.id}: was run before")
            else:
                cost = experiment.takes(self.base.seeds)
                print(f"{experiment.id}: {experiment.title} (takes {cost})", flush=True)
                try:
                    self._run(experiment)
                except FacedetError as error:
                    # One experiment's failure is no reason to leave out the others.
                    print(f"{experiment.id}: {error}", file=sys.stderr)
                    failures[experiment.id] = str(error)
            lines = [self._line(one, failures) for one in self.experiments]
            write_report(self.base.folder, lines)
        return lines, not failures

    def _run(self, experiment: Experiment) -> None:
        folder, inputs = self.base.folder / experiment.id, self._inputs(experiment)
        folder.mkdir(parents=True, exist_ok=True)
        began, worked = time.perf_counter(), _core_seconds()
        places = [self.base.folder, *self.base.places]
        run = self.base._replace(folder=folder, places=places)
        outcome = FUNCTIONS[experiment.run](run, **experiment.settings)
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
            _core_seconds() - worked,
            inputs,
        )
        save_done(folder, done)

    def _read(self, experiment: Experiment) -> Done | None:
        return read_done(self.base.folder / experiment.id, self._inputs(experiment))

    def _inputs(self, experiment: Experiment) -> dict[str, str]:
        """What a result depends on besides the code: its version, resources and settings."""
        base = self.base
        inputs = {
            name: f"{base.resources[name].resolve()}: {self.contents[name]}"
            for name in sorted({*experiment.needs, *experiment.uses} & base.resources.keys())
        }
        if experiment.run in _BUDGETED:
            inputs |= {"budget": base.budget, "seeds": str(base.seeds)}
        if base.limit is not None and experiment.run in _LIMITED:
            inputs["limit"] = str(base.limit)
        return {"facedet": __version__, **inputs}

    def _line(self, experiment: Experiment, failures: Mapping[str, str]) -> Line:
        if why := self.why_not(experiment) or failures.get(experiment.id, ""):
            return Line(experiment, None, why)
        command = f"facedet reproduce {experiment.id}"
        why = f"not asked for; {command} takes {experiment.takes(self.base.seeds)}"
        return Line(experiment, self._read(experiment), why)


def _core_seconds() -> float:
    """Of this process and of those that it has waited for."""
    spent = os.times()
    return spent.user + spent.system + spent.children_user + spent.children_system
