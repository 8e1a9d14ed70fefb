"""What a sweep means: its jobs, the hash that each is known by, and what is wrong with it."""

import difflib
import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from hydra import compose, initialize_config_dir
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Glob
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from facedet.config import CONF_DIR, SWEEPS_DIR, explain, plain, quote
from facedet.errors import UsageError
from facedet.sweeps.tables import settings_text
from facedet.training.hydra_app import check_kinds, is_setting

# Where things lie and how a job is run say nothing of its result.
_FREE = ("paths", "hydra", "logger", "ckpt_path", "overwrite", "command", "seeds")
_FREE_INNER = (("data", "num_workers"), ("callbacks", "progress"), ("callbacks", "image_log"))


class Job(NamedTuple):
    """One cell of a grid."""

    hash: str  # twelve hexadecimal digits
    settings: dict[str, str]  # of the keys that vary, as they are written on a command line
    config: DictConfig  # complete


class Sweep(NamedTuple):
    """A sweep file with the command line's settings in it."""

    name: str
    folder: Path  # that holds the file
    config: DictConfig  # composed, with Hydra's node
    overrides: list[str]  # for Hydra's sweeper: the grid's, then the command line's

    @property
    def is_grid(self) -> bool:
        """Whether its jobs are known beforehand, which those of a search are not."""
        return str(self.config.hydra.sweeper._target_).endswith(".BasicSweeper")

    @property
    def launcher(self) -> str:
        """The word of `launcher=WORD`, `serial` without one."""
        return str(self.config.hydra.runtime.choices.get("launcher") or "serial")


def find_sweep(name: str, own: Path | None) -> Path:
    """The folder that holds NAME.yaml: the user's own, else that of the package.

    Raises:
        UsageError: neither does; lists what there is.
    """
    if own is not None and not own.is_dir():
        raise UsageError(f"--config-dir {own}: no such folder")
    folders = [SWEEPS_DIR] if own is None else [own.resolve(), SWEEPS_DIR]
    for folder in folders:
        if (folder / f"{name}.yaml").is_file():
            return folder
    names = sorted({file.stem for folder in folders for file in folder.glob("*.yaml")})
    close = difflib.get_close_matches(name, names, n=1)
    nearest = f"; the nearest is {close[0]}" if close else ""
    raise UsageError(f"{name}: there is no such sweep{nearest}; there are {', '.join(names)}")


def search_path() -> str:
    """The override that lets a sweep file find the package's parts and sweeps."""
    return f"hydra.searchpath={[f'file://{path}' for path in (CONF_DIR, SWEEPS_DIR)]}"


def read_sweep(name: str, overrides: Sequence[str], own: Path | None = None) -> Sweep:
    """Composes a sweep file.

    Args:
        name: of the file.
        overrides: KEY=VALUE of the command line; those of several values extend the grid.
        own: the user's folder of sweeps and parts.

    Raises:
        UsageError: there is no such sweep, key or part.
    """
    folder = find_sweep(name, own)
    # Hydra's own are of the sweep; of the others those of one value hold for all its jobs.
    fixed = [one for one in overrides if _values_of(one, name, overrides) is None]
    config = _compose(folder, name, fixed, overrides)
    params = config.hydra.sweeper.get("params") or {}
    grid = [f"{key}={value}" for key, value in params.items()]
    return Sweep(name, folder, config, [*grid, *overrides])


