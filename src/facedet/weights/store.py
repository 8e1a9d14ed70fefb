"""Weights on disk: safetensors with the network's config inside, checkpoints, released files."""

import hashlib
import json
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from facedet.errors import FacedetError, named_line
from facedet.files import file_sha256, replacing
from facedet.models.folding import fold
from facedet.structures import CHECKPOINT_KEY
from facedet.weights.caffe import import_smallhardface, read_caffemodel, smallhardface_config
from facedet.weights.released_extd import (
    RELEASED,
    import_released_extd,
    is_released_extd,
    released_config,
)
from facedet.weights.trusted import build_untrusted
from facedet.weights.zoo import locate

FORMAT = "facedet-1"
HOLDS_CODE = "holds more than tensors, or is no PyTorch file; nothing in it was run"
# Files of `facedet.export`, which are run and not read.
EXPORTED_SUFFIXES = (".onnx", ".xml", ".torchscript")


class Weights(NamedTuple):
    """A network's weights and what is needed to build it."""

    state: dict[str, Tensor]  # of the `Detector`
    config: dict[str, Any]  # plain: "net", "box_coder" and perhaps "inference", with `_target_`s
    info: dict[str, Any]  # where they come from: "source", "sha256", "steps" …


def model_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a resolved training config that a weights file carries."""
    kept = {"net": config["model"]["net"], "box_coder": config["box_coder"]}
    if share := config.get("data", {}).get("val_share"):  # by which the pictures were divided
        kept["val_share"] = share
    # How the family processes a picture; a checkpoint from before it was written down has none.
    return kept | {key: config[key] for key in ("inference",) if config.get(key)}


def read_weights(path: str | Path) -> Weights:
    """Weights of a safetensors file of ours, a training checkpoint or a released file.

    Released are EXTD's state dicts and SmallHardFace's .caffemodel.

    Nothing in the file is run: tensors and plain data only.

    Args:
        path: the file, or a name of `facedet weights list`.

    Raises:
        FacedetError: the file is missing, damaged, something else, or holds code.
    """
    path = locate(path)
    if path.suffix.lower() in EXPORTED_SUFFIXES:
        raise FacedetError(
            f"{path}: is an exported network, expected weights; "
            "`facedet predict`, `facedet evaluate` and facedet.load take both"
        )
    readers = {".safetensors": _read_safetensors, ".caffemodel": _read_caffe}
    weights = readers.get(path.suffix.lower(), _read_torch)(path)
    described = all(isinstance(part, dict) for part in weights)
    if not described or not all(isinstance(value, Tensor) for value in weights.state.values()):
        raise FacedetError(f"{path}: does not describe a network")
    return weights._replace(info={**weights.info, "file": path.name, "sha256": file_sha256(path)})


def build_net(weights: Weights, source: str | Path) -> nn.Module:
    """The network of `weights`, in evaluation mode; `source` names the file in messages."""
    # The random initial weights, which are overwritten, cost the caller no random numbers.
    with torch.random.fork_rng(devices=[]):
        net = build_untrusted(weights.config.get("net"), str(source))
    load_state(net, weights.state, source)
    return net.eval()


def load_network(weights: str | Path) -> nn.Module:
    """A detector for inference, its normalisations folded in; `weights` as for `read_weights`."""
    return fold(build_net(read_weights(weights), weights))


def load_state(net: nn.Module, state: Mapping[str, Tensor], source: str | Path) -> None:
    """Copies `state` into `net`; every key and shape must agree.

    Raises:
        FacedetError: naming the first key that does not fit.
    """
    own = net.state_dict()
    missing, extra = sorted(own.keys() - state.keys()), sorted(state.keys() - own.keys())
    if missing or extra:
        first = f"{missing[0]!r} is missing" if missing else f"{extra[0]!r} is unknown"
        raise FacedetError(
            f"{source}: these are weights of another network: {first} "
            f"({len(missing)} keys missing, {len(extra)} unknown)"
        )
    for key, value in own.items():
        if value.shape != state[key].shape:
            raise FacedetError(
                f"{source}: {key} has shape {list(state[key].shape)}, "
                f"the network expects {list(value.shape)}; a narrower network's start a wider one "
                "with widen=true"
            )
        if value.is_floating_point() and not state[key].isfinite().all():
            raise FacedetError(f"{source}: {key} holds values that are not finite")
    net.load_state_dict(dict(state))


def build_coder(weights: Weights, source: str | Path) -> Any:  # noqa: ANN401
    """The box coder of `weights`; `source` as for `build_net`."""
    return build_untrusted(weights.config.get("box_coder"), str(source))


def save_weights(path: str | Path, weights: Weights) -> Path:
    """Writes a safetensors file, whole or not at all.

    Raises:
        FacedetError: the place cannot be written.
    """
    path = Path(path)
    # Of the file that they were read from; a training's checkpoint differs from run to run.
    info = {key: value for key, value in weights.info.items() if key not in ("file", "sha256")}
    described = {"config": json.dumps(weights.config), "info": json.dumps(info)}
    metadata = {"format": FORMAT, **described}
    tensors = {key: value.detach().cpu().contiguous() for key, value in weights.state.items()}
    metadata["content_sha256"] = _content_sha256(metadata, tensors)
    data = _sorted_header(save(tensors, metadata))
    with replacing(path) as aside:
        aside.write_bytes(data)
    return path


def _sorted_header(data: bytes) -> bytes:
    """Sorts the header: the library's order changes, and equal weights must be equal files."""
    length = int.from_bytes(data[:8], "little")
    entries = json.loads(data[8 : 8 + length])
    header = json.dumps(entries, separators=(",", ":"), ensure_ascii=False, sort_keys=True).encode()
    header += b" " * (-len(header) % 8)  # the format aligns the tensors
    return len(header).to_bytes(8, "little") + header + data[8 + length :]


