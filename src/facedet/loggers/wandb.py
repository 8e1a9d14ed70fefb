"""What `logger=wandb` builds: a W&B run that never prompts, and the CSV file."""

import csv
import netrc
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from facedet.callbacks.image_log import NOTHING, Picture
from facedet.data.images import read_rgb
from facedet.errors import UsageError
from facedet.files import expand_home
from facedet.loggers.csv import CsvHistory
from facedet.loggers.guarded_wandb import GuardedWandbLogger

if TYPE_CHECKING:
    import pytorch_lightning as pl
    from pytorch_lightning.loggers import Logger

_OLD_MODES = {"dryrun": "offline", "run": "online", "shared": "online"}  # still W&B's words
_HOSTS = ("api.wandb.ai", "api.forge.coreweave.com")  # names of the public server


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
    WANDB_MODE=disabled; it never prompts.

    Args:
        save_dir: folder for the run's files.
        project: W&B project.
        entity: W&B team or user; None: the account's own, or WANDB_ENTITY.
        name: of the run; None: see `describe_job`, as of group (or WANDB_RUN_GROUP) and tags.
        group: of runs.
        tags: of the run.
        log_model: keep `best.ckpt` and `last.ckpt` as artifacts when the training has ended.
        best_of: patterns of numbers whose summary is their maximum.
        init_timeout: seconds to wait for the server (W&B adds about 10); then the run is offline.
        finish_timeout: seconds to wait for the last uploads at the end; 0: without end.
    """
    given = {"entity": entity, "project": project, "name": name, "tags": tags}
    given["group"] = group or os.environ.get("WANDB_RUN_GROUP")
    timeouts = {"init_timeout": init_timeout, "finish_timeout": finish_timeout}
    run = GuardedWandbLogger(save_dir, mode(), given, best_of, log_model, timeouts)
    return [CsvHistory(save_dir), run]


@contextmanager
def ending_runs(trainer: "pl.Trainer") -> Iterator[None]:
    """Ends the W&B run after the block: the next job of a multirun would continue it.

    An exception marks the run as failed; otherwise it gets the weights and checkpoints first.
    """
    loggers = [one for one in trainer.loggers if isinstance(one, GuardedWandbLogger)]
    is_failed = True
    try:
        yield
        is_failed = False
    finally:
        folder = Path(trainer.default_root_dir)
        best = Path(getattr(trainer.checkpoint_callback, "best_model_path", "") or folder)
        last = folder / "checkpoints" / "last.ckpt"
        for logger in loggers:
            if not is_failed:
                logger.log_files(
                    {"weights": folder / "weights.safetensors", "best": best, "last": last}
                )
            logger.end_run(is_failed)


def log_report(folder: Path, name: str, table: Path, drawing: Path | None) -> None:
    """Sends a CSV file and a picture to W&B as a run of its own, whose files `folder` gets."""
    run = GuardedWandbLogger(str(folder), mode(), {"project": "facedet", "name": name})
    with table.open(newline="", encoding="utf-8") as stream:
        header, *rows = csv.reader(stream)
    run.log_rows("report/ranking", header, rows, 0)
    if drawing is not None:
        picture = Picture(drawing.name, read_rgb(drawing), NOTHING.boxes, NOTHING)
        run.log_pictures("report/trade_offs", [picture], 0)
    run.end_run(is_failed=False)


def mode() -> str:
    """How W&B is to run: online, offline or disabled; refuses another WANDB_MODE."""
    word = os.environ.get("WANDB_MODE", "online")
    meant = _OLD_MODES.get(word, word)
    if meant not in ("online", "offline", "disabled"):
        raise UsageError(f"WANDB_MODE={word}: expected online, offline or disabled")
    return "offline" if meant == "online" and not _has_key() else meant


def _has_key() -> bool:
    """Whether W&B would find a key; without one it asks, or hangs where there is no terminal."""
    if os.environ.get("WANDB_API_KEY") or os.environ.get("WANDB_IDENTITY_TOKEN_FILE"):
        return True
    url = os.environ.get("WANDB_BASE_URL")
    hosts = [urlsplit(url).netloc] if url else _HOSTS
    places = [os.environ.get("NETRC"), "~/.netrc", "~/_netrc"]
    for file in [expand_home(place) for place in places if place]:
        # The first that exists, as W&B does.
        with suppress(FileNotFoundError):
            entries = netrc.netrc(file)
            return any(entries.authenticators(host) is not None for host in hosts)
    return False
