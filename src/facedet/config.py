"""Configs to objects: with `overrides`, the only library file that imports Hydra."""

import difflib
import re
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any

from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException

from facedet.errors import FacedetError, UsageError
from facedet.overrides import quote

_PACKAGE = Path(__file__).resolve().parent
# In a wheel the folders lie inside the package, in a checkout beside `src`.
_ROOT = _PACKAGE if (_PACKAGE / "conf").is_dir() else _PACKAGE.parents[1]
CONF_DIR = _ROOT / "conf"
SWEEPS_DIR = _ROOT / "sweeps"

_LISTED = 12  # more choices than these are no help in a line

_OTHER_PRESETS = (
    "smallhardface", "smallhardface_plain", "smallhardface_three_level",
    "s3fd_vgg16", "s3fd_mobilefacenet",
    "extd_plain_32", "extd_plain_48", "extd_plain_64",
)  # fmt: skip


def extd_cells() -> list[tuple[str, str, int, str]]:
    """(name, layout, width, activation) of the paper's 18 EXTD models."""
    cells = product(("fpn", "ssd"), (32, 48, 64), ("relu", "prelu", "leaky_relu"))
    return [(f"extd_{layout}_{width}_{act}", layout, width, act) for layout, width, act in cells]


def register_cells() -> None:
    """Makes `preset=` and `experiment=extd_{fpn,ssd}_{32,48,64}_{relu,prelu,leaky_relu}` known."""
    store = ConfigStore.instance()
    for name, layout, width, act in extd_cells():
        # A backbone of its own, not settings of any: `backbone=vgg16` then replaces all of it.
        backbone = {"defaults": ["iterative", "_self_"], "width": width, "activation": act}
        store.store(group="backbone", name=f"iterative_{width}_{act}", node=backbone)
        override = {"override /backbone": f"iterative_{width}_{act}"}
        preset = {"defaults": [f"extd_{layout}", override]}
        recipe = {"defaults": ["extd", {"override /preset": name}]}
        store.store(group="preset", name=name, node=preset, package="_global_")
        store.store(group="experiment", name=name, node=recipe, package="_global_")


register_cells()


def usual_goal(objective: str) -> str:
    """Which values of a logged number are better, `${goal:NAME}`: "min" of losses, else "max"."""
    return "min" if objective.partition("/")[0] in ("loss", "train") else "max"


OmegaConf.register_new_resolver("goal", usual_goal, replace=True)


def presets() -> list[str]:
    """Names of the complete presets, those that leave nothing open."""
    return [name for name, *_ in extd_cells()] + list(_OTHER_PRESETS)


def compose(name: str, overrides: Sequence[str] = ()) -> DictConfig:
    """The config that the command line `overrides` make of the primary config `name`.

    Raises:
        UsageError: an override names no key or option; says the nearest one.
    """
    try:
        return _compose(name, overrides)
    # A number or null in the place of a part's name is a ValueError.
    except (HydraException, OmegaConfBaseException, ValueError) as error:
        raise UsageError(explain(error, name, overrides)) from error


def _compose(name: str, overrides: Sequence[str]) -> DictConfig:
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(CONF_DIR), version_base="1.3"):
        return hydra_compose(name, [quote(one) for one in overrides])


def plain(config: DictConfig) -> dict[str, Any]:
    """The config with every `${…}` resolved, as dicts, lists and numbers.

    Raises:
        UsageError: a value that must be given (`???`) is missing.
    """
    try:
        resolved = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    except MissingMandatoryValue as error:
        key = getattr(error, "full_key", None) or str(error).split(":")[-1].strip()
        raise UsageError(f"{key} is not given: add {key}=VALUE") from error
    except OmegaConfBaseException as error:
        raise UsageError(_first_line(error)) from error
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
        raise UsageError(f"{where}{_first_line(cause)}") from error


def explain(error: Exception, name: str, overrides: Sequence[str]) -> str:
    """One line on why the overrides do not compose, with the nearest valid key or option."""
    text = str(error)
    bare = [one for one in overrides if "=" not in one and not one.startswith("~")]
    if bare:
        return f"{bare[0]}: settings are written KEY=VALUE"
    unnamed = [one for one in overrides if _is_unnamed_part(one)]
    if unnamed:
        group = unnamed[0].partition("=")[0]
        return f"{unnamed[0]}: a part's name is wanted{_listed(_options(group))}"
    several = re.search(r"Ambiguous value for argument '(.*)'", text)
    if several:
        return f"{several[1]}: several values are for --multirun; a comma in one value needs quotes"
    missing = re.search(r"Could not override '([^']+)'", text)
    if missing:
        key = missing[1]
        return f"{key}: there is no such key{_nearest(key, _valid_keys(name, overrides, key))}"
    option = re.search(r"Could not (?:find|load) '([^'/]+(?:/[^'/]+)*)/([^'/]+)'", text)
    if option:
        group, choice = option[1], option[2]
        options = re.findall(r"^\t(\S+)$", text, flags=re.MULTILINE) or _options(group)
        nearest = _nearest(choice, options)
        return f"{group}={choice}: there is no such choice{nearest}{_listed(options)}"
    return _first_line(error)


def _is_unnamed_part(override: str) -> bool:
    """Whether a number or null stands where one of a group's files is to be named."""
    key, _, value = override.partition("=")
    is_group = bool(key) and (CONF_DIR / key).is_dir()
    return is_group and (value in ("null", "") or value.replace(".", "").isdecimal())


def _options(group: str) -> list[str]:
    stored = ConfigStore.instance().repo.get(group, {})
    names = {Path(str(name)).stem for name in stored}
    names |= {file.stem for file in (CONF_DIR / group).glob("*.yaml")}
    return sorted(names)


def _valid_keys(name: str, overrides: Sequence[str], bad: str) -> list[str]:
    good = [one for one in overrides if one.lstrip("+~").split("=")[0] != bad]
    try:
        config = _compose(name, good)
    except (HydraException, OmegaConfBaseException):
        return []
    groups = [folder.name for folder in CONF_DIR.iterdir() if folder.is_dir()]
    return groups + _flatten(OmegaConf.to_container(config, resolve=False))


def _flatten(node: Any, prefix: str = "") -> list[str]:  # noqa: ANN401
    if not isinstance(node, dict):
        return []
    keys = []
    for key, value in node.items():
        keys += [f"{prefix}{key}", *_flatten(value, f"{prefix}{key}.")]
    return keys


def _nearest(word: str, known: Sequence[str]) -> str:
    matches = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    return f"; the nearest is {matches[0]}" if matches else ""


def _listed(options: Sequence[str]) -> str:
    if len(options) > _LISTED:  # without the generated variants of others
        options = [one for one in options if not any(one.startswith(f"{o}_") for o in options)]
    return f"; there are {', '.join(options)}" if len(options) <= _LISTED else ""


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__
