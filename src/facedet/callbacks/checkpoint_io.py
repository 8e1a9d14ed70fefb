"""Checkpoints on disk: whole or not at all, and read back before the old one goes."""

import zipfile
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning.plugins.io import TorchCheckpointIO

from facedet.errors import FacedetError
from facedet.files import replacing


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