def _content_sha256(metadata: Mapping[str, str], state: Mapping[str, Tensor]) -> str:
    """SHA-256 of what a safetensors file of ours says and holds, however it is laid out."""
    digest = hashlib.sha256()
    for key in ("config", "info"):
        digest.update(metadata.get(key, "").encode())
    for key, value in sorted(state.items()):
        digest.update(key.encode())
        digest.update(value.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _read_safetensors(path: Path) -> Weights:
    try:
        with safe_open(path, framework="pt") as stream:
            metadata = stream.metadata() or {}
            state = {key: stream.get_tensor(key) for key in stream.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise FacedetError(f"{path}: not a readable safetensors file ({error})") from error
    if metadata.get("format") != FORMAT:
        raise FacedetError(
            f"{path}: its format is {metadata.get('format')!r}, expected {FORMAT!r}: "
            "a file that `facedet train` or `facedet weights convert` wrote"
        )
    # safetensors itself would not notice a changed byte. Older files of ours lack the key.
    stored = metadata.get("content_sha256")
    if stored is not None and stored != _content_sha256(metadata, state):
        raise FacedetError(f"{path}: is damaged, its content is not what was written")
    try:
        return Weights(state, json.loads(metadata["config"]), json.loads(metadata["info"]))
    except (KeyError, ValueError) as error:
        raise FacedetError(f"{path}: does not describe a network ({named_line(error)})") from error


def _read_caffe(path: Path) -> Weights:
    try:
        state = import_smallhardface(read_caffemodel(path.read_bytes()))
    except FacedetError as error:
        raise FacedetError(f"{path}: {error}") from error
    except (OSError, TypeError, ValueError) as error:
        raise FacedetError(f"{path}: not a readable Caffe model ({named_line(error)})") from error
    info = {"source": "SmallHardFace's Caffe model", "origin_sha256": file_sha256(path)}
    return Weights(state, smallhardface_config(), info)


def _read_torch(path: Path) -> Weights:
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise FacedetError(f"{path}: {HOLDS_CODE}") from error
    except Exception as error:  # on damaged files the unpickler raises almost anything
        raise FacedetError(f"{path}: not a readable PyTorch file ({named_line(error)})") from error
    try:
        if isinstance(content, dict) and CHECKPOINT_KEY in content and "state_dict" in content:
            return _from_checkpoint(content)
        if isinstance(content, dict) and is_released_extd(content):
            return _from_release(content, path)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise FacedetError(f"{path}: does not describe a network ({named_line(error)})") from error
    raise FacedetError(
        f"{path}: neither a checkpoint of ours nor a released EXTD state dict "
        f"({', '.join(RELEASED)})"
    )


def _from_checkpoint(content: dict[str, Any]) -> Weights:
    state = {
        key.removeprefix("net."): value
        for key, value in content["state_dict"].items()
        if key.startswith("net.")
    }
    info = {"source": "training checkpoint", "steps": content.get("global_step")}
    return Weights(state, model_config(content[CHECKPOINT_KEY]["config"]), info)


def _from_release(content: dict[str, Tensor], path: Path) -> Weights:
    digest = file_sha256(path)
    # A file that calls itself a released one must be that one; others may be anybody's training.
    if RELEASED.get(path.name, digest) != digest:
        raise FacedetError(
            f"{path}: SHA-256 {digest} is not that of the released {path.name} "
            f"({RELEASED[path.name]}): fetch it again, or rename it if it is your own training"
        )
    known = [f"released {name}" for name, sha256 in RELEASED.items() if sha256 == digest]
    source = known[0] if known else "state dict in the layout of the EXTD release"
    info = {"source": source, "origin_sha256": digest}
    return Weights(import_released_extd(content), released_config(content), info)
