"""Runs the catalogue's experiments, each into a folder of its own, once for the same inputs."""

import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from facedet import __version__
from facedet.errors import FacedetError
from facedet.profiling.timing import describe_machine
from facedet.reproduce import arithmetic, measure, train
from facedet.reproduce.experiments import Experiment, Outcome, Run, judge
from facedet.reproduce.report import Done, Line, read_done, save_done, write_report
from facedet.reproduce.resources import Resource

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
