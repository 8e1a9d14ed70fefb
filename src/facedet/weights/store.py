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

from facedet.errors import FacedetError
from facedet.files import replacing
from facedet.models.folding import fold
from facedet.structures import CHECKPOINT_KEY
from facedet.weights.released_extd import (
    KNOWN_FILES,
    import_released_extd,
    is_released_extd,
    released_config,
    released_width,
)
from facedet.weights.trusted import build_untrusted
from facedet.weights.zoo import locate

FORMAT = "facedet-1"


class Weights(NamedTuple):
    """A network's weights and what is needed to build it."""

    state: dict[str, Tensor]  # of the `Detector`
    config: dict[str, Any]  # plain: "net", "box_coder" and perhaps "inference", with `_target_`s
    info: dict[str, Any]  # where they come from: "source", "sha256", "steps" …


def model_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a resolved training config that a weights file carries."""
    kept = {"net": config["model"]["net"], "box_coder": config["box_coder"]}
    # How the family processes a picture; a checkpoint from before it was written down has none.
    return kept | {key: config[key] for key in ("inference",) if config.get(key)}


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def read_weights(path: str | Path) -> Weights:
    """Weights of a safetensors file of ours, a training checkpoint or a released EXTD file.

    Nothing in the file is run: tensors and plain data only.

    Args:
        path: the file, or a name of `facedet weights list`.

    Raises:
        FacedetError: the file is missing, damaged, something else, or holds code.
    """
    path = locate(path)
    if path.stat().st_size == 0:
        raise FacedetError(f"{path}: the weights file is empty")
    is_ours = path.suffix.lower() == ".safetensors"
    weights = _read_safetensors(path) if is_ours else _read_torch(path)
    described = (weights.state, weights.config, weights.info)
    if not all(isinstance(part, dict) for part in described):
        raise FacedetError(f"{path}: its header does not describe a network")
    if not all(isinstance(value, Tensor) for value in weights.state.values()):
        raise FacedetError(f"{path}: holds something else than tensors")
    return weights._replace(info={**weights.info, "file": path.name, "sha256": file_sha256(path)})


def build_net(weights: Weights, source: str | Path) -> nn.Module:
    """The network of `weights`, in evaluation mode.

    Args:
        weights: from `read_weights`.
        source: the file, for messages.
    """
    net = build_untrusted(weights.config.get("net"), str(source))
    load_state(net, weights.state, source)
    return net.eval()


def load_network(weights: str | Path) -> nn.Module:
    """A detector for inference: in evaluation mode, its normalisations folded in.

    Args:
        weights: a file, or a name of `facedet weights list`.

    Raises:
        FacedetError: as of `read_weights`.
    """
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
        if value.is_floating_point() and not _is_finite(state[key]):
            raise FacedetError(f"{source}: {key} holds values that are not finite")
    net.load_state_dict(dict(state))


def _is_finite(values: Tensor) -> bool:
    return values.is_floating_point() and bool(values.isfinite().all())


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
    metadata = {
        "format": FORMAT,
        "config": json.dumps(weights.config),
        "info": json.dumps(info),
    }
    tensors = {key: value.detach().cpu().contiguous() for key, value in weights.state.items()}
    metadata["content_sha256"] = _content_sha256(metadata, tensors)
    data = _sorted_header(save(tensors, metadata))
    with replacing(path) as aside:
        aside.write_bytes(data)
    return path


def _sorted_header(data: bytes) -> bytes:
    """The same safetensors file, with the entries of its header in order.

    The library writes metadata in an order that changes from call to call; equal weights are to be
    equal files.
    """
    length = int.from_bytes(data[:8], "little")
    entries = json.loads(data[8 : 8 + length])
    entries["__metadata__"] = dict(sorted(entries["__metadata__"].items()))
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
        raise FacedetError(f"{path}: its header does not describe a network ({error})") from error


def _read_torch(path: Path) -> Weights:
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        reason = "holds more than tensors, or is no PyTorch file; nothing in it was run"
        raise FacedetError(f"{path}: {reason}") from error
    # On damaged files the unpickler raises almost anything.
    except Exception as error:
        text = " ".join([type(error).__name__, *str(error).splitlines()[:1]])
        raise FacedetError(f"{path}: not a readable PyTorch file ({text})") from error
    if isinstance(content, dict) and CHECKPOINT_KEY in content and "state_dict" in content:
        return _from_checkpoint(content, path)
    if isinstance(content, dict) and is_released_extd(content):
        return _from_release(content, path)
    raise FacedetError(
        f"{path}: neither a checkpoint of ours nor a released EXTD state dict "
        "(EXTD_32.pth, EXTD_48.pth, EXTD_64.pth)"
    )


def _from_checkpoint(content: dict[str, Any], path: Path) -> Weights:
    try:
        state = {
            key.removeprefix("net."): value
            for key, value in content["state_dict"].items()
            if key.startswith("net.")
        }
        config = model_config(content[CHECKPOINT_KEY]["config"])
    except (AttributeError, KeyError, TypeError) as error:
        raise FacedetError(f"{path}: the checkpoint does not describe a network") from error
    return Weights(
        state, config, {"source": "training checkpoint", "steps": content.get("global_step")}
    )


def _from_release(content: dict[str, Tensor], path: Path) -> Weights:
    try:
        width, state = released_width(content), import_released_extd(content)
    except FacedetError as error:
        raise FacedetError(f"{path}: {error}") from error
    except (AttributeError, IndexError, KeyError, TypeError) as error:
        raise FacedetError(f"{path}: no complete EXTD state dict ({error!r})") from error
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
    info = {"source": source, "origin_sha256": digest}
    return Weights(state, released_config(width), info)
