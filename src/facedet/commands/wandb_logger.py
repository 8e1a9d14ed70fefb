"""W&B as a Lightning logger that never asks a question."""

import logging
import netrc
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytorch_lightning.loggers import WandbLogger

log = logging.getLogger(__name__)


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
        name=name, save_dir=save_dir, project=project, group=group, tags=list(tags), offline=offline
    )


def _has_key() -> bool:
    if os.environ.get("WANDB_API_KEY"):
        return True
    try:
        return netrc.netrc().authenticators("api.wandb.ai") is not None
    except (OSError, netrc.NetrcParseError):
        return False
