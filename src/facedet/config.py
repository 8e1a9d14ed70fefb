"""Overrides to configs, and configs to objects."""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException, ValidationError

from facedet.config_store import TEXT_KEYS, extd_cells
from facedet.errors import FacedetError, UsageError, first_line, nearest
from facedet.files import expand_home

_PACKAGE = Path(__file__).resolve().parent
# In a wheel the folders lie inside the package, in a checkout next to `src`.
_ROOT = _PACKAGE if (_PACKAGE / "conf").is_dir() else _PACKAGE.parents[1]
CONF_DIR = _ROOT / "conf"
SWEEPS_DIR = _ROOT / "sweeps"

# Where an empty value, as an unset variable of a shell gives it, would mean the folder `/`.
_PATH_KEYS = ("paths.output", "paths.cache", "data.root", "weights", "backbone_weights",
              "ckpt_path", "trainer.default_root_dir")  # fmt: skip
_DESCRIBED = 4  # differences in a message; more are counted

Differences = dict[str, dict[str, Any]]  # by key, the values by name


def presets() -> list[str]:
    """Names of what lies in conf/preset; in place of EXTD's two layouts the paper's 18 models."""
    cells = extd_cells()
    layouts = {f"extd_{layout}" for _, layout, _, _ in cells}
    files = sorted(file.stem for file in (CONF_DIR / "preset").glob("*.yaml"))
    return [name for name, *_ in cells] + [name for name in files if name not in layouts]


def compose(
    name: str, overrides: Sequence[str] = (), folder: Path | None = None, with_hydra: bool = False
) -> DictConfig:
    """The config that the command line `overrides` make of the primary config `name`.

    The primary config is in `folder`, None: the package's; `with_hydra` keeps Hydra's own node.

    Raises:
        UsageError: an override names no key or option; gives the nearest one.
    """
    try:
        return _compose(name, overrides, folder, with_hydra)
    # A number or null in the place of a part's name is a ValueError.
    except (HydraException, OmegaConfBaseException, ValueError) as error:
        raise UsageError(explain(error, name, overrides, folder)) from error


def _compose(
    name: str, overrides: Sequence[str], folder: Path | None, with_hydra: bool = False
) -> DictConfig:
    GlobalHydra.instance().clear()
    with initialize_config_dir(str((folder or CONF_DIR).resolve()), version_base="1.3"):
        return hydra_compose(name, list(map(quote, overrides)), return_hydra_config=with_hydra)


def quote(override: str) -> str:
    """The override `KEY=VALUE`, with quotes where Hydra's grammar would read another value.

    It knows only English letters and no `~`, `(` or `'`, all of which paths may hold; and what is
    a name to us, `weights=123`, is a number to it.
    """
    key, _, value = override.partition("=")
    if value.startswith("~/"):  # the shell leaves it alone in `data.root=~/wider`
        value = str(expand_home(value))
        override = f"{key}={value}"
    is_bare = bool(value) and value[0] not in "[{'\"" and "${" not in value
    try:
        parsed = OverridesParser.create().parse_override(override)
    except HydraException:
        return literal(key, value) if is_bare else override
    is_text = key.lstrip("+") in TEXT_KEYS and value != "null" and not parsed.is_sweep_override()
    return literal(key, value) if is_bare and is_text else override


def literal(key: str, value: str | Path) -> str:
    """The override of a value that is meant letter by letter: a path with a comma, say."""
    escaped = str(value).replace("'", "\\'")
    return f"{key}='{escaped}'"


def check_paths(config: DictConfig) -> None:
    """Raises `UsageError` where a path is empty, which would mean the root of the disk."""
    for key in _PATH_KEYS:
        value = OmegaConf.select(config, key, throw_on_missing=False)
        if isinstance(value, str) and not value.strip():
            raise UsageError(f"{key}= is empty: give a path, or leave the setting out")


def plain(config: DictConfig) -> dict[str, Any]:
    """The config with every `${…}` resolved, as dicts, lists and numbers.

    Raises:
        UsageError: a value that must be given (`???`) is missing, or a path is empty.
    """
    check_paths(config)
    try:
        resolved = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    except MissingMandatoryValue as error:
        key = getattr(error, "full_key", None) or str(error).split(":")[-1].strip()
        raise UsageError(f"{key} is not given: add {key}=VALUE") from error
    except OmegaConfBaseException as error:
        raise UsageError(first_line(error)) from error
    assert isinstance(resolved, dict)
    return resolved  # type: ignore[return-value]


def build(node: Any, **arguments: Any) -> Any:  # noqa: ANN401
    """The object that a config node describes, with `arguments` added to its own.

    Raises:
        FacedetError: as the object's constructor raises it.
        UsageError: the constructor refuses the arguments.
    """
    try:
        return instantiate(node, _convert_="all", **arguments)
    except (HydraException, OmegaConfBaseException) as error:
        cause: BaseException = error
        while cause.__cause__ is not None and not isinstance(cause, FacedetError):
            cause = cause.__cause__
        if isinstance(cause, FacedetError):
            raise cause from None
        target = re.search(r"target '(?:[^']*\.)?([^'.]+)'", str(error))
        where = f"{target[1]}: " if target else ""
        raise UsageError(f"{where}{first_line(cause)}") from error


