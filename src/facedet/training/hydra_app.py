"""Runs Hydra applications so that whatever the user can mend is said in one line."""

import logging
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from facedet.config import CONF_DIR, compose, explain, plain
from facedet.errors import FacedetError, InterruptedTrainingError, UsageError
from facedet.overrides import quote
from facedet.training.run_folder import is_further_process

log = logging.getLogger(__name__)

# Lightning takes several kinds of values for these: devices=auto, limit_val_batches=0.5.
_FREE = ("trainer.devices", "trainer.val_check_interval", "trainer.limit_val_batches")
_WANTED: dict[type, tuple[tuple[type, ...], str]] = {
    bool: ((bool,), "true or false is wanted"),
    int: ((int,), "a whole number is wanted"),
    float: ((int, float), "a number is wanted"),
    list: ((list,), "a list in [ ] is wanted"),
}


class JobEndError(BaseException):
    """Carries an error out of a single job, past Hydra, which would print a line of its own."""


def run_hydra(
    application: Callable[[], Any],
    name: str,
    overrides: Sequence[str],
    flags: Sequence[str] = (),
) -> int:
    """Runs a Hydra application with errors as ours: one line for what the user can mend.

    Args:
        application: what `hydra.main` made.
        name: of its primary config, and of the file that holds the application.
        overrides: settings of its config.
        flags: Hydra's own, such as --multirun. Without any, the overrides are checked before
            Hydra makes the output folder.

    Raises:
        FacedetError: as the application raises it.
        UsageError: an override is wrong, or a value is missing.
    """
    if not flags:
        check_values(name, overrides)
    os.environ["HYDRA_FULL_ERROR"] = "1"  # raise instead of printing a traceback and exiting
    program, sys.argv = (
        sys.argv,
        [f"{name}.py", *flags, *map(quote, overrides)],
    )
    try:
        application()
    except (HydraException, OmegaConfBaseException) as error:
        raise UsageError(explain(error, name, overrides)) from error
    except JobEndError as end:
        cause: BaseException = end
        while isinstance(cause, JobEndError):  # Ray wraps what its workers raise once more
            cause = cause.args[0]
        raise cause from None
    finally:
        sys.argv = program
    return 0


def run_job(job: Callable[[DictConfig], Any], config: DictConfig) -> Any:  # noqa: ANN401
    """Calls the job of a Hydra application; an error of one among many is logged in its folder.

    Raises:
        FacedetError: as the job raises it, one among many: Hydra goes on with the others.
        JobEndError: it was the only one, or a signal came, which is meant for all of them.
    """
    try:
        return job(config)
    except OSError as error:
        # Of a full disk only the system knows, and it does not name the file.
        place = error.filename or config.paths.output
        mendable = FacedetError(f"{place}: {error.strerror or error}")
        mendable.__cause__ = error
    except FacedetError as error:
        mendable = error
    if HydraConfig.get().mode == RunMode.MULTIRUN:
        log.error("%s", mendable)
        if not isinstance(mendable, InterruptedTrainingError):
            raise mendable
    raise JobEndError(mendable)


@contextmanager
def ranks_start_from(config: Mapping[str, Any], output: Path, file: str) -> Iterator[None]:
    """Lets Lightning start a run's further processes from its composed config.

    Lightning repeats this process's command line. That of a multirun would begin a second
    multirun, and the clock in a folder's name would read another time.

    Args:
        config: of this run, resolved.
        output: folder of this run; gets the config as `.ranks/ranks.yaml`.
        file: that the processes run.
    """
    import __main__

    folder = output / ".ranks"
    program, specification = sys.argv, __main__.__spec__
    if not is_further_process():
        folder.mkdir(parents=True, exist_ok=True)
        OmegaConf.save(OmegaConf.create(dict(config)), folder / "ranks.yaml")
        sys.argv = [file, "--config-dir", str(folder.resolve()), "--config-name", "ranks"]
        # With a specification Lightning would name the module that was started, not the file.
        __main__.__spec__ = None
    try:
        yield
    finally:
        sys.argv, __main__.__spec__ = program, specification


def check_values(name: str, overrides: Sequence[str]) -> None:
    """Composes the primary config `name` and refuses values of another kind than its own.

    A word in the place of a number ends in a traceback, and `flase` counts as true.

    Raises:
        UsageError: naming the override and what is wanted.
    """
    given = plain(compose(name, overrides))
    own = OmegaConf.to_container(compose(name, [o for o in overrides if not is_setting(o)]))
    assert isinstance(own, dict)
    check_kinds(own, given, overrides)


def check_kinds(own: Mapping[Any, Any], given: Mapping[str, Any], overrides: Sequence[str]) -> None:
    """Refuses settings whose value is of another kind than the key's own.

    Args:
        own: the config without the settings among `overrides`.
        given: the config with them, resolved.
        overrides: of which those that give a value to a key are looked at.

    Raises:
        UsageError: naming the override and what is wanted.
    """
    for one in filter(is_setting, overrides):
        key = one.partition("=")[0]
        default, value = select(own, key), select(given, key)
        types, wish = _WANTED.get(type(default), ((object,), ""))
        # A bool is an int to Python.
        fits = isinstance(value, types) and not (isinstance(value, bool) and int in types)
        if not (fits or value is None or key in _FREE):
            raise UsageError(f"{one}: {wish}; the default is {default}")


def is_setting(override: str) -> bool:
    """Whether it gives a value to a key, and does not choose a part, add or delete a key."""
    key, _, _ = override.partition("=")
    is_plain = key.replace(".", "").replace("_", "").isalnum()
    return is_plain and not key.startswith("hydra.") and not (CONF_DIR / key).is_dir()


def select(node: Any, key: str) -> Any:  # noqa: ANN401
    """The value under a dotted key of nested dicts, None where there is none."""
    for part in key.split("."):
        node = node.get(part) if isinstance(node, dict) else None
    return node
