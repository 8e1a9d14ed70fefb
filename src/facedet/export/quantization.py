"""8-bit networks: static, per channel, with ranges seen on pictures."""

import logging
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from facedet.errors import FacedetError
from facedet.inference.engines.exported import INPUT
from facedet.inference.engines.telemetry import no_telemetry

# Convolutions carry the time. The first sees pixels, the heads say scores and boxes: these lose
# most by rounding and cost little in float.
_PARTS = ("/net/backbone", "/net/neck")
_QUANTIZED = ("Conv", "Add", "LeakyRelu", "Relu")


def quantize_onnx(model: onnx.ModelProto, pictures: Sequence[np.ndarray]) -> onnx.ModelProto:
    """The model with 8-bit backbone and neck (QDQ), but for the first convolution.

    Args:
        model: in float32; nodes are named by the module that made them.
        pictures: RGB uint8 [B, H, W, 3] of sizes that the model takes.
    """
    from onnxruntime.quantization import (
        CalibrationDataReader,
        QuantFormat,
        QuantType,
        quantize_static,
    )

    class Reader(CalibrationDataReader):
        def __init__(self) -> None:
            self.left = iter(pictures)

        def get_next(self) -> dict[str, np.ndarray] | None:
            images = next(self.left, None)
            return None if images is None else {INPUT: images}

    with tempfile.TemporaryDirectory() as folder, _quiet():
        path = Path(folder, "int8.onnx")
        quantize_static(
            model,
            path,
            Reader(),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=list(_QUANTIZED),
            nodes_to_exclude=_in_float(model),
            per_channel=True,
            # 7 bits for weights: CPUs without VNNI add two products in 16 bits.
            reduce_range=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )
        return onnx.load(path)


def quantize_openvino(model: Any, pictures: Sequence[np.ndarray]) -> Any:  # noqa: ANN401
    """An OpenVINO model with 8-bit backbone and neck; arguments as of `quantize_onnx`."""
    try:
        with no_telemetry():
            import nncf
    except ImportError as error:
        raise FacedetError(
            "int8 for OpenVINO needs nncf: pip install 'facedet-lightning[openvino]'"
        ) from error
    # Also what makes anchors and boxes: their range is that of the pictures seen here.
    names = [node.get_friendly_name() for node in model.get_ops()]
    in_float = [
        name
        for name in names
        if not name.startswith(_PARTS) or name.startswith("/net/backbone/stem")
    ]
    with _quiet(), redirect_stdout(sys.stderr):  # its progress bar
        return nncf.quantize(
            model,
            nncf.Dataset([{INPUT: images} for images in pictures]),
            preset=nncf.QuantizationPreset.MIXED,
            subset_size=len(pictures),
            ignored_scope=nncf.IgnoredScope(names=in_float, validate=False),
        )


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the hundred lines that the libraries log about single nodes."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)


def _in_float(model: onnx.ModelProto) -> list[str]:
    inner = [node for node in model.graph.node if node.name.startswith(_PARTS)]
    first = next(node.name for node in inner if node.op_type == "Conv")
    names = {node.name for node in inner} - {first}
    return [node.name for node in model.graph.node if node.name not in names]
