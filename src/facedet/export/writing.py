"""A network as a file for other programs, compared with PyTorch's before it stays."""

import json
import warnings
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
from torch import nn

from facedet.errors import UsageError
from facedet.export.agreement import Agreement, require_agreement
from facedet.export.graph import Graph, describe, to_onnx
from facedet.export.opening import describe_weights, open_exported, require_installed
from facedet.export.pictures import embedded_pictures, pictures_of
from facedet.export.quantization import quantize_onnx, quantize_openvino
from facedet.files import replacing
from facedet.inference.engines.exported import Description
from facedet.inference.engines.telemetry import no_telemetry
from facedet.inference.engines.torchscript import EXTRA_FILE
from facedet.weights.store import build_coder, build_net, read_weights

SUFFIX = {"onnx": ".onnx", "openvino": ".xml", "torchscript": ".torchscript"}
_PRECISIONS = {
    "onnx": ("fp32", "fp16", "int8"),  # ONNX Runtime has no bfloat16 on a CPU
    "openvino": ("fp32", "fp16", "bf16", "int8"),
    "torchscript": ("fp32", "fp16", "bf16"),
}
_CALIBRATED = 64  # pictures
_COMPARED = 8


class Exported(NamedTuple):
    """A file that was written, or two of OpenVINO's."""

    path: Path
    size: int  # bytes of all files
    description: Description
    agreement: Agreement


class _Network(NamedTuple):
    """What a file is written of."""

    net: nn.Module
    box_coder: Any
    description: Description
    calibration: list[np.ndarray] | None  # pictures [B, H, W, 3] for int8


def export(
    source: str | Path,
    path: Path,
    format: str,  # noqa: A002, the option's word
    calibrate: Path | None = None,
    **changes: Any,  # noqa: ANN401
) -> Exported:
    """Writes the network of weights as a file, and opens it again to compare it with PyTorch's.

    Args:
        source: as of `read_weights`.
        path: of the file.
        format: onnx, openvino or torchscript.
        calibrate: int8: folder of training pictures; None: embedded ones.
        changes: of the description: form, precision, size, batch, score, iou.

    Raises:
        FacedetError: the weights cannot be read, or the file cannot be written or does not agree.
            Nothing is left then.
        UsageError: the format cannot hold what was asked for.
    """
    read = read_weights(source)
    description = describe_weights(read, source, **changes)
    _check(format, path, description, calibrate)
    require_installed({"onnx": "onnxruntime", "torchscript": "torch"}.get(format, format))
    net, coder = build_net(read, source), build_coder(read, source)
    # One larger than those that int8 is calibrated on, one of a size that no stride divides.
    pictures = embedded_pictures("val", _COMPARED) + embedded_pictures("val", 1, 640)
    pictures[0] = np.ascontiguousarray(pictures[0][:-27, :-14])
    calibration = None
    if description.precision == "int8":
        chosen = (
            embedded_pictures("train", _CALIBRATED)
            if calibrate is None
            else pictures_of(calibrate, _CALIBRATED)
        )
        batch = description.batch or 1
        fitting = _fitting(chosen, description.size)
        calibration = [np.repeat(rgb[None], batch, axis=0) for rgb in fitting]
    network = _Network(net, coder, description, calibration)
    files = [path, path.with_suffix(".bin")] if format == "openvino" else [path]
    with ExitStack() as stack:
        # The .bin file takes its place first: an .xml file is never without it.
        aside, *_ = [stack.enter_context(replacing(file)) for file in files]
        _WRITERS[format](aside, network)
        agreement = require_agreement(
            net, coder, open_exported(aside), _fitting(pictures, description.size), str(path)
        )
    return Exported(path, sum(file.stat().st_size for file in files), description, agreement)


def _check(format: str, path: Path, description: Description, calibrate: Path | None) -> None:  # noqa: A002
    precision, form = description.precision, description.form
    if path.suffix.lower() != SUFFIX[format]:
        raise UsageError(f"{path}: expected a name that ends in {SUFFIX[format]} ({format})")
    if precision not in _PRECISIONS[format]:
        raise UsageError(
            f"precision={precision}: {format} files are {', '.join(_PRECISIONS[format])}"
        )
    if format == "torchscript" and form == "end-to-end":
        raise UsageError("torchscript has no NMS of its own: export raw or decoded, or onnx")
    if calibrate is not None and precision != "int8":
        raise UsageError(f"calibrate={calibrate}: is for precision=int8, not {precision}")


def _fitting(pictures: Sequence[np.ndarray], size: tuple[int, int] | None) -> list[np.ndarray]:
    """The pictures, resized where the network takes one size only."""
    if size is None:
        return list(pictures)
    return [np.asarray(cv2.resize(rgb, size[::-1])) for rgb in pictures]


def _write_onnx(path: Path, network: _Network) -> None:
    model = to_onnx(network.net, network.box_coder, network.description)
    if network.calibration is not None:
        model = quantize_onnx(model, network.calibration)
        describe(model, network.description)
    path.write_bytes(model.SerializeToString())


def _write_openvino(path: Path, network: _Network) -> None:
    with no_telemetry():
        import openvino

    from facedet.inference.engines.openvino import SECTION

    description = network.description
    single = replace(description, precision="fp32")
    data = to_onnx(network.net, network.box_coder, single).SerializeToString()
    model = openvino.Core().read_model(model=data)
    if network.calibration is not None:
        model = quantize_openvino(model, network.calibration)
    for name, value in description.to_metadata().items():
        model.set_rt_info(value, [SECTION, name])
    # Half-precision weights are for the file; what it computes in is a setting of the engine.
    openvino.save_model(model, path, compress_to_fp16=description.precision in ("fp16", "bf16"))


def _write_torchscript(path: Path, network: _Network) -> None:
    net, box_coder, description, _ = network
    graph = Graph(net, box_coder, description.form, description.precision)
    example = graph.example(description.size, description.batch)
    with warnings.catch_warnings(), torch.no_grad():
        # Of the tracer: sizes that become constants (they do not), and of its own age.
        warnings.simplefilter("ignore")
        traced = torch.jit.trace(graph, example, check_trace=False)
        extra = {EXTRA_FILE: json.dumps(description.to_metadata())}
        torch.jit.save(traced, str(path), _extra_files=extra)


_WRITERS: dict[str, Callable[[Path, _Network], None]] = {
    "onnx": _write_onnx,
    "openvino": _write_openvino,
    "torchscript": _write_torchscript,
}
