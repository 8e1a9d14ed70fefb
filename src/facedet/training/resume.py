"""Finds the checkpoint to resume, and refuses one that does not fit."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from facedet.callbacks.checkpoint_io import is_whole
from facedet.callbacks.hard_image_mining import KEY as MINING
from facedet.config import flat, is_under
from facedet.errors import FacedetError, UsageError
from facedet.structures import CHECKPOINT_KEY

log = logging.getLogger(__name__)

# What the weights and the optimiser's state belong to; all else may be changed on the way.
_FIXED = ("model.net", "box_coder", "optimizer._target_")
# Where things lie, and how a run is started, says nothing of what it does.
_FREE = ("paths", "data.root", "data.prepare", "ckpt_path", "weights", "backbone_weights", "hydra",
         "overwrite", "logger", "threads", "data.num_workers",
         "trainer.default_root_dir")  # fmt: skip


def find_checkpoint(given: str | None, output: Path) -> str | None:
    """The file that `ckpt_path` means: `last` or `best` of the run's folder `output`, or a path.

    `auto` is its `last` if there is one.

    Raises:
        FacedetError: there is no such file, or it is damaged.
    """
    if given is None:
        return None
    if given not in ("last", "best", "auto"):
        if not Path(given).is_file():
            expected = "expected last, best, auto or a file"
            raise FacedetError(f"ckpt_path={given}: no such file; {expected}")
        if given.endswith(".safetensors"):
            remedy = "weights=FILE starts from them"
            raise FacedetError(f"ckpt_path={given}: holds weights only; {remedy}")
        return _whole(Path(given))
    name = "best" if given == "best" else "last"
    own = output / "checkpoints" / f"{name}.ckpt"
    if own.is_file():
        return _whole(own)
    if given == "auto":
        return None
    runs = sorted(output.parent.glob(f"*/checkpoints/{name}.ckpt"), key=lambda p: p.stat().st_mtime)
    newest = f"; paths.output={runs[-1].parents[1]} resumes the newest run" if runs else ""
    raise FacedetError(f"ckpt_path={given}: {output} has no checkpoints/{name}.ckpt{newest}")


def _whole(path: Path) -> str:
    """The path, or that of the checkpoint before it where it is damaged."""
    before = path.with_name("previous.ckpt")
    if is_whole(path):
        log.info("resuming %s", path)
        return str(path)
    if path.name == "last.ckpt" and is_whole(before):
        log.warning("%s is damaged: resuming %s, the one before", path, before)
        return str(before)
    raise FacedetError(f"{path}: the checkpoint is damaged; resume another, or start a new run")


def read_checkpoint(path: str) -> dict[str, Any]:
    """The content of a checkpoint of ours: tensors and plain data.

    Raises:
        FacedetError: the file is something else.
    """
    import torch

    try:
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        content[CHECKPOINT_KEY]["config"]["model"]["net"]
    except Exception as error:  # the unpickler raises almost anything
        raise FacedetError(f"{path}: no checkpoint of `facedet train`") from error
    return content


def check_resume(
    path: str, content: Mapping[str, Any], config: Mapping[str, Any], fingerprint: str
) -> None:
    """Refuses to resume with another network, optimiser or data set; logs what else has changed.

    `content` is that of the checkpoint at `path`; `config`, resolved, and `fingerprint` are of this
    run: order, position and difficulties of a checkpoint mean its own training pictures.

    Raises:
        UsageError: names what differs, with both values.
    """
    then, now = flat(content[CHECKPOINT_KEY]["config"]), flat(config)
    changed = {
        key: f"{key} {then.get(key)} -> {now.get(key)}"
        for key in sorted(then.keys() | now.keys())
        if then.get(key) != now.get(key)
    }
    # A key that an older version did not know had its default then.
    if fixed := [text for key, text in changed.items() if is_under(key, _FIXED) and key in then]:
        raise UsageError(
            f"{path} belongs to another training: {'; '.join(fixed[:6])}; take its settings, or "
            "start a new one with weights=FILE"
        )
    if config.get("mining") and MINING not in content:
        raise UsageError(
            f"{path} holds no difficulty table, it was trained with mining=none: resume with that, "
            "or start a new run with weights=FILE mining=him"
        )
    before = content[CHECKPOINT_KEY].get("data")
    if before not in (None, fingerprint):
        raise UsageError(
            f"{path} was trained on other pictures than {config['data']['root']} holds "
            f"(fingerprint {before[:12]}, now {fingerprint[:12]}): give the same data, or start a "
            "new run with weights=FILE"
        )
    tied = (*_FREE, "model", "preset")  # the model's node repeats the parts' own
    if others := [text for key, text in changed.items() if not is_under(key, tied)]:
        log.warning("other settings than before: %s", "; ".join(others))
