"""Results of experiments on disk: each as soon as it is there, and all as one report."""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from facedet.files import replace_json, replacing
from facedet.reproduce.experiments import Experiment, Result, verdict
from facedet.tables import pipe_table
from facedet.training.estimate import duration

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
