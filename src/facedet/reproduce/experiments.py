"""What an experiment of a paper is, what came out of it, and whether that holds."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import yaml  # type: ignore[import-untyped]

from facedet.reproduce.resources import Resource
from facedet.tables import counted
from facedet.training.estimate import duration

_FOLDER = Path(__file__).parent
_NOT_MEASURED = "not measured"


class Judged(NamedTuple):
    """A comparison, which was judged by its noise; one that fails is `contradicted`."""

    shown: str  # what was compared
    holds: bool | None
    why: str = ""  # why it is neither: "undecided: …" or "not run: …"


Value = float | int | str | Judged
Values = dict[str, Value]  # by name, in the order to show


class Measured(NamedTuple):
    """Seconds of one processor core that an experiment took."""

    seconds: float  # of each unit
    unit: str = ""  # picture | training; "": of all
    number: int = 1  # of units; of trainings, those of each seed
    where: str = ""  # machine and date


@dataclass(frozen=True)
class Experiment:
    """A row of the report, as `catalogue.yaml` describes it."""

    id: str
    title: str
    claim: str
    cost: str = ""  # in words, of what takes less than a minute or has not been measured
    needs: tuple[str, ...] = ()
    run: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    why_not: str = ""
    within_hour: bool = True
    protocol: str = ""
    label: str = ""
    short_of: str = ""
    expected: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    measured: Measured | None = None  # of what takes more than a minute
    uses: tuple[str, ...] = ()  # resources that it can do without

    def takes(self, seeds: int) -> str:
        """The cost in words, of so many seeds where it is a sweep."""
        if self.measured is None:
            return self.cost
        seconds, unit, number, where = self.measured
        if not unit:
            return f"{duration(seconds)} of one core (measured: {where})"
        number *= seeds if unit == "training" else 1
        total = duration(seconds * number)
        return f"{total} of one core ({counted(number, unit)} of {seconds:g} s; measured: {where})"


class Run(NamedTuple):
    """What an experiment is run with."""

    resources: Mapping[str, Path]  # those that were found
    folder: Path  # the experiment's own
    call: Callable[..., None]  # runs ("train", "preset=…"), say; raises where that fails
    budget: str = "short"  # of sweeps and timings
    seeds: int = 3  # trainings of each cell of a sweep
    limit: int | None = None  # pictures of each evaluation, the first ones; None: all
    places: Sequence[Path] = ()  # folders below which finished sweeps may lie


class Outcome(NamedTuple):
    """What a run measured."""

    values: Mapping[str, Value]
    images: int | None = None  # pictures that they are of; None where there are none
    weights: str = ""  # file and hash
    short_of: str = ""  # what is missing for a comparison with the paper; "" where nothing is
    files: Sequence[str] = ()  # figures and tables, relative to the experiment's folder
    expected: Mapping[str, Sequence[Any]] = {}  # known only from files


class Result(NamedTuple):
    """One value and its expectation, as texts; `holds` is None where they cannot be compared."""

    name: str
    ours: str
    expected: str | None = None
    source: str = ""
    holds: bool | None = None
    why: str = ""  # see `Judged`
    is_claim: bool = False  # judged by its noise; else a number or a text that was expected


def read_catalogue() -> tuple[list[Experiment], dict[str, Resource]]:
    """All experiments, in the order of the report, and the resources by name."""
    content = yaml.safe_load((_FOLDER / "catalogue.yaml").read_text(encoding="utf-8"))
    resources = {name: Resource(**row) for name, row in content["resources"].items()}
    measured = {
        name: Measured(**{"where": content["measured_on"], **row})
        for name, row in content["measured"].items()
    }
    rows = content["experiments"]
    return [Experiment(**row, measured=measured.get(row["id"])) for row in rows], resources


def read_published() -> dict[str, tuple[float, float, float]]:
    """AP on easy, medium and hard faces of WIDER val by method, computed from released curves."""
    content = yaml.safe_load((_FOLDER / "published.yaml").read_text(encoding="utf-8"))
    return {name: tuple(values) for name, values in content["wider_val"].items()}


def judge(experiment: Experiment, outcome: Outcome) -> list[Result]:
    """Every measured value with what is expected of it, then the expectations not measured."""
    rows = {**experiment.expected, **outcome.expected}
    is_comparable = not (experiment.short_of or outcome.short_of)
    results = []
    for name in dict.fromkeys([*outcome.values, *rows]):
        ours = outcome.values.get(name)
        if name not in rows:
            results.append(Result(name, _shown(outcome.values[name])))
            continue
        value, source, *tolerance = rows[name]
        published = "".join([_shown(value, exact=True), *(f" ± {one:g}" for one in tolerance)])
        shown, holds = _NOT_MEASURED, None
        if ours is not None:
            shown = _shown(ours, value)
            holds = _holds(ours, value, *tolerance) if is_comparable else None
        is_claim, why = isinstance(ours, Judged), ours.why if isinstance(ours, Judged) else ""
        results.append(Result(name, shown, published, source, holds, why, is_claim))
    return results


def verdict(results: Sequence[Result], label: str, short_of: str) -> str:
    """`holds`, `differs`, `contradicted`, `undecided: why` or `not run: why`.

    It holds where everything that can be compared agrees; where nothing can, the experiment as
    the paper describes it has not been run, whatever was measured. A number or text that disagrees
    differs, a claim is contradicted. A claim that is undecided leaves the experiment undecided,
    unless another one fails. What was not measured is counted.
    """
    compared = [result for result in results if result.holds is not None]
    failed = [result for result in compared if not result.holds]
    reasons = [result.why for result in results if result.why]
    if not failed and reasons:
        return max(reasons)  # "undecided" before "not run"
    if not compared:
        return f"not run: {short_of or 'nothing to compare with is published'}"
    word = "holds"
    if failed:
        word = "contradicted" if all(result.is_claim for result in failed) else "differs"
    absent = sum(result.ours == _NOT_MEASURED for result in results)
    rest = f"; {absent} of {len(compared) + absent} not measured" if absent else ""
    return f"{word} ({label}){rest}" if label else f"{word}{rest}"


def _holds(ours: Value, expected: float | str, tolerance: float | None = None) -> bool | None:
    """Without a tolerance the digits of the expected value must agree."""
    if isinstance(ours, Judged):
        return ours.holds
    if isinstance(ours, str) or isinstance(expected, str):
        return ours == expected
    if tolerance is not None:
        return bool(abs(ours - expected) <= tolerance)  # of numpy numbers too
    digits = _digits(expected)
    return f"{ours:.{digits}f}" == f"{expected:.{digits}f}"


def _shown(value: Value, expected: float | str = "", exact: bool = False) -> str:
    """A value: with one digit more than a rounded expectation has, or `exact`ly as written."""
    if isinstance(value, Judged | str):
        return value.shown if isinstance(value, Judged) else value
    if exact or isinstance(value, int):
        return f"{value:,}"
    return f"{value:.{4 if isinstance(expected, str) else _digits(expected) + 1}f}"


def _digits(value: float) -> int:
    """Decimals of a number as it is written.

    >>> [_digits(value) for value in (138, 28.3, 4.5195)]
    [0, 1, 4]
    """
    return 0 if isinstance(value, int) else len(repr(value).partition(".")[2])