def explain(
    error: Exception, name: str, overrides: Sequence[str], folder: Path | None = None
) -> str:
    """One line on why the overrides do not compose, with the nearest valid key or option."""
    text = str(error)
    if isinstance(error.__cause__, ValidationError):
        override = text.removeprefix("Error merging override ")
        return f"{override}: {first_line(error.__cause__)}"
    bare = [one for one in overrides if "=" not in one and not one.startswith("~")]
    if bare:
        return f"{bare[0]}: settings are written KEY=VALUE"
    if several := re.search(r"Ambiguous value for argument '(.*)'", text):
        return f"{several[1]}: several values are for --multirun; a comma in one value needs quotes"
    if missing := re.search(r"Could not (?:override|delete from config\.) '([^']+)'", text):
        close = nearest(missing[1], _valid_keys(name, overrides, missing[1], folder))
        return f"{missing[1]}: there is no such key{close}"
    if option := re.search(r"Could not (?:find|load) '([^']+)/([^'/]*)'", text):
        options = re.findall(r"^\t(\S+)$", text, flags=re.MULTILINE)
        options = options or sorted(one.stem for one in (CONF_DIR / option[1]).glob("*.yaml"))
        # The generated variants of others make the line too long.
        listed = [one for one in options if not any(one.startswith(f"{o}_") for o in options)]
        there = f"; there are {', '.join(listed)}" if listed else ""
        close = nearest(option[2], options)
        return f"{option[1]}={option[2]}: there is no such choice{close}{there}"
    if isinstance(error, ValueError):  # names no key
        return f"{' '.join(overrides)}: {first_line(error)}"
    return first_line(error)


def _valid_keys(name: str, overrides: Sequence[str], bad: str, folder: Path | None) -> list[str]:
    good = [one for one in overrides if one.lstrip("+~").split("=")[0] != bad]
    try:
        config = OmegaConf.to_container(_compose(name, good, folder), resolve=False)
    except (HydraException, OmegaConfBaseException, ValueError):
        return []
    groups = [path.name for path in CONF_DIR.iterdir() if path.is_dir()]
    return [*groups, *flat(config), *(key.rpartition(".")[0] for key in flat(config))]


def flat(node: Any, prefix: str = "") -> dict[str, Any]:  # noqa: ANN401
    """Dotted keys and values of nested dicts.

    >>> flat({"a": {"b": 1, "c": [2]}, "d": None})
    {'a.b': 1, 'a.c': [2], 'd': None}
    """
    if not isinstance(node, Mapping):
        return {prefix[:-1]: node}
    found: dict[str, Any] = {}
    for key, value in node.items():
        found |= flat(value, f"{prefix}{key}.")
    return found


def differences(results: Mapping[str, Mapping[str, Any]]) -> Differences:
    """The keys in which flat dicts differ, in order; one without a key differs from none in it."""
    found = {}
    for key in dict.fromkeys(key for one in results.values() for key in one):
        values = {name: one[key] for name, one in results.items() if key in one}
        if len({json.dumps(value, sort_keys=True) for value in values.values()}) > 1:
            found[key] = values
    return found


def describe(differing: Differences) -> str:
    """The differences in one line, which result has which value."""
    parts = []
    for key, values in list(differing.items())[:_DESCRIBED]:
        names: dict[str, list[str]] = {}
        for name, value in values.items():
            names.setdefault(written(value), []).append(name)
        shown = (f"{value} ({', '.join(who)})" for value, who in names.items())
        parts.append(f"{key} {' / '.join(shown)}")
    if len(differing) > _DESCRIBED:
        parts.append(f"and {len(differing) - _DESCRIBED} more")
    return "; ".join(parts)


def written(value: object) -> str:
    """A value for a reader: digests cut, thousands with commas."""
    if isinstance(value, str) and len(value) == 64:
        return value[:12]
    is_count = isinstance(value, int) and not isinstance(value, bool)
    return f"{value:,}" if is_count else json.dumps(value).strip('"')


def flat_with_classes(node: Mapping[str, Any]) -> dict[str, Any]:
    """Dotted keys and values of nested dicts; the class behind a node stands under its own key.

    >>> node = {"scales": {"_target_": "facedet.inference.scales.FixedScales", "flip": False}}
    >>> flat_with_classes(node)
    {'scales': 'FixedScales', 'scales.flip': False}
    """
    return {
        key.removesuffix("._target_"): value.rpartition(".")[2]
        if key.endswith("._target_")
        else value
        for key, value in flat(node).items()
    }


def is_under(key: str, roots: Sequence[str]) -> bool:
    """Whether a dotted key is one of the roots, or lies below one."""
    return any(key == root or key.startswith(f"{root}.") for root in roots)
