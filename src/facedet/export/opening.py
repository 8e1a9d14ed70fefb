"""A detector's network in an engine: from weights, exported once into the cache, or from a file."""

import importlib.util
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch

from facedet import __version__
from facedet.box_coder import DecodedBoxes
from facedet.errors import FacedetError, UsageError
from facedet.files import file_sha256, replacing
from facedet.inference.devices import find_device
from facedet.inference.engines import ENGINES
from facedet.inference.engines.exported import FORMAT, Description, Engine, ExportedNetwork
from facedet.models.folding import fold
from facedet.weights.store import EXPORTED_SUFFIXES, Weights, build_coder, build_net, read_weights
from facedet.weights.zoo import NAMED, cache_folder, locate, usual_score

# What runs exported files, by their suffix.
_RUN_BY = dict(zip(EXPORTED_SUFFIXES, ("onnxruntime", "openvino", "torch"), strict=True))


class Opened(NamedTuple):
    """A network that is ready for pictures, and what belongs to it."""

    net: Engine
    box_coder: Any
    weights: Weights  # of an exported file: without tensors
    engine: str  # what runs the network, with its version
    about: Description


def open_detector(
    source: str | Path,
    engine: str = "auto",
    device: str | int = "auto",
    threads: int | None = None,
    folded: bool = True,
) -> Opened:
    """The network of weights, or of a file that `facedet export` wrote.

    For another engine than PyTorch weights are exported once, into the cache folder.

    Args:
        source: as of `read_weights`, or an exported file.
        engine: `auto`, or one of `ENGINES`. `auto` takes, on a CPU, the first that is installed
            and can run the network; on a GPU torch.
        device: as of `find_device`.
        threads: of one call; None: PyTorch's number. With torch it is set for the process.
        folded: fold the normalisations into the convolutions; the other engines always do.

    Raises:
        FacedetError: the file is missing or damaged, the engine is not installed, or there is no
            such device.
        UsageError: the engine does not run such a file.
    """
    if engine != "auto" and engine not in ENGINES:
        raise UsageError(f"engine={engine}: expected auto, {', '.join(ENGINES)}")
    if threads is not None and threads < 1:
        raise UsageError(f"threads={threads}: expected at least 1")
    path = locate(source)
    if path.suffix.lower() in _RUN_BY:
        return _open_exported(path, engine, device, threads)
    place, read = find_device(device), read_weights(path)
    if engine == "auto":
        engine = installed_engines()[0] if folded and place.type == "cpu" else "torch"
        try:
            return _open_weights(read, source, engine, place, threads, folded)
        except FacedetError:
            if engine == "torch":
                raise
            engine = "torch"  # an operation of somebody's own network has no counterpart
    return _open_weights(read, source, engine, place, threads, folded)


def installed_engines() -> list[str]:
    """The engines that can run weights here, the fastest first."""
    # Weights become ONNX for all but torch.
    has_onnx = importlib.util.find_spec("onnx") is not None
    return [
        name
        for name in ENGINES
        if name == "torch" or (has_onnx and importlib.util.find_spec(name) is not None)
    ]


def describe_weights(
    read: Weights,
    source: str | Path,
    form: str = "raw",
    **changes: Any,  # noqa: ANN401
) -> Description:
    """The description of weights that are to be exported; of any size in fp32 unless changed."""
    named = NAMED.get(str(source))
    usual: dict[str, Any] = {
        "weights": named.name if named else read.info["file"],
        "sha256": read.info["sha256"],
        "config": read.config,
        "info": read.info,
        "form": form,
        "precision": "fp32",
        "size": None,
        "batch": None,
        "score": usual_score(source),
        "iou": 0.3,
        "licence": named.licence if named else "not stated",
    }
    return Description(**usual | changes)


