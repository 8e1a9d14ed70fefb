"""Weights on disk: safetensors with the network's config inside, checkpoints, released files."""

import hashlib
import json
import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from facedet.callbacks.checkpoint_config import KEY
from facedet.config import build_untrusted, compose, plain
from facedet.errors import FacedetError
from facedet.models.importers.released_extd import (
    KNOWN_FILES,
    import_released_extd,
    is_released_extd,
    released_width,
)
from facedet.replacing import replacing

FORMAT = "facedet-1"


class Weights(NamedTuple):
    """A network's weights and what is needed to build it."""

    state: dict[str, Tensor]  # of the `Detector`
    config: dict[str, Any]  # plain: "net" and "box_coder", with `_target_`s
    info: dict[str, Any]  # where they come from: "source", "sha256", "steps" …


def model_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a resolved training config that a weights file carries."""
    return {"net": config["model"]["net"], "box_coder": config["box_coder"]}


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def read_weights(path: str | Path) -> Weights:
    """Weights of a safetensors file of ours, a training checkpoint or a released EXTD file.

    Nothing in the file is run: tensors and plain data only.

    Raises:
        FacedetError: the file is missing, damaged, something else, or holds code.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise FacedetError(f"{path}: no such weights file")
    if path.stat().st_size == 0:
        raise FacedetError(f"{path}: the weights file is empty")
    weights = _read_safetensors(path) if path.suffix == ".safetensors" else _read_torch(path)
    return weights._replace(info={**weights.info, "file": path.name, "sha256": file_sha256(path)})


def build_net(weights: Weights, source: str | Path) -> nn.Module:
    """The network of `weights`, in evaluation mode.

    Args:
        weights: from `read_weights`.
        source: the file, for messages.
    """
    net = build_untrusted(weights.config["net"], str(source))
    load_state(net, weights.state, source)
    return net.eval()


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
                f"the network wants {list(value.shape)}"
            )
    net.load_state_dict(dict(state))


def save_weights(path: str | Path, weights: Weights) -> Path:
    """Writes a safetensors file, whole or not at all.

    Raises:
        FacedetError: the place cannot be written.
    """
    path = Path(path)
    metadata = {
        "format": FORMAT,
        "config": json.dumps(weights.config),
        "info": json.dumps(weights.info),
    }
    tensors = {key: value.detach().cpu().contiguous() for key, value in weights.state.items()}
    data = save(tensors, metadata)
    with replacing(path) as aside:
        aside.write_bytes(data)
    return path


def _read_safetensors(path: Path) -> Weights:
    try:
        with safe_open(path, framework="pt") as stream:
            metadata = stream.metadata() or {}
            state = {key: stream.get_tensor(key) for key in stream.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise FacedetError(f"{path}: not a readable safetensors file ({error})") from error
    if metadata.get("format") != FORMAT:
        raise FacedetError(
            f"{path}: its format is {metadata.get('format')!r}, wanted {FORMAT!r}: "
            "a file that `facedet convert` or `facedet train` wrote"
        )
    try:
        return Weights(state, json.loads(metadata["config"]), json.loads(metadata["info"]))
    except (KeyError, ValueError) as error:
        raise FacedetError(f"{path}: its header does not describe a network ({error})") from error


def _read_torch(path: Path) -> Weights:
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        reason = "holds more than tensors, or is no PyTorch file; nothing in it was run"
        raise FacedetError(f"{path}: {reason}") from error
    except (RuntimeError, EOFError, ValueError, KeyError, zipfile.BadZipFile, OSError) as error:
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise FacedetError(f"{path}: not a readable PyTorch file ({first})") from error
    if isinstance(content, dict) and KEY in content and "state_dict" in content:
        return _from_checkpoint(content)
    if isinstance(content, dict) and is_released_extd(content):
        return _from_release(content, path)
    raise FacedetError(
        f"{path}: neither a checkpoint of ours nor a released EXTD state dict "
        "(EXTD_32.pth, EXTD_48.pth, EXTD_64.pth)"
    )


def _from_checkpoint(content: dict[str, Any]) -> Weights:
    state = {
        key.removeprefix("net."): value
        for key, value in content["state_dict"].items()
        if key.startswith("net.")
    }
    config = content[KEY]["config"]
    info = {"source": "training checkpoint", "steps": content.get("global_step")}
    return Weights(state, model_config(config), info)


def _from_release(content: dict[str, Tensor], path: Path) -> Weights:
    width = released_width(content)
    digest = file_sha256(path)
    # A file that calls itself a released one must be that one; others may be anybody's training.
    by_name = {name: known for known, (name, _) in KNOWN_FILES.items()}
    if by_name.get(path.name, digest) != digest:
        raise FacedetError(
            f"{path}: SHA-256 {digest} is not that of the released {path.name} "
            f"({by_name[path.name]}): fetch it again, or rename it if it is your own training"
        )
    known = KNOWN_FILES.get(digest)
    source = f"released {known[0]}" if known else "state dict in the layout of the EXTD release"
    overrides = [f"backbone.width={width}", "backbone.activation=prelu", "neck=top_down"]
    config = plain(compose("train", ["preset=extd_fpn", *overrides]))
    info = {"source": source, "origin_sha256": digest}
    return Weights(import_released_extd(content), model_config(config), info)
