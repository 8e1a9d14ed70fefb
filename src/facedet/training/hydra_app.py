"""Runs Hydra applications: all of Hydra's flags, and errors of one line."""

import argparse
import copy
import logging
import os
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from facedet.config import CONF_DIR, check_paths, compose, explain, plain, quote
from facedet.errors import FacedetError, InterruptedTrainingError, UsageError, first_line

log = logging.getLogger(__name__)

_FLAGS = ("run", "multirun", "hydra_help", "shell_completion", "resolve", "cfg", "info", "package",
          "config_name", "config_path", "config_dir")  # fmt: skip
# Of the keys without a schema the value in the YAML file says the type.
_EXPECTED: dict[type, str] = {
    bool: "true or false", int: "a whole number", float: "a number", ListConfig: "a list in [ ]"
}  # fmt: skip
# Whoever sets one of these chooses the network; "model" itself, not "model.net.enlarge".
_NETWORK = ("preset", "experiment", "variant", "backbone", "neck", "head", "anchors",
            "box_coder")  # fmt: skip


class JobEndError(BaseException):
    """Carries an error out of a single job, past Hydra, which would print a line of its own."""


def add_hydra_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the settings KEY=VALUE, `--show`, and Hydra's own flags; `run_app` takes them."""
    text = "settings of the config"
    parser.add_argument("overrides", nargs="*", default=[], metavar="KEY=VALUE", help=text)
    parser.add_argument("--show", action="store_true", help="print the resolved config only")
    group = parser.add_argument_group("Hydra's flags")
    modes = group.add_mutually_exclusive_group()
    modes.add_argument("-r", "--run", action="store_true", help="one job (the default)")
    modes.add_argument("-m", "--multirun", action="store_true", help="a job for each of KEY=A,B")
    modes.add_argument("-c", "--cfg", choices=("job", "hydra", "all"), help="print the config only")
    modes.add_argument(
        "-i", "--info", nargs="?", const="all", help="print how the config is composed",
        choices=("all", "config", "defaults", "defaults-tree", "plugins", "searchpath"),
    )  # fmt: skip
    modes.add_argument("--hydra-help", action="store_true", help="Hydra's help")
    modes.add_argument("-sc", "--shell-completion", action="store_true",
                       help="complete the keys: install=SHELL or uninstall=SHELL")  # fmt: skip
    group.add_argument("--resolve", action="store_true", help="--cfg: with every ${…} resolved")
    group.add_argument("-p", "--package", metavar="KEY", help="--cfg: this part of it only")
    group.add_argument("-cn", "--config-name", metavar="NAME", help="another primary config")
    group.add_argument("-cp", "--config-path", metavar="DIR", help="the folder of that")
    group.add_argument("-cd", "--config-dir", metavar="DIR", help="folder with further configs")


def run_app(application: Callable[[], Any], name: str, args: argparse.Namespace) -> int:
    """Runs the Hydra application of the command `name`, which is that of its primary config too.

    Raises:
        FacedetError: as the application raises it.
        UsageError: an override is wrong, or a value is missing.
    """
    for place in (args.config_dir, args.config_path):
        if place is not None and not Path(place).is_dir():
            raise UsageError(f"{place}: no such folder")
    primary, folder = args.config_name or name, None
    further = [args.config_dir] if args.config_dir else []
    if args.config_path:
        folder = Path(args.config_path)
        further = [CONF_DIR, *further]  # a config of one's own may name our parts
    places = [f"file://{Path(one).resolve()}" for one in further]
    overrides = [*([f"hydra.searchpath={places}"] if places else []), *args.overrides]
    if args.show:
        _show(primary, overrides, folder, args.multirun)
        return 0
    if not (args.multirun or args.cfg or args.info or args.hydra_help or args.shell_completion):
        # Before Hydra makes the output folder.
        check_values(primary, overrides, folder)
    flags = []
    for key in _FLAGS:
        if value := getattr(args, key):
            flags.append(f"--{key.replace('_', '-')}")
            is_folder = key in ("config_path", "config_dir")
            flags += [] if value is True else [str(Path(value).resolve() if is_folder else value)]
    # Completion reads its words itself; they are no settings.
    words = args.overrides if args.shell_completion else overrides
    return run_hydra(application, primary, words, flags, f"{name}.py")


def _show(name: str, overrides: Sequence[str], folder: Path | None, is_multirun: bool) -> None:
    """Prints the resolved config; of a multirun those of all jobs, as YAML documents."""
    jobs: Sequence[Sequence[str]] = [overrides]
    if is_multirun:
        try:
            parsed = OverridesParser.create().parse_overrides([quote(one) for one in overrides])
        except HydraException as error:
            raise UsageError(explain(error, name, overrides)) from error
        jobs = BasicSweeper.split_arguments(parsed, None)[0]
    for job in jobs:
        config = compose(name, job, folder)
        check_paths(config)
        if is_multirun:
            print("---", f"# {' '.join(job)}", sep="\n")
        print(OmegaConf.to_yaml(config, resolve=True), end="")


