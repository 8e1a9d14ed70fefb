"""What a sweep means: its jobs, and the hash that each is known by."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, IntervalSweep, Override, RangeSweep
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from facedet.config import CONF_DIR, SWEEPS_DIR, compose, explain, plain, quote
from facedet.errors import UsageError, nearest
from facedet.training.hydra_app import check_kinds, is_setting, network_of, with_settings

# Keys that do not change the result: where files are, how a job is run.
_NOT_HASHED = ("paths", "hydra", "logger", "ckpt_path", "overwrite", "command", "seeds")
_NOT_HASHED_INNER = {
    "data": ("num_workers",),
    "callbacks": ("progress", "image_log", "lr_monitor", "throughput"),
}


class PlannedJob(NamedTuple):
    """One cell of a grid."""

    hash: str  # twelve hexadecimal digits
    settings: dict[str, str]  # of the keys that vary, as they are written on a command line
    config: dict[str, Any]  # complete and resolved; `paths` are placeholders


class Sweep(NamedTuple):
    """A sweep file with the command line's settings in it."""

    name: str
    folder: Path  # that holds the file
    config: DictConfig  # composed, with Hydra's node
    overrides: list[str]  # for Hydra's sweeper: the grid's, then the command line's

    @property
    def is_grid(self) -> bool:
        """Whether its jobs are known beforehand; those of a search are not."""
        return str(self.config.hydra.sweeper._target_).endswith(".BasicSweeper")

    def choice(self, group: str, default: str) -> str:
        """The word chosen for a config group, as in `launcher=WORD`."""
        return str(self.config.hydra.runtime.choices.get(group) or default)

    def composed(self, overrides: Sequence[str]) -> DictConfig:
        """The config with these settings instead of the command line's."""
        return compose(self.name, [search_path(), *overrides], self.folder, with_hydra=True)


def find_sweep(name: str, own: Path | None) -> Path:
    """The folder that holds NAME.yaml: the user's own, else that of the package.

    Raises:
        UsageError: neither does; lists the sweeps that exist.
    """
    if own is not None and not own.is_dir():
        raise UsageError(f"--config-dir {own}: no such folder")
    folders = [SWEEPS_DIR] if own is None else [own.resolve(), SWEEPS_DIR]
    for folder in folders:
        if (folder / f"{name}.yaml").is_file():
            return folder
    names = sorted({file.stem for folder in folders for file in folder.glob("*.yaml")})
    close = nearest(name, names)
    raise UsageError(f"{name}: there is no such sweep{close}; there are {', '.join(names)}")


def search_path() -> str:
    """The override that lets a sweep file find the package's config groups and sweeps."""
    return f"hydra.searchpath={[f'file://{path}' for path in (CONF_DIR, SWEEPS_DIR)]}"


def read_sweep(name: str, overrides: Sequence[str], own: Path | None = None) -> Sweep:
    """Composes a sweep file, the user's `own` or the package's.

    Of the command line's KEY=VALUE those of several values extend the grid; named weights bring
    their network, as in `train`. Raises `UsageError` where there is no such sweep, key or option,
    or its jobs are no trainings.
    """
    sweep = Sweep(name, find_sweep(name, own), OmegaConf.create(), [])
    config = sweep.composed([one for one in overrides if not _parse(one).is_sweep_override()])
    if (command := config.get("command")) != "train":
        raise UsageError(f"{name} trains nothing; it is run by: facedet {command} -m -cn {name} …")
    params = config.hydra.sweeper.get("params") or {}
    grid = [f"{key}={value}" for key, value in params.items()]
    if network := network_of([*grid, *overrides]):
        return read_sweep(name, [*overrides, *network], own)
    return sweep._replace(config=config, overrides=[*grid, *overrides])


