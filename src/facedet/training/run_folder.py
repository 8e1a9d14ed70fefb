"""A run's folder belongs to one run: no second one at the same time, none over it by accident."""

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from facedet.errors import FacedetError
from facedet.files import locked
from facedet.loggers.sent_steps import RUN_FILE

# What a run and its callbacks write; its log and what W&B keeps stay.
_LEFT = (
    "checkpoints/*.ckpt", "weights.safetensors", "logs/metrics.csv",
    *(f"mining.{suffix}" for suffix in ("csv", "npy", "png")), "hardest.csv", "hardest.png",
    "images/training.jpg", "images/step_*.jpg", "images/precision_recall.png",
)  # fmt: skip
_RANK_WORDS = ("RANK", "LOCAL_RANK", "SLURM_PROCID")


@contextmanager
def own_folder(folder: Path) -> Iterator[None]:
    """Keeps other runs out of `folder` while the block runs; the first process holds the lock.

    Raises:
        FacedetError: another run is writing there.
    """
    if is_further_process():
        yield
        return
    with locked(folder / ".lock") as is_ours:
        if not is_ours:
            raise FacedetError(
                f"{folder}: another process is training there: wait, or give another paths.output"
            )
        yield


def is_further_process() -> bool:
    """Whether this is not the first of a run's processes, by the launcher's variables."""
    return any(os.environ.get(word, "0") not in ("", "0") for word in _RANK_WORDS)


def holds(folder: Path, path: str | Path) -> bool:
    """Whether a file lies in `folder`, however both are written and whatever links lead there."""
    place = Path(path)
    above = (*place.absolute().parents, *place.resolve().parents)
    return any(one.resolve() == folder.resolve() for one in above)


def refuse_replacing(folder: Path, overwrite: bool, weights: str | None = None) -> None:
    """Refuses to begin a run where one lies, be it from another run's checkpoint.

    Raises:
        FacedetError: a run's checkpoints lie in `folder`, and `overwrite` is false; or the
            file `weights` that the new one starts from is among those it replaces.
    """
    found = folder / "checkpoints" / "last.ckpt"
    if found.exists() and not overwrite:
        raise FacedetError(
            f"{folder} holds a run already: ckpt_path=last resumes it, another paths.output starts "
            "a new one, overwrite=true replaces it"
        )
    # Further processes, and whoever resumes the new run, read them again.
    if overwrite and weights and Path(weights).resolve() in map(Path.resolve, _left(folder)):
        raise FacedetError(
            f"weights={weights} is a file of the run that overwrite=true replaces: move it out "
            f"of {folder}, or give another paths.output"
        )


def start_fresh(folder: Path, overwrite: bool) -> None:
    """Removes what a run from its first step would take for its own.

    With `overwrite` that is all that an earlier one has left.
    """
    # The id of a run that is being replaced is not that of the new one.
    (folder / RUN_FILE).unlink(missing_ok=True)
    if overwrite:
        for path in _left(folder):
            path.unlink()


def _left(folder: Path) -> list[Path]:
    """The files of the run that lies there."""
    return [path for pattern in _LEFT for path in folder.glob(pattern)]


@contextmanager
def ranks_start_from(config: Mapping[str, Any], output: Path) -> Iterator[None]:
    """Lets Lightning start a run's further processes from its composed config.

    Lightning repeats this process's command line. That of a multirun would begin a second
    multirun, and the clock in a folder's name would read another time. So the resolved `config`
    is written to `.ranks.yaml` in the folder `output`.
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
