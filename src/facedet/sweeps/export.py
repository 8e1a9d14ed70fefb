"""`facedet sweep export-wandb`: a sweep of ours as W&B's, for its agents to run."""

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Glob, IntervalSweep, Override
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf

from facedet.config import CONF_DIR, compose, explain, quote
from facedet.errors import FacedetError, UsageError
from facedet.files import replacing
from facedet.sweeps.plan import Sweep, find_sweep, read_sweep
from facedet.training.objective import DIRECTIONS, goal_of

HELP = """Write a sweep in W&B's form: the same grid, or a Bayesian search where the sweep searches
an interval. Each of W&B's agents then calls `facedet train` with the settings of one job."""
EXAMPLE = """example:
  facedet sweep export-wandb extd_grid budget=short --output extd_grid.wandb.yaml
  wandb sweep extd_grid.wandb.yaml        names the sweep; then, on any machine with facedet:
  wandb agent ENTITY/facedet/SWEEP"""

# What W&B's schema allows a parameter to be called.
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
# Where a job lies and who runs it is W&B's affair.
_NOT_OF_A_JOB = ("launcher", "logger", "paths")
_HEADER = """# The sweep {name} for W&B:  wandb sweep FILE  and then, as it says,  wandb agent ID
# W&B judges a run by the metric's last value, `facedet sweep` by the best one.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    parser.add_argument("name", metavar="NAME", help="the sweep")
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="settings of all jobs")
    parser.add_argument("--config-dir", type=Path, help="folder of own sweeps; its own win")
    parser.add_argument(
        "--goal", choices=tuple(DIRECTIONS.values()), help="of the objective, if not its own"
    )
    parser.add_argument("--output", type=Path, metavar="FILE", help="a .yaml (the terminal)")


def run(args: argparse.Namespace) -> int:
    """Translates, and prints or writes."""
    content, left_out = translate(args.name, args.overrides, args.config_dir, args.goal)
    text = _HEADER.format(name=args.name) + yaml.safe_dump(content, sort_keys=False, width=100)
    if left_out:
        print(
            f"facedet sweep: left out, no setting of a training: {' '.join(left_out)}",
            file=sys.stderr,
        )
    if args.output is None:
        print(text, end="")
        return 0
    with replacing(args.output) as aside:
        aside.write_text(text, encoding="utf-8")
    print(f"{args.output}: {content['method']} over {', '.join(content['parameters'])}")
    return 0


def translate(
    name: str, overrides: Sequence[str], own: Path | None = None, goal: str | None = None
) -> tuple[dict[str, Any], list[str]]:
    """A sweep's configuration in W&B's schema.

    Args:
        name: of the sweep.
        overrides: KEY=VALUE of the command line; the last of a key counts.
        own: the user's folder of sweeps and parts.
        goal: `maximize` or `minimize`; None: as the sweep ranks its jobs.

    Returns:
        What the YAML file holds, and the settings that say nothing of a training.

    Raises:
        UsageError: there is no such sweep or key, nothing varies, or W&B has no word for it.
        FacedetError: `facedet train` cannot be told what the sweep's file says.
    """
    sweep = read_sweep(name, overrides, own)
    sweeper = sweep.config.hydra.sweeper
    space = {**(sweeper.get("params") or {}), **(sweeper.get("search_space") or {})}
    words = [*_file_words(name, own), *(f"{key}={value}" for key, value in space.items())]
    # A command line's values are quoted where Hydra could not read them, a file's are not.
    given = {_key(one): one for one in map(_parse, [*words, *map(quote, overrides)])}
    varying = {key: one for key, one in given.items() if one.is_sweep_override()}
    if not varying:
        raise UsageError(f"{name}: nothing varies; give KEY=VALUE,VALUE")
    parameters = {key: _parameter(key, one) for key, one in varying.items()}
    fixed, left_out = ["logger=wandb"], list[str]()
    for key, one in given.items():
        if key in varying or key.startswith("hydra.sweeper."):
            continue
        said = fixed if _is_of_a_training(key, own) else left_out
        said.append(f"{key}={one.get_value_element_as_str()}")
    first = {key: _first(one) for key, one in parameters.items()}
    project = _checked(sweep, own, overrides, fixed, first).logger.get("project")
    place = [] if own is None else ["--config-dir", str(own.resolve())]
    trials, objective = sweeper.get("n_trials"), sweep.config.objective
    goal = goal or DIRECTIONS[goal_of(sweep.config, objective)]
    content = {
        "name": name,
        **({"project": project} if project else {}),
        "program": "facedet",
        "command": ["${env}", "${program}", "train", *place, *fixed, "${args_no_hyphens}"],
        "method": "grid" if all("values" in one for one in parameters.values()) else "bayes",
        **({"run_cap": int(trials)} if trials else {}),
        "metric": {"name": objective, "goal": goal},
        "parameters": parameters,
    }
    return content, left_out


def _file_words(name: str, own: Path | None) -> list[str]:
    """What a sweep's file says of its jobs, as words of a command line, in their order."""
    path = find_sweep(name, own) / f"{name}.yaml"
    content = OmegaConf.load(path)
    assert isinstance(content, DictConfig)
    words = []
    for entry in content.pop("defaults", ["train"]):
        if isinstance(entry, str):
            words += [] if entry in ("train", "_self_") else _file_words(entry, own)
            continue
        ((key, value),) = entry.items()
        group = str(key).removeprefix("override ").removeprefix("/")
        if not str(key).startswith("override ") or "@" in group:
            raise UsageError(f"{path}: `{key}: {value}` in its defaults list: wanted `override …`")
        words.append(f"{group}={_text(value)}")
    content.pop("hydra", None)
    return words + _leaves(OmegaConf.to_container(content))


