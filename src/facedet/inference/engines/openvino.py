"""Networks in OpenVINO's intermediate representation or in ONNX files, run by OpenVINO."""

import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from facedet.errors import FacedetError, one_line
from facedet.inference.engines.exported import INPUT, Description, ExportedNetwork
from facedet.inference.engines.telemetry import no_telemetry

with no_telemetry():
    import openvino

# Under this name an .xml file carries the description.
SECTION = "facedet"


class OpenVinoNetwork(ExportedNetwork):
    """An .xml and .bin file of `facedet export`, or an ONNX model that weights were exported to.

    Runs on the CPU alone; the `description` of an ONNX model is handed in, an .xml file has it.
    """

    def __init__(
        self,
        model: Path | bytes,
        source: str,
        device: torch.device | None = None,
        threads: int | None = None,
        description: Description | None = None,
    ) -> None:
        if device is not None and device.type != "cpu":
            raise FacedetError(f"engine=openvino, device={device}: runs on the CPU: device=cpu")
        if isinstance(model, Path) and model.suffix.lower() == ".xml":
            weights = model.with_suffix(".bin")
            if not weights.is_file():
                raise FacedetError(f"{source}: its other half {weights.name} is missing")
        try:
            core = openvino.Core()
            read = core.read_model(model=model)
            if description is None:
                description = Description.read(_metadata(read), source)
            self._compiled = core.compile_model(
                read, "CPU", _settings(description.precision, threads)
            )
        except FacedetError:
            raise
        # OpenVINO raises RuntimeError, of many lines, and others.
        except Exception as error:
            reason = one_line(error)[:300]
            raise FacedetError(f"{source}: not a model that OpenVINO can run ({reason})") from error
        # A request is used by one thread at a time.
        self._requests = threading.local()
        version = openvino.__version__.partition("-")[0]
        super().__init__(description, f"openvino {version}")

    def run(self, pictures: np.ndarray) -> Sequence[np.ndarray]:
        """Pictures uint8 [B, H, W, 3] to the outputs of the form."""
        request = getattr(self._requests, "own", None)
        if request is None:
            request = self._requests.own = self._compiled.create_infer_request()
        results = request.infer({INPUT: pictures}, share_inputs=True)
        return [results[name] for name in self.outputs]


def _metadata(model: openvino.Model) -> dict[str, str]:
    if not model.has_rt_info([SECTION]):
        return {}
    names = model.get_rt_info([SECTION]).astype(dict)
    return {name: model.get_rt_info([SECTION, name]).astype(str) for name in names}


def _settings(precision: str, threads: int | None) -> dict[str, str | int]:
    # By itself it computes in bfloat16 where the CPU can, and scores then differ by up to .008.
    return {
        "INFERENCE_PRECISION_HINT": "bf16" if precision == "bf16" else "f32",
        "INFERENCE_NUM_THREADS": threads or torch.get_num_threads(),
        "PERFORMANCE_HINT": "LATENCY",
    }