def open_exported(
    path: Path, device: torch.device | None = None, threads: int | None = None
) -> ExportedNetwork:
    """A file of `facedet export` in the engine of its suffix.

    Raises:
        FacedetError: the engine is not installed, or the file cannot be run.
    """
    engine = _RUN_BY[path.suffix.lower()]
    require_installed(engine)
    return _run_in(engine, path, str(path), device, threads)


def _run_in(
    engine: str,
    model: Path | bytes,
    source: str,
    device: torch.device | None,
    threads: int | None,
    description: Description | None = None,  # of an ONNX model, which OpenVINO does not read
) -> ExportedNetwork:
    """An exported model in its engine, which is imported now."""
    if engine == "onnxruntime":
        from facedet.inference.engines.onnxruntime import OnnxRuntimeNetwork

        return OnnxRuntimeNetwork(model, source, device, threads)
    if engine == "openvino":
        from facedet.inference.engines.openvino import OpenVinoNetwork

        return OpenVinoNetwork(model, source, device, threads, description)
    from facedet.inference.engines.torchscript import TorchScriptNetwork

    if threads:
        torch.set_num_threads(threads)
    assert isinstance(model, Path)
    return TorchScriptNetwork(model, source, device)


def _open_exported(path: Path, engine: str, device: str | int, threads: int | None) -> Opened:
    suited = _RUN_BY[path.suffix.lower()]
    if engine not in ("auto", suited):
        raise UsageError(f"engine={engine}: {path.name} runs in {suited}")
    place = None if device == "auto" else find_device(device)
    net = open_exported(path, place, threads)
    about = net.description
    info = {
        **about.info,
        "file": path.name,
        "sha256": file_sha256(path),
        "weights_sha256": about.sha256,
        "precision": about.precision,
    }
    read = Weights({}, about.config, info)
    coder = build_coder(read, path) if about.form == "raw" else DecodedBoxes()
    return Opened(net, coder, read, net.engine, about)


def _open_weights(
    read: Weights,
    source: str | Path,
    engine: str,
    device: torch.device,
    threads: int | None,
    folded: bool,
) -> Opened:
    coder, about = build_coder(read, source), describe_weights(read, source)
    net: Engine
    if engine == "torch":
        if threads:
            torch.set_num_threads(threads)
        built = build_net(read, source)
        net = (fold(built) if folded else built).to(device)
        name = f"torch {torch.__version__}"
    else:
        require_installed(engine)
        run_in_engine = partial(
            _run_in, engine, source=str(source), device=device, threads=threads, description=about
        )
        net = _from_cache(read, source, coder, about, run_in_engine)
        name = net.engine
    return Opened(net, coder, read, name, about)


def _from_cache(
    read: Weights,
    source: str | Path,
    coder: Any,  # noqa: ANN401
    about: Description,
    run_in_engine: Callable[[Path | bytes], ExportedNetwork],
) -> ExportedNetwork:
    """The exported network of weights: from the cache, or made now and put there."""
    name = f"{about.sha256[:16]}-{__version__}-{FORMAT}.onnx"
    path = cache_folder() / "engines" / name
    if path.is_file():
        try:
            return run_in_engine(path)
        except FacedetError:
            pass  # damaged: made again
    from facedet.export.agreement import require_agreement
    from facedet.export.graph import Graph, to_onnx

    net = build_net(read, source)
    data = to_onnx(net, coder, about).SerializeToString()
    made = run_in_engine(data)
    example = Graph(net, coder, "raw").example(None, None)[0].numpy()
    require_agreement(net, coder, made, [example], str(source))
    try:
        with replacing(path) as aside:
            aside.write_bytes(data)
    except FacedetError:
        pass  # a cache that cannot be written costs a second, next time too
    return made


def require_installed(engine: str) -> None:
    """Raises `FacedetError` where an engine is missing; says how to install it."""
    if importlib.util.find_spec(engine) is None:
        extra = "[openvino]" if engine == "openvino" else ""
        raise FacedetError(
            f"engine={engine}: is not installed: pip install 'facedet-lightning{extra}'"
        )