def _leaves(node: Any, prefix: str = "") -> list[str]:  # noqa: ANN401
    """KEY=VALUE of every setting below a node."""
    words = []
    for key, value in node.items():
        is_inner = isinstance(value, dict) and value
        words += (
            _leaves(value, f"{prefix}{key}.") if is_inner else [f"{prefix}{key}={_text(value)}"]
        )
    return words


def _text(value: Any) -> str:  # noqa: ANN401
    """A value of a YAML file in Hydra's grammar."""
    if isinstance(value, str):
        escaped = value.replace("'", "\\'")
        return value if re.fullmatch(r"[A-Za-z_][\w.-]*|\$\{[\w.]+\}", value) else f"'{escaped}'"
    if OmegaConf.is_list(value) or isinstance(value, list):
        return f"[{','.join(map(_text, value))}]"
    if isinstance(value, dict):
        return f"{{{','.join(f'{key}:{_text(one)}' for key, one in value.items())}}}"
    return {None: "null", True: "true", False: "false"}.get(value, str(value))


def _parse(word: str) -> Override:
    try:
        return OverridesParser.create().parse_override(word)
    except HydraException as error:
        raise UsageError(explain(error, "train", [word])) from error


def _key(override: Override) -> str:
    return override.get_key_element()


def _parameter(key: str, override: Override) -> dict[str, Any]:
    """One parameter of W&B's: values with their types, or an interval with its distribution."""
    if not _NAME.fullmatch(key):
        raise UsageError(f"{override.input_line}: W&B knows no parameter of the name {key}")
    value = override.value()
    if isinstance(value, Glob):
        raise UsageError(f"{override.input_line}: glob(…) is not for sweeps; give VALUE,VALUE")
    if isinstance(value, IntervalSweep):
        is_log = "log" in value.tags
        if isinstance(value.start, int) and isinstance(value.end, int):
            # W&B has no logarithmic whole numbers but rounded ones.
            kind = {"distribution": "q_log_uniform_values", "q": 1} if is_log else {}
            kind = kind or {"distribution": "int_uniform"}
        else:
            kind = {"distribution": "log_uniform_values" if is_log else "uniform"}
        return {"min": value.start, "max": value.end, **kind}
    values = [_typed(text) for text in override.sweep_string_iterator()]
    if not values:
        raise UsageError(f"{override.input_line}: an empty grid, there are no values in it")
    return {"values": values}


def _typed(text: str) -> bool | float | str:
    """A number or truth value as itself, anything else as Hydra is to read it again.

    W&B's agent writes `KEY=str(value)`: null would become the word None.
    """
    value = OverridesParser.create().parse_override(f"key={text}").value()
    return value if isinstance(value, (bool, int, float)) else text


def _first(parameter: dict[str, Any]) -> Any:  # noqa: ANN401
    return parameter["values"][0] if "values" in parameter else parameter["min"]


def _is_of_a_training(key: str, own: Path | None) -> bool:
    """Whether `facedet train` knows the key, and it is not for W&B to say.

    A sweep's file may have keys of its own, from which others are made.
    """
    root = re.split(r"[./@]", key.lstrip("+~"))[0]
    folders = [CONF_DIR] if own is None else [CONF_DIR, own]
    is_group = any((folder / root).is_dir() for folder in folders)
    is_known = is_group or root in OmegaConf.load(CONF_DIR / "train.yaml")
    return is_known and root not in ("hydra", *_NOT_OF_A_JOB)


def _checked(
    sweep: Sweep, own: Path | None, overrides: Sequence[str], fixed: list[str], job: dict[str, Any]
) -> DictConfig:
    """The config that W&B's agent would train, compared with that of the same job of the sweep.

    Raises:
        FacedetError: they differ; names the first part.
    """
    chosen = [f"{key}={value}" for key, value in job.items()]
    single = [one for one in map(quote, overrides) if not _parse(one).is_sweep_override()]
    params = sweep.config.hydra.sweeper.get("params") or {}
    grid = [f"{key}={value}" for key, value in params.items()]
    known = {_key(_parse(one)) for one in (*single, *chosen)}
    grid = [one for one in grid if _key(_parse(one)) not in known]
    # That logger brings a callback of its own.
    same = [one for one in single if _key(_parse(one)) != "logger"]
    wanted = read_sweep(sweep.name, [*grid, *same, *chosen, "logger=wandb"], own).config
    found = compose("train", [*_search(own), *fixed, *chosen])
    for key in map(str, found):
        if key not in (*_NOT_OF_A_JOB, "hydra"):
            nodes = [OmegaConf.create({"one": config._get_node(key)}) for config in (wanted, found)]
            ours, theirs = (OmegaConf.to_container(node) for node in nodes)
            if ours != theirs:
                raise FacedetError(
                    f"{sweep.name}: {key} of its jobs cannot be told to `facedet train`; write it "
                    "as an experiment and override that"
                )
    return found


def _search(own: Path | None) -> list[str]:
    return [] if own is None else [f"hydra.searchpath=[file://{own.resolve()}]"]
