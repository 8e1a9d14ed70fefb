"""What an experiment of a paper is, what came out of it, and whether that holds."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, NamedTuple

import yaml  # type: ignore[import-untyped]

from facedet.errors import FacedetError

_FOLDER = Path(__file__).parent
_MAX_DEPTH = 4  # folders below the one given
# Hold ten thousand pictures, and nothing that is looked for.
_SKIPPED = ("images", "originalPics", "WIDER_train", "WIDER_val", "WIDER_test", "node_modules")


class Expected(NamedTuple):
    """A published value, or the claim about a comparison in words."""

    value: float | int | str
    source: str
    tolerance: float | None = None  # None: the digits of the value must agree


class Judged(NamedTuple):
    """A comparison that has been judged already: what was compared, and whether the claim holds."""

    shown: str
    holds: bool | None


@dataclass(frozen=True)
class Resource:
    """Data or weights that experiments need, and how they are recognised.

    Args:
        title: what it is, for whoever lacks it.
        holds: pattern of a name in the folder that is the resource.
        is_parent: the resource is that folder's parent.
        weights: name of a weights file without its suffix.
    """

    title: str
    holds: str = ""
    is_parent: bool = False
    weights: str = ""


@dataclass(frozen=True)
class Experiment:
    """A row of the report, as `catalogue.yaml` describes it."""

    id: str
    title: str
    claim: str
    cost: str
    needs: tuple[str, ...] = ()
    run: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    why_not: str = ""
    within_hour: bool = True
    protocol: str = ""
    label: str = ""
    short_of: str = ""
    expected: Mapping[str, Sequence[Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class Run:
    """What an experiment is run with.

    Args:
        resources: by name, those that were found.
        folder: the experiment's own.
        call: runs a command of `facedet`, ("train", "preset=…") say; raises where it fails.
    """

    resources: Mapping[str, Path]
    folder: Path
    call: Callable[..., None]


@dataclass(frozen=True)
class Outcome:
    """What a run measured.

    Args:
        values: by name, in the order to show.
        images: pictures that they are of; None where there are none.
        weights: file and hash of the weights; "" where there are none.
        short_of: what is missing for a comparison with the paper; "" where nothing is.
        files: figures and tables, relative to the experiment's folder.
        expected: as `Experiment.expected`, what is known only from files.
    """

    values: Mapping[str, float | int | str | Judged]
    images: int | None = None
    weights: str = ""
    short_of: str = ""
    files: Sequence[str] = ()
    expected: Mapping[str, Sequence[Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class Result:
    """One value and its expectation, as texts; `holds` is None where they cannot be compared."""

    name: str
    ours: str
    expected: str | None = None
    source: str = ""
    holds: bool | None = None


def read_catalogue() -> tuple[list[Experiment], dict[str, Resource]]:
    """All experiments, in the order of the report, and the resources by name."""
    content = yaml.safe_load((_FOLDER / "catalogue.yaml").read_text(encoding="utf-8"))
    resources = {name: Resource(**row) for name, row in content["resources"].items()}
    return [Experiment(**row) for row in content["experiments"]], resources


def read_published() -> dict[str, tuple[float, float, float]]:
    """AP on easy, medium and hard faces of WIDER val by method, computed from released curves."""
    content = yaml.safe_load((_FOLDER / "published.yaml").read_text(encoding="utf-8"))
    return {name: tuple(values) for name, values in content["wider_val"].items()}


def judge(experiment: Experiment, outcome: Outcome) -> list[Result]:
    """Every measured value with what is expected of it, then the expectations not measured."""
    rows = {**experiment.expected, **outcome.expected}
    expected = {name: Expected(*row) for name, row in rows.items()}
    is_comparable = not (experiment.short_of or outcome.short_of)
    results = []
    for name, ours in outcome.values.items():
        one = expected.pop(name, None)
        if one is None:
            results.append(Result(name, _shown(ours)))
        else:
            holds = _holds(ours, one) if is_comparable else None
            results.append(Result(name, _shown(ours, one), _published(one), one.source, holds))
    for name, one in expected.items():
        results.append(Result(name, "not measured", _published(one), one.source))
    return results


def verdict(results: Sequence[Result], label: str, short_of: str) -> str:
    """`holds`, `differs`, or `not run: why`.

    It holds where everything that can be compared agrees; where nothing can, the experiment as
    the paper describes it has not been run, whatever was measured.
    """
    compared = [result.holds for result in results if result.holds is not None]
    if not compared:
        return f"not run: {short_of or 'nothing to compare with is published'}"
    word = "holds" if all(compared) else "differs"
    return f"{word} ({label})" if label else word


def _holds(ours: float | int | str | Judged, expected: Expected) -> bool | None:
    if isinstance(ours, Judged):
        return ours.holds
    if isinstance(ours, str) or isinstance(expected.value, str):
        return ours == expected.value
    if expected.tolerance is not None:
        return bool(abs(ours - expected.value) <= expected.tolerance)  # of numpy numbers too
    digits = _digits(expected.value)
    return f"{ours:.{digits}f}" == f"{expected.value:.{digits}f}"


def _shown(ours: float | int | str | Judged, expected: Expected | None = None) -> str:
    """A value with one digit more than a rounded expectation has."""
    if isinstance(ours, Judged):
        return ours.shown
    if isinstance(ours, str | int):
        return ours if isinstance(ours, str) else f"{ours:,}"
    if expected is None or isinstance(expected.value, str):
        return f"{ours:.4f}"
    return f"{ours:.{_digits(expected.value) + 1}f}"


def _published(expected: Expected) -> str:
    if isinstance(expected.value, str):
        return expected.value
    tolerance = "" if expected.tolerance is None else f" ± {expected.tolerance:g}"
    return f"{expected.value:,}{tolerance}"


def _digits(value: float) -> int:
    """Decimals of a number as it is written.

    >>> [_digits(value) for value in (138, 28.3, 4.5195)]
    [0, 1, 4]
    """
    return 0 if isinstance(value, int) else len(repr(value).partition(".")[2])


def find_resources(folders: Sequence[Path], resources: Mapping[str, Resource]) -> dict[str, Path]:
    """The resources in `folders` and four levels below, by name; the first of each counts.

    Raises:
        FacedetError: one of `folders` is no folder.
    """
    found: dict[str, Path] = {}
    for folder in folders:
        if not folder.is_dir():
            raise FacedetError(f"{folder}: no such folder to look for data in")
        for place, names in _walk(folder):
            for key, resource in resources.items():
                for name in names:
                    path = _recognised(resource, place, name)
                    if path is not None:
                        found.setdefault(key, path)
    return found


def _walk(root: Path) -> Iterator[tuple[Path, list[str]]]:
    """Each folder, and the names that it holds."""
    for name, folders, files in os.walk(root):
        place = Path(name)
        folders.sort()
        yield place, [*folders, *sorted(files)]
        # os.walk enters what is left in the list.
        is_deepest = len(place.parts) - len(root.parts) >= _MAX_DEPTH
        folders[:] = [
            one for one in folders if not (is_deepest or one.startswith(".") or one in _SKIPPED)
        ]


def _recognised(resource: Resource, place: Path, name: str) -> Path | None:
    if resource.weights:
        is_it = name.lower() in (f"{resource.weights}.pth", f"{resource.weights}.safetensors")
        return place / name if is_it else None
    if not fnmatch(name, resource.holds):
        return None
    return place.parent if resource.is_parent else place
