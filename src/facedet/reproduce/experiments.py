"""What an experiment of a paper is, what came out of it, and whether that holds."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

# Where an expected number comes from.
PAPER = "paper"
RELEASE = "release"
COMPUTED = "computed"
LISTING = "listing"

Resources = Mapping[str, Path]


@dataclass(frozen=True)
class Result:
    """One number or statement beside its expectation.

    Args:
        name: what it is.
        ours: the value, or what was found in words.
        expected: likewise; None where none is published.
        source: of the expectation.
        holds: whether ours agrees; None where the two cannot be compared.
    """

    name: str
    ours: str
    expected: str | None = None
    source: str = ""
    holds: bool | None = None


@dataclass(frozen=True)
class Outcome:
    """What a run gave.

    Args:
        results: in the order to show.
        protocol: of the numbers, with what matters of it.
        images: pictures that they are of; None where there are none.
        weights: file and hash of the weights; "" where there are none.
        label: what the numbers may not be taken for: "short training", say.
        short_of: what is missing for a comparison with the paper; "" where nothing is.
        files: figures and tables, relative to the report.
    """

    results: list[Result]
    protocol: str = ""
    images: int | None = None
    weights: str = ""
    label: str = ""
    short_of: str = ""
    files: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Experiment:
    """A row of the report.

    Args:
        id: of the experiment, E1 … E12 for EXTD, S1 … S13 for SmallHardFace.
        title: what it shows.
        claim: what the paper says about it, or that it says nothing.
        cost: what a run takes on two CPU cores.
        needs: names of the resources without which it cannot run.
        run: (resources, its own folder) to the outcome; None: it cannot be run here.
        why_not: said where `run` is None.
        within_hour: whether `make reproduce` runs it; the others run by their id.
    """

    id: str
    title: str
    claim: str
    cost: str
    needs: tuple[str, ...] = ()
    run: Callable[[Resources, Path], Outcome] | None = None
    why_not: str = ""
    within_hour: bool = True


def verdict(outcome: Outcome) -> str:
    """`holds`, `differs`, or `not run: why`.

    It holds where everything that can be compared agrees; where nothing can, the experiment as
    the paper describes it has not been run, whatever was measured.
    """
    compared = [result.holds for result in outcome.results if result.holds is not None]
    if not compared:
        return f"not run: {outcome.short_of or 'nothing to compare with is published'}"
    word = "holds" if all(compared) else "differs"
    return f"{word} ({outcome.label})" if outcome.label else word


def check_number(
    name: str, ours: float, expected: float, tolerance: float, source: str, form: str = ".4f"
) -> Result:
    """A number that holds within a tolerance, said in the result."""
    return Result(
        name,
        f"{ours:{form}}",
        f"{expected:{form}}" + (f" ± {tolerance:g}" if tolerance else ""),
        source,
        bool(abs(ours - expected) <= tolerance),  # of numpy numbers too
    )


def to_plain(outcome: Outcome) -> dict[str, Any]:
    """The outcome as JSON has it."""
    return asdict(outcome)


def from_plain(content: Mapping[str, Any]) -> Outcome:
    """Undoes `to_plain`; raises TypeError or KeyError where the content is something else."""
    results = [Result(**result) for result in content["results"]]
    return Outcome(**{**content, "results": results})