def planned_jobs(sweep: Sweep) -> list[PlannedJob]:
    """The jobs of a grid in the order in which Hydra runs them, equal ones once; [] for a search.

    Raises:
        UsageError: a key or value is wrong, or nothing varies.
    """
    varying = varying_keys(sweep)
    if not sweep.is_grid:
        for key, one in varying.items():  # an unknown one is reported before a trial is drawn
            value = one.value()
            if isinstance(value, IntervalSweep):
                sweep.composed([f"{key}={value.start}"])
            elif isinstance(value, (ChoiceSweep, RangeSweep)):
                sweep.composed([f"{key}={next(one.sweep_string_iterator())}"])
        return []
    parsed = [_parse(one) for one in sweep.overrides if not one.startswith("hydra.")]
    try:
        grid = BasicSweeper.split_arguments(parsed, None)[0]
    except HydraException as error:
        raise UsageError(
            f"{' '.join(sweep.overrides)}: a grid has KEY=VALUE,VALUE, choice(…) or range(…); "
            "interval(…) needs hydra/sweeper=study (Optuna)"
        ) from error
    if not (varying and grid):
        raise UsageError(f"{sweep.name}: nothing varies; give KEY=VALUE,VALUE")
    jobs: dict[str, PlannedJob] = {}
    bases: dict[tuple[str, ...], DictConfig] = {}  # by the config groups that were chosen
    for given in grid:
        groups = tuple(one for one in given if not is_setting(one))
        if groups not in bases:
            bases[groups] = without_places(sweep.composed(groups))
        try:
            # A setting of `paths` is no part of the job either.
            config = without_places(with_settings(bases[groups], given))
        except (OmegaConfBaseException, AttributeError):
            # Hydra stops at the same place, with an error that can be explained.
            config = without_places(sweep.composed(given))
        check_kinds(bases[groups], config, given)
        values, words = plain(config), (one.partition("=") for one in given)
        settings = {key: value for key, _, value in words if key in varying}
        name = _digest(values)
        jobs.setdefault(name, PlannedJob(name, settings, values))
    return list(jobs.values())


def varying_keys(sweep: Sweep) -> dict[str, Override]:
    """The keys that differ between the jobs, with the override that says their values."""
    space = sweep.config.hydra.sweeper.get("search_space") or {}
    words = [*(f"{key}={value}" for key, value in space.items()), *sweep.overrides]
    last = {one.partition("=")[0]: _parse(one) for one in words if not one.startswith("hydra.")}
    return {key: one for key, one in last.items() if one.is_sweep_override()}


def job_hash(config: DictConfig) -> str:
    """Twelve digits that identify what a job of `train` computes, wherever and however it runs."""
    return _digest(plain(without_places(config)))


def search_hash(sweep: Sweep) -> str:
    """What the jobs of a search share, whatever it draws; "" of a grid, whose jobs are known."""
    words = [one for one in sweep.overrides if not _parse(one).is_sweep_override()]
    return "" if sweep.is_grid else job_hash(sweep.composed(words))


def settings_text(settings: Mapping[str, str]) -> str:
    """`key=value` of each setting."""
    return " ".join(f"{key}={value}" for key, value in settings.items())


def hashed(values: Mapping[str, Any]) -> dict[str, Any]:
    """What of a config changes the result."""
    kept = {key: value for key, value in values.items() if key not in _NOT_HASHED}
    if "estimate" in kept:  # changes no result, but is hashed since jobs of before have it
        kept["estimate"] = "refuse"
    for part, keys in _NOT_HASHED_INNER.items():
        if isinstance(kept.get(part), dict):
            kept[part] = {name: one for name, one in kept[part].items() if name not in keys}
    return kept


def _digest(values: Mapping[str, Any]) -> str:
    text = json.dumps(hashed(values), sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def without_places(config: DictConfig) -> DictConfig:
    """A copy whose `paths` are placeholders, so that what is derived from them is equal too."""
    copied = OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"])
    copied.paths = {key: str(key).upper() for key in config.get("paths", {})}
    OmegaConf.set_struct(copied, True)  # as Hydra does: unknown keys are refused
    return copied


def _parse(override: str) -> Override:
    try:
        return OverridesParser.create().parse_override(quote(override))
    except HydraException as error:
        raise UsageError(explain(error, "train", [override])) from error
