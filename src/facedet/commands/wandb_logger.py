"""W&B as a Lightning logger that never asks a question."""

import logging
import netrc
import os
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from facedet.replacing import replacing

if TYPE_CHECKING:
    from pytorch_lightning.loggers import WandbLogger

log = logging.getLogger(__name__)

# In a run's folder; a run that begins afresh there removes it.
RUN_FILE = "wandb_run.txt"


def make_wandb_logger(
    save_dir: str,
    project: str,
    name: str | None = None,
    group: str | None = None,
    tags: Sequence[str] = (),
) -> "WandbLogger":
    """A logger for one run; offline where there is no key, and says so.

    Args:
        save_dir: folder for the run's files.
        project: W&B project.
        name: of the run.
        group: of runs.
        tags: of the run.
    """
    from pytorch_lightning.loggers import WandbLogger

    offline = os.environ.get("WANDB_MODE") in ("offline", "disabled") or not _has_key()
    if offline:
        log.info("W&B is offline: the run lies in %s; `wandb sync` uploads it", save_dir)
    Path(save_dir).mkdir(parents=True, exist_ok=True)
    return WandbLogger(
        name=name,
        save_dir=save_dir,
        project=project,
        group=group,
        tags=list(tags),
        offline=offline,
        version=_run_id(Path(save_dir) / RUN_FILE),
        resume="allow",
    )


def _run_id(path: Path) -> str:
    """The run's id, kept in its folder: a training that goes on is the same run."""
    if path.is_file():
        return path.read_text(encoding="utf-8").strip()
    number = secrets.token_hex(8)
    with replacing(path) as aside:
        aside.write_text(f"{number}\n", encoding="utf-8")
    return number


def _has_key() -> bool:
    if os.environ.get("WANDB_API_KEY"):
        return True
    try:
        return netrc.netrc().authenticators("api.wandb.ai") is not None
    except (OSError, netrc.NetrcParseError):
        return False