def jobs_of(sweep: Sweep) -> Iterator[Job]:
    """The jobs of a grid, in the order in which Hydra runs them; equal ones appear as often.

    Raises:
        UsageError: a key or value is wrong, or nothing varies.
    """
    task = [one for one in sweep.overrides if not one.startswith("hydra.")]
    varying = varying_keys(sweep)
    for one in task:
        if _values_of(one, sweep.name, task) == []:
            raise UsageError(f"{one}: an empty grid, there are no values in it")
    if not varying:
        raise UsageError(f"{sweep.name}: nothing varies; give KEY=VALUE,VALUE")
    parsed = OverridesParser.create().parse_overrides([quote(one) for one in task])
    grid = BasicSweeper.split_arguments(parsed, None)[0]
    parts = [one for one in grid[0] if not is_setting(one)]
    own = OmegaConf.to_container(_compose(sweep.folder, sweep.name, parts, task))
    assert isinstance(own, dict)
    for given in grid:
        config = _compose(sweep.folder, sweep.name, given, given)
        check_kinds(own, plain(_placeless(config)), given)
        settings = dict(one.split("=", 1) for one in given)
        chosen = {key: value for key, value in settings.items() if key in varying}
        yield Job(job_hash(config), chosen, config)


def planned_jobs(sweep: Sweep) -> dict[str, dict[str, str]]:
    """The settings of a grid's jobs by hash, equal ones once; none for a search.

    Raises:
        UsageError: as `jobs_of`; a search varies a key that does not exist.
    """
    if not sweep.is_grid:
        for key in varying_keys(sweep):
            # Known here, it is said before a trial is drawn.
            _compose(sweep.folder, sweep.name, [f"{key}=null"], [f"{key}=null"])
        return {}
    jobs: dict[str, dict[str, str]] = {}
    twice = []
    for job in jobs_of(sweep):
        if job.hash in jobs:
            twice.append(settings_text(job.settings))
        else:
            jobs[job.hash] = job.settings
    if twice:
        print(f"{len(twice)} jobs are the same as others and not run twice: {'; '.join(twice[:4])}")
    return jobs


def varying_keys(sweep: Sweep) -> list[str]:
    """The keys that differ between the jobs, sorted."""
    space = sweep.config.hydra.sweeper.get("search_space") or {}
    words = [*(f"{key}={value}" for key, value in space.items()), *sweep.overrides]
    last = {_key(one): one for one in words if not one.startswith("hydra.")}
    return sorted(k for k, one in last.items() if _values_of(one, sweep.name, words) is not None)


def job_hash(config: DictConfig) -> str:
    """Twelve digits that say what a training computes, wherever it lies and however it is run.

    Args:
        config: of `train`, with or without Hydra's node.

    Raises:
        UsageError: a value that must be given is missing.
    """
    values = plain(_placeless(config))
    for key in _FREE:
        values.pop(key, None)
    for part, key in _FREE_INNER:
        if isinstance(values.get(part), dict):
            values[part].pop(key, None)
    text = json.dumps(values, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _placeless(config: DictConfig) -> DictConfig:
    """A copy whose `paths` are their own names, so that what is made of them is the same too."""
    copied = OmegaConf.create({key: config._get_node(key) for key in config if key != "hydra"})
    copied.paths = {key: str(key).upper() for key in copied.get("paths", {})}
    return copied


def _compose(folder: Path, name: str, overrides: Sequence[str], given: Sequence[str]) -> DictConfig:
    """The config of a sweep file with single values; the error names those of `given`."""
    GlobalHydra.instance().clear()
    words = [search_path(), *(quote(one) for one in overrides)]
    try:
        with initialize_config_dir(str(folder), version_base="1.3"):
            return compose(name, words, return_hydra_config=True)
    except (HydraException, OmegaConfBaseException, ValueError) as error:
        raise UsageError(explain(error, "train", given)) from error


def _values_of(override: str, name: str, overrides: Sequence[str]) -> list[str] | None:
    """The values of one that sweeps, None for one that does not or cannot be listed."""
    try:
        parsed = OverridesParser.create().parse_override(quote(override))
    except HydraException as error:
        raise UsageError(explain(error, "train", overrides)) from error
    if not parsed.is_sweep_override():
        return None
    if isinstance(parsed.value(), Glob):
        raise UsageError(f"{override}: glob(…) is not for sweeps; give VALUE,VALUE")
    return list(parsed.sweep_string_iterator()) if parsed.is_discrete_sweep() else [override]


def _key(override: str) -> str:
    return override.partition("=")[0]
