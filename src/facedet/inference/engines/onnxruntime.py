"""Networks in ONNX files, run by ONNX Runtime."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnxruntime
import torch

from facedet.errors import FacedetError, one_line
from facedet.inference.engines.exported import INPUT, Description, ExportedNetwork

_SILENT = 4  # its own messages would come before the one line of ours


class OnnxRuntimeNetwork(ExportedNetwork):
    """An ONNX file of `facedet export`, on cpu or cuda."""

    def __init__(
        self,
        model: Path | bytes,
        source: str,
        device: torch.device | None = None,
        threads: int | None = None,
    ) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or torch.get_num_threads()
        # Threads that spin while they wait gain little alone, and take the cores of other work.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = _SILENT
        # malloc keeps the memory already (`allocator`), and gives it back where it is too much.
        options.enable_cpu_mem_arena = False
        try:
            self._session = onnxruntime.InferenceSession(
                model if isinstance(model, bytes) else str(model), options, _providers(device)
            )
        # Its errors have no common class.
        except Exception as error:
            reason = one_line(error)
            raise FacedetError(f"{source}: not an ONNX file that can be run ({reason})") from error
        metadata = self._session.get_modelmeta().custom_metadata_map
        description = Description.read(metadata, source)
        super().__init__(description, f"onnxruntime {onnxruntime.__version__}")

    def run(self, pictures: np.ndarray) -> Sequence[np.ndarray]:
        """Pictures uint8 [B, H, W, 3] to the outputs of the form."""
        return self._session.run(self.outputs, {INPUT: pictures})


def _providers(device: torch.device | None) -> list[str | tuple[str, dict[str, int]]]:
    """What runs the session; a missing one would only be a warning."""
    if device is None or device.type == "cpu":
        return ["CPUExecutionProvider"]
    available = onnxruntime.get_available_providers()
    if device.type != "cuda" or "CUDAExecutionProvider" not in available:
        raise FacedetError(
            f"engine=onnxruntime, device={device}: this ONNX Runtime has only "
            f"{', '.join(available)}: install onnxruntime-gpu, or take device=cpu"
        )
    return [("CUDAExecutionProvider", {"device_id": device.index or 0}), "CPUExecutionProvider"]
