"""A run's folder belongs to one run: no second one beside it, none over it by accident."""

import os
import socket
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from omegaconf import OmegaConf

from facedet.errors import FacedetError
from facedet.loggers.sent_steps import RUN_FILE

_RANK_WORDS = ("RANK", "LOCAL_RANK", "SLURM_PROCID")


@contextmanager
def own_folder(folder: Path) -> Iterator[None]:
    """Keeps other runs out of `folder` while the block runs; a dead run's lock is no hindrance.

    Of several processes of one run the first holds the lock.

    Raises:
        FacedetError: another run is writing there; says which.
    """
    if is_further_process():
        yield
        return
    folder.mkdir(parents=True, exist_ok=True)
    lock, owner = FileLock(folder / ".lock"), folder / ".owner"
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        said = owner.read_text(encoding="utf-8").strip() if owner.is_file() else "another process"
        raise FacedetError(
            f"{folder}: {said} is training there: wait for it, or give another paths.output"
        ) from error
    try:
        owner.write_text(f"process {os.getpid()} on {socket.gethostname()}\n", encoding="utf-8")
        yield
    finally:
        owner.unlink(missing_ok=True)
        lock.release()


def is_further_process() -> bool:
    """Whether this is not the first of a run's processes, as launchers tell it."""
    return any(os.environ.get(word, "0") not in ("", "0") for word in _RANK_WORDS)


def start_fresh(folder: Path, overwrite: bool) -> None:
    """Makes `folder` ready for a run from its first step.

    Raises:
        FacedetError: a run's checkpoints lie there, and `overwrite` is false.
    """
    found = folder / "checkpoints" / "last.ckpt"
    if found.exists() and not overwrite:
        raise FacedetError(
            f"{folder} holds a run already: ckpt_path=last resumes it, another paths.output starts "
            "a new one, overwrite=true replaces it"
        )
    # The id of a run that is being replaced is not that of the new one.
    (folder / RUN_FILE).unlink(missing_ok=True)


@contextmanager
def ranks_start_from(config: Mapping[str, Any], output: Path) -> Iterator[None]:
    """Lets Lightning start a run's further processes from its composed config.

    Lightning repeats this process's command line. That of a multirun would begin a second
    multirun, and the clock in a folder's name would read another time.

    Args:
        config: of this run, resolved.
        output: folder of this run; gets the config as `.ranks.yaml`.
    """
    import __main__

    path = output / ".ranks.yaml"
    program, specification = sys.argv, __main__.__spec__
    if not is_further_process():
        OmegaConf.save(OmegaConf.create(dict(config)), path)
        sys.argv = [str(Path(__file__).with_name("rank.py")), str(path.resolve())]
        # With a specification Lightning would name the module that was started, not the file.
        __main__.__spec__ = None
    try:
        yield
    finally:
        sys.argv, __main__.__spec__ = program, specification
