"""Runs the catalogue's experiments, each into a folder of its own, once for the same inputs."""

import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from facedet import __version__
from facedet.errors import FacedetError
from facedet.profiling.timing import describe_machine
from facedet.reproduce import count, curves, measure, train
from facedet.reproduce.experiments import Experiment, Outcome, Resource, Run, judge
from facedet.reproduce.report import Done, Line, read_done, save_done, write_report

# What `run` of an experiment in the catalogue names.
_FUNCTIONS: tuple[Callable[..., Outcome], ...] = (
    count.costs, count.training_images, curves.curves_compared, curves.curves_drawing,
    curves.curves_table, curves.fddb_rates, measure.benchmark, measure.examples,
    measure.picture_sizes, measure.points_below, measure.pyramid, measure.single_images,
    measure.times, train.shipped, train.sweep,
)  # fmt: skip
FUNCTIONS = {function.__name__: function for function in _FUNCTIONS}


@dataclass(frozen=True)
class Reproduction:
    """The experiments, with the data and weights that there are."""

    experiments: Sequence[Experiment]  # all of them, in the order of the report
    resources: Mapping[str, Resource]
    found: Mapping[str, Path]  # where those resources are that were found
    output: Path  # folder of the report, with a folder for each experiment
    budget: str = "short"  # of experiments that are sweeps or timings
    seeds: int = 3  # of each of their cells
    limit: int | None = None  # pictures of each evaluation; None: all that are there
    places: Sequence[Path] = ()  # folders below which finished sweeps may lie

    def why_not(self, experiment: Experiment) -> str:
        """Why an experiment cannot be run; "" where it can."""
        missing = [
            self.resources[need].title for need in experiment.needs if need not in self.found
        ]
        return experiment.why_not or (f"needs {' and '.join(missing)}" if missing else "")

    def run(
        self, chosen: Sequence[Experiment], again: bool, call: Callable[..., None]
    ) -> tuple[list[Line], bool]:
        """Runs experiments, and writes the report of all after each of them.

        Args:
            chosen: those to run.
            again: run also what was run before.
            call: runs a command of `facedet`, see `Run`.

        Returns:
            A line for each experiment, and whether all that could be run ended well.
        """
        failures: dict[str, str] = {}
        for experiment in chosen:
            if why := self.why_not(experiment):
                print(f"{experiment.id}: not run: {why}")
            elif not again and self._read(experiment) is not None:
                print(f"{experiment.id}: was run before")
            else:
                cost = experiment.takes(self.seeds)
                print(f"{experiment.id}: {experiment.title} (takes {cost})", flush=True)
                try:
                    self._run(experiment, call)
                except FacedetError as error:
                    # One experiment's failure is no reason to leave out the others.
                    print(f"{experiment.id}: {error}", file=sys.stderr)
                    failures[experiment.id] = str(error)
            lines = [self._line(one, failures) for one in self.experiments]
            write_report(self.output, lines)
        return lines, not failures

    def _run(self, experiment: Experiment, call: Callable[..., None]) -> None:
        folder, inputs = self.output / experiment.id, self._inputs(experiment)
        folder.mkdir(parents=True, exist_ok=True)
        began, worked = time.perf_counter(), _core_seconds()
        places = [self.output, *self.places]
        run = Run(self.found, folder, call, self.budget, self.seeds, self.limit, places)
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
        return read_done(self.output / experiment.id, self._inputs(experiment))

    def _inputs(self, experiment: Experiment) -> dict[str, str]:
        """What a result depends on besides the code: its version, resources and settings."""
        places = {need: str(self.found[need].resolve()) for need in experiment.needs}
        if experiment.run in (train.sweep.__name__, measure.picture_sizes.__name__):
            places |= {"budget": self.budget, "seeds": str(self.seeds)}
        # A reduced sweep is of WIDER FACE's pictures where they are at hand.
        if experiment.run == train.sweep.__name__ and "wider" in self.found:
            places["wider"] = str(self.found["wider"].resolve())
        if self.limit is not None and "wider" in experiment.needs:
            places["limit"] = str(self.limit)
        return {"facedet": __version__, **places}

    def _line(self, experiment: Experiment, failures: Mapping[str, str]) -> Line:
        if why := self.why_not(experiment) or failures.get(experiment.id, ""):
            return Line(experiment, None, why)
        command = f"facedet reproduce {experiment.id}"
        why = f"not asked for; {command} takes {experiment.takes(self.seeds)}"
        return Line(experiment, self._read(experiment), why)


def _core_seconds() -> float:
    """Of this process and of those that it has waited for."""
    spent = os.times()
    return spent.user + spent.system + spent.children_user + spent.children_system