def run_hydra(
    application: Callable[[], Any],
    name: str,
    overrides: Sequence[str],
    flags: Sequence[str] = (),
    program: str = "facedet",
) -> int:
    """Calls a Hydra application, whose primary config is `name`, with a command line of its own.

    Raises:
        FacedetError: as the application raises it.
        UsageError: an override is wrong, or a value is missing.
    """
    os.environ["HYDRA_FULL_ERROR"] = "1"  # raise instead of printing a traceback and exiting
    is_completion = "--shell-completion" in flags
    before = sys.argv
    if is_completion and "COMP_LINE" in os.environ:
        # Hydra takes the first word for the program's name, and ours are two.
        line = os.environ["COMP_LINE"]
        os.environ["COMP_LINE"] = re.sub(rf"^(\S+)\s+{name}(\s|$)", r"\1 ", line)
    # A file's name would install completion for `python FILE`.
    sys.argv = ["facedet" if is_completion else program, *flags, *map(quote, overrides)]
    try:
        application()
    except (HydraException, OmegaConfBaseException) as error:
        raise UsageError(explain(error, name, overrides)) from error
    except ValueError as error:  # of a wrong combination of Hydra's flags
        if not {"--shell-completion", "--resolve"} & {*flags}:
            raise
        raise UsageError(first_line(error)) from error
    except JobEndError as end:
        cause: BaseException = end
        while isinstance(cause, JobEndError):  # Ray wraps what its workers raise once more
            cause = cause.args[0]
        raise cause from None
    finally:
        sys.argv = before
    return 0


def run_job(job: Callable[[DictConfig], Any], config: DictConfig) -> Any:  # noqa: ANN401
    """Calls the job of a Hydra application; an error of one among many is logged in its folder.

    The output of a multirun's job lies in its own folder, whatever `paths.output` says.

    Raises:
        FacedetError: as the job raises it, one among many: Hydra runs the others.
        JobEndError: it was the only one, or a signal came, which is meant for all of them.
    """
    is_multirun = HydraConfig.get().mode == RunMode.MULTIRUN
    if is_multirun:
        config.paths.output = HydraConfig.get().runtime.output_dir
    try:
        return job(config)
    except OSError as error:
        # Of a full disk only the system knows, and it does not name the file.
        place = error.filename or config.paths.output
        expected = FacedetError(f"{place}: {error.strerror or error}")
        expected.__cause__ = error
    except FacedetError as error:
        expected = error
    if is_multirun:
        log.error("%s", expected)
        if not isinstance(expected, InterruptedTrainingError):
            raise expected
    raise JobEndError(expected)


def check_values(name: str, overrides: Sequence[str], folder: Path | None = None) -> None:
    """Composes the primary config `name`; refuses values of another type than the default's.

    Raises:
        UsageError: naming the override and what is expected.
    """
    own = compose(name, [one for one in overrides if not is_setting(one)], folder)
    try:
        config = with_settings(own, overrides)
    except (HydraException, OmegaConfBaseException, AttributeError):
        # Hydra stops at the same place, with an error that can be explained.
        config = compose(name, overrides, folder)
    plain(config)
    check_kinds(own, config, overrides)


def with_settings(config: DictConfig, overrides: Sequence[str]) -> DictConfig:
    """A copy of a config with the settings among the overrides, as Hydra would compose it.

    Composing takes Hydra half a second; setting a value in a copy takes a hundredth of that.

    Raises:
        HydraException, OmegaConfBaseException, AttributeError: a key or a value is wrong.
    """
    changed = copy.deepcopy(config)
    for one in filter(is_setting, overrides):
        parsed = OverridesParser.create().parse_override(quote(one))
        OmegaConf.update(changed, parsed.get_key_element(), parsed.value(), merge=True)
    return changed


def check_kinds(own: DictConfig, given: DictConfig, overrides: Sequence[str]) -> None:
    """Refuses settings whose value in the config `given` is of another type than in `own`.

    Raises:
        UsageError: naming the override and what is expected.
    """
    for one in filter(is_setting, overrides):
        key = one.partition("=")[0]
        default, value = (OmegaConf.select(node, key) for node in (own, given))
        kind = type(default)
        fits = type(value) in (kind, int) if kind is float else type(value) is kind
        # The trainer's schema knows its keys, some of which take several types.
        if kind in _EXPECTED and not (fits or value is None or key.startswith("trainer.")):
            raise UsageError(f"{one}: expected {_EXPECTED[kind]}; the default is {default}")


def network_of(overrides: Sequence[str]) -> list[str]:
    """The preset of named weights, where the overrides choose no network."""
    from facedet.weights.zoo import NAMED

    given = dict(one.partition("=")[::2] for one in overrides)
    named = NAMED.get(given.get("weights", ""))
    keys = [key.lstrip("+~") for key in given]
    is_chosen = any(key == "model" or key.split(".")[0] in _NETWORK for key in keys)
    return [f"preset={named.preset}"] if named and not is_chosen else []


def is_setting(override: str) -> bool:
    """Whether it gives a value to a key, and does not choose a part, add or delete a key."""
    key, _, _ = override.partition("=")
    is_plain = key.replace(".", "").replace("_", "").isalnum()
    return is_plain and not key.startswith("hydra.") and not (CONF_DIR / key).is_dir()
