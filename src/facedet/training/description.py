"""What a run is called: the words of its command line, those that vary in a multirun first."""

import os
import shlex
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode

from facedet.config import is_under, quote
from facedet.training import COMMAND

# Where things lie, and how a run is started, is no part of its name.
_UNNAMED = ("paths", "logger", "ckpt_path", "overwrite", "hydra", "preset", "experiment",
            "data.root", "data.prepare", "data.num_workers", "estimate", "threads")  # fmt: skip
_NAME_LENGTH, _TAG_LENGTH = 128, 64  # letters that W&B takes


def describe_job(folder: Path) -> dict[str, Any]:
    """`name`, `group`, `tags`, and `command` as typed ([]: unknown) of the run in `folder`.

    Without a running Hydra application the folder's name is the run's.
    """
    command = shlex.split(os.environ.get(COMMAND, ""))
    if not HydraConfig.initialized():
        return {"name": folder.name, "command": command}
    hydra = HydraConfig.get()
    chosen = [hydra.runtime.choices.get(group) for group in ("experiment", "preset", "data")]
    words = list(dict.fromkeys(str(one) for one in chosen if one))
    group, varying = None, []
    if hydra.mode == RunMode.MULTIRUN:
        typed = {*command, *map(quote, command)}
        varying = [one for one in hydra.overrides.task if one not in typed and "=" in one]
        varying = [one for one in varying if not one.startswith(("paths.", "hydra.", "logger"))]
        # Two sweeps of one kind differ by the folder; `facedet sweep` has Hydra's in it.
        place = Path(hydra.sweep.dir)
        place = place.parent if place.name == ".hydra" else place
        group = " ".join(dict.fromkeys([str(hydra.job.config_name), place.name]))
    rest = [one for one in hydra.overrides.task if one not in varying]
    rest = [one for one in rest if not is_under(one.partition("=")[0].lstrip("+~"), _UNNAMED)]
    name = " ".join([*varying, *words[:1], *rest])[:_NAME_LENGTH] or folder.name
    tags = [word[:_TAG_LENGTH] for word in words]
    return {"name": name, "group": group, "tags": tags, "command": command}
