"""Checkpoints on disk: whole or not at all, read back, and found again in a moved folder."""

import zipfile
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.plugins.io import TorchCheckpointIO

from facedet.errors import FacedetError
from facedet.files import replacing

_PATHS = ("best_model_path", "kth_best_model_path", "last_model_path")


class DurableCheckpointIO(TorchCheckpointIO):
    """Writes a checkpoint to a temporary file, waits for the disk, checks it, and renames it."""

    def save_checkpoint(
        self,
        checkpoint: dict[str, Any],
        path: str | Path,
        storage_options: Any = None,  # noqa: ANN401
    ) -> None:
        """Writes `checkpoint`; raises `FacedetError` where the disk does not take it."""
        with replacing(Path(path)) as aside:
            try:
                torch.save(checkpoint, aside)
            except RuntimeError as error:  # torch's writer, of a full disk
                raise FacedetError(f"{path} cannot be written: is the disk full?") from error
            if not is_whole(aside):
                raise FacedetError(f"{path} was not written as it should be: check the disk")


def is_whole(path: Path) -> bool:
    """Whether every part of a checkpoint file has the checksum it was written with."""
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.testzip() is None
    except (zipfile.BadZipFile, OSError, EOFError):
        return False


class MovableCheckpoint(ModelCheckpoint):
    """A `ModelCheckpoint` that goes on with its files in a run's folder that was moved.

    Lightning's forgets the best value there: a worse step would replace the best checkpoint. What
    begins in another folder, from another run's checkpoint, begins with a best of its own.
    """

    _is_own = False  # resumes from a file in `dirpath`

    @property
    def state_key(self) -> str:
        """That of Lightning's class, under which earlier checkpoints have the state."""
        return super().state_key.replace(type(self).__qualname__, ModelCheckpoint.__qualname__, 1)

    def on_load_checkpoint(self, trainer: pl.Trainer, pl_module: object, checkpoint: dict) -> None:
        """Notes where the checkpoint lies; its state comes without that."""
        assert self.dirpath is not None
        self._is_own = Path(str(trainer.ckpt_path)).parent.resolve() == Path(self.dirpath)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes the state over; of files of the folder before, those that are in this one."""
        if self._is_own and state_dict["dirpath"] != self.dirpath:
            scores = state_dict["best_k_models"]
            here = {path: self._here(path) for path in (*scores, *map(state_dict.get, _PATHS))}
            state_dict = {
                **state_dict,
                **{name: here[state_dict[name]] for name in _PATHS},
                "best_k_models": {here[path]: scores[path] for path in scores if here[path]},
                "dirpath": self.dirpath,
            }
        super().load_state_dict(state_dict)

    def _here(self, path: str) -> str:
        """The file of that name in this folder; "" where there is none."""
        moved = Path(str(self.dirpath)) / Path(path).name
        return str(moved) if path and moved.is_file() else ""
