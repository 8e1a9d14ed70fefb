"""What `logger=wandb` builds: a W&B run that never asks a question, and the CSV file beside it."""

import logging
import netrc
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from facedet.errors import UsageError

if TYPE_CHECKING:
    import pytorch_lightning as pl
    from pytorch_lightning.loggers import Logger

log = logging.getLogger(__name__)

# In a run's folder; a run that begins afresh there removes it.
RUN_FILE = "wandb_run.txt"
# "dryrun" and "run" are W&B's older words for offline and online.
_OFFLINE, _ONLINE = ("offline", "dryrun"), ("online", "run", "shared")
# Where things lie, and how a run is started, is no part of its name.
_UNNAMED = ("paths", "logger", "ckpt_path", "overwrite", "hydra", "preset", "experiment",
            "data.root", "data.prepare", "data.num_workers")  # fmt: skip
_HOSTS = ("api.wandb.ai", "api.forge.coreweave.com")  # names of the public server
_NAME_LENGTH = 128  # letters that W&B takes
_TAG_LENGTH = 64


class Job(NamedTuple):
    """What a run is called where its config does not say so."""

    name: str
    group: str | None
    tags: list[str]


def make_wandb_loggers(
    save_dir: str,
    project: str,
    entity: str | None = None,
    name: str | None = None,
    group: str | None = None,
    tags: Sequence[str] | None = None,
    log_model: bool = False,
    best_of: Sequence[str] = ("wider/*",),
    init_timeout: float = 30,
    finish_timeout: float = 600,
) -> "list[Logger]":
    """The loggers of one run: `logs/metrics.csv`, which no outage stops, and W&B.

    W&B is offline where it has no key, or where WANDB_MODE says so, and off with
    WANDB_MODE=disabled; nothing is ever asked for.

    Args:
        save_dir: folder for the run's files.
        project: W&B project.
        entity: W&B team or user; None: the account's own, or WANDB_ENTITY.
        name: of the run; None: experiment or preset, and the job's overrides.
        group: of runs; None: WANDB_RUN_GROUP, or in a multirun its name and folder.
        tags: of the run; None: experiment, preset and data set.
        log_model: keep `best.ckpt` and `last.ckpt` as artifacts when the training has ended.
        best_of: patterns of numbers whose summary is their maximum.
        init_timeout: seconds to wait for the server; then the run goes offline. W&B waits about
            10 s more before it gives up.
        finish_timeout: seconds to wait for the last uploads at the end; 0: without end.

    Raises:
        UsageError: WANDB_MODE or a time is none.
    """
    from facedet.loggers.csv import CsvHistory
    from facedet.loggers.wandb_run import GuardedWandbLogger

    if init_timeout <= 0 or finish_timeout < 0:
        raise UsageError(
            f"logger.init_timeout={init_timeout}, logger.finish_timeout={finish_timeout}: seconds "
            "above 0, and from 0 on, are needed"
        )
    job = this_job(Path(save_dir))
    described = {
        "entity": entity,
        "project": project,
        "name": name or job.name,
        "group": group or os.environ.get("WANDB_RUN_GROUP") or job.group,
        "tags": job.tags if tags is None else list(tags),
    }
    run = GuardedWandbLogger(
        save_dir, mode(), described, best_of, log_model, init_timeout, finish_timeout
    )
    return [CsvHistory(save_dir), run]


def mode() -> str:
    """How W&B is to run: online, offline or disabled.

    Raises:
        UsageError: WANDB_MODE is no word of W&B's.
    """
    word = os.environ.get("WANDB_MODE", "online")
    if word == "disabled":
        return word
    if word not in (*_OFFLINE, *_ONLINE):
        raise UsageError(f"WANDB_MODE={word} is none of online, offline, disabled")
    return "offline" if word in _OFFLINE or not _has_key() else "online"


def this_job(folder: Path) -> Job:
    """Name, group and tags as the command line has it.

    Args:
        folder: of the run; its name is the run's where no Hydra application is running.
    """
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode

    if not HydraConfig.initialized():
        return Job(folder.name, None, [])
    hydra = HydraConfig.get()
    chosen = [hydra.runtime.choices.get(group) for group in ("experiment", "preset", "data")]
    words = [str(one) for one in chosen if one]
    told = [one for one in hydra.overrides.task if not _is_unnamed(one)]
    group = None
    if hydra.mode == RunMode.MULTIRUN:
        # Two sweeps of one kind are told apart by the folder; `facedet sweep` has Hydra's in it.
        place = Path(hydra.sweep.dir)
        place = place.parent if place.name == ".hydra" else place
        group = " ".join(dict.fromkeys([str(hydra.job.config_name), place.name]))
    name = " ".join([*words[:1], *told])[:_NAME_LENGTH]
    return Job(name or folder.name, group, [word[:_TAG_LENGTH] for word in dict.fromkeys(words)])


def end_runs(trainer: "pl.Trainer") -> None:
    """Ends the W&B run, if there is one: the next job of a multirun would continue it.

    Called while an exception is on its way, it marks the run as failed; otherwise it hands the
    checkpoints over first.
    """
    is_failed = sys.exc_info()[0] is not None
    callback: Any = trainer.checkpoint_callback
    files = {
        "best": getattr(callback, "best_model_path", ""),
        "last": Path(trainer.default_root_dir) / "checkpoints" / "last.ckpt",
    }
    loggers: list[Any] = trainer.loggers
    for logger in loggers:
        if hasattr(logger, "end_run"):
            if not is_failed:
                logger.log_checkpoints({alias: Path(file) for alias, file in files.items() if file})
            logger.end_run(is_failed)


def _is_unnamed(override: str) -> bool:
    key = override.partition("=")[0].lstrip("+~")
    return any(key == one or key.startswith(f"{one}.") for one in _UNNAMED)


def _has_key() -> bool:
    """Whether W&B would find a key; without one it asks, or hangs where there is no terminal."""
    if os.environ.get("WANDB_API_KEY") or os.environ.get("WANDB_IDENTITY_TOKEN_FILE"):
        return True
    url = os.environ.get("WANDB_BASE_URL")
    hosts = [urlsplit(url).netloc] if url else _HOSTS
    places = [os.environ.get("NETRC"), "~/.netrc", "~/_netrc"]
    files = [Path(place).expanduser() for place in places if place]
    try:
        entries = netrc.netrc(next(file for file in files if file.exists()))
    except (StopIteration, OSError, netrc.NetrcParseError):
        return False
    return any(entries.authenticators(host) is not None for host in hosts)
