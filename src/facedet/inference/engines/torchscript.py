"""Networks in TorchScript files, as C++ programs with libtorch read them."""

import json
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from facedet.errors import FacedetError, first_line
from facedet.inference.engines.exported import Description, ExportedNetwork

# Inside the file, the description as JSON.
EXTRA_FILE = "facedet.json"


class TorchScriptNetwork(ExportedNetwork):
    """A TorchScript file of `facedet export`."""

    def __init__(self, model: Path, source: str, device: torch.device | None = None) -> None:
        self._device = device or torch.device("cpu")
        extra = {EXTRA_FILE: ""}
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)
                self._module = torch.jit.load(
                    str(model), map_location=self._device, _extra_files=extra
                )
        except (RuntimeError, ValueError) as error:
            raise FacedetError(f"{source}: not a TorchScript file ({first_line(error)})") from error
        description = Description.read(json.loads(extra[EXTRA_FILE] or "{}"), source)
        super().__init__(description, f"torch {torch.__version__}")

    @torch.no_grad()
    def run(self, pictures: np.ndarray) -> Sequence[np.ndarray]:
        """Pictures uint8 [B, H, W, 3] to the outputs of the form."""
        outputs = self._module(torch.from_numpy(pictures).to(self._device))
        return [one.cpu().numpy() for one in outputs]
