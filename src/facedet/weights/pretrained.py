"""Initial weights of a backbone: ImageNet's, fetched once, or a file's."""

import importlib
import logging
import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor

from facedet.errors import FacedetError, UsageError
from facedet.models.backbones.vgg import Vgg16
from facedet.models.detector import Detector
from facedet.weights.downloading import require_file
from facedet.weights.store import file_sha256
from facedet.weights.vgg16 import (
    import_caffe_vgg16,
    import_torchvision_vgg16,
    is_torchvision_vgg16,
)

# torchvision's VGG16, trained on ImageNet; 528 MB, most of it a classifier that is not read.
URL = "https://download.pytorch.org/models/vgg16-397923af.pth"
SHA256 = "397923af8e79cdbb6a7127f12361acd7a2f83e06b05044ddf496e83de57a5bf0"

log = logging.getLogger(__name__)


def read_backbone_weights(wish: str, mean: Sequence[float], cache: Path) -> dict[str, Tensor]:
    """VGG16's weights for RGB pictures of 0 … 255 minus `mean`.

    Args:
        wish: `imagenet`: torchvision's file, from `cache` or the network. Else a file:
            torchvision's layout in .pth or .safetensors; or a dump of the Caffe model (BGR) in
            .npz, .h5, .pth or .safetensors. Only tensors are read, nothing in it is run.
        mean: RGB in 0 … 255 that the detector subtracts.
        cache: folder of files fetched once.

    Returns:
        "conv1_1.weight" … "conv5_3.bias", float32.

    Raises:
        FacedetError: the file is missing, damaged or something else, or cannot be fetched.
    """
    if wish == "imagenet":
        path = cache / Path(URL).name
        require_file(path, URL, SHA256, f"remove it, or give backbone_weights={path}")
    else:
        path = Path(wish).expanduser()
        if not path.is_file():
            raise FacedetError(
                f"backbone_weights={wish}: no such file; wanted are imagenet or a file"
            )
    try:
        state = _read(path, mean)
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from error
    except FacedetError as error:
        raise FacedetError(f"{path}: {error}") from error
    except pickle.UnpicklingError as error:
        reason = "holds more than tensors, or is no PyTorch file; nothing in it was run"
        raise FacedetError(f"{path}: {reason}") from error
    # On damaged files the readers raise almost anything.
    except Exception as error:
        text = " ".join([type(error).__name__, *str(error).splitlines()[:1]])
        raise FacedetError(f"{path}: not a readable weights file ({text})") from error
    if wish != "imagenet":
        digest = file_sha256(path)
        known = "torchvision's" if digest == SHA256 else "not that of torchvision's file"
        log.info("%s: SHA-256 %s, %s", path, digest, known)
    return state


def load_backbone(net: Detector, state: Mapping[str, Tensor], source: str) -> None:
    """Copies VGG16's weights into the backbone of `net`.

    Args:
        net: a detector whose backbone is a `Vgg16`, or begins as one.
        state: of `read_backbone_weights`.
        source: where it comes from, for messages.

    Raises:
        UsageError: the backbone is another, or the detector scales its pictures.
    """
    if not isinstance(net.backbone, Vgg16):
        raise UsageError(
            f"backbone_weights={source}: are VGG16's, and the network's backbone is "
            f"{type(net.backbone).__name__}: add backbone=vgg16 or leave them out"
        )
    if not bool((net.std == 1).all()):
        raise UsageError(
            f"backbone_weights={source}: are for pictures that are not scaled, and model.net.std "
            f"is {net.std.flatten().tolist()}: wanted is [1, 1, 1]"
        )
    names = [name for block in net.backbone.blocks for name in block]
    own = {f"{name}.{kind}" for name in names for kind in ("weight", "bias")}
    # Not strict: a backbone may have further layers, which start from weights of their own.
    net.backbone.load_state_dict({key: state[key] for key in own}, strict=False)


def _read(path: Path, mean: Sequence[float]) -> dict[str, Tensor]:
    suffix = path.suffix.lower()
    if suffix in (".h5", ".hdf5"):
        try:
            h5py = importlib.import_module("h5py")
        except ImportError as error:
            raise UsageError("reading HDF5 files needs h5py: pip install h5py") from error
        with h5py.File(path, "r") as file:
            names: list[str] = []
            file.visit(names.append)
            nodes = {name: file[name] for name in names}
            arrays = {name: node for name, node in nodes.items() if hasattr(node, "dtype")}
            return _convert(path, arrays, mean)
    if suffix == ".npz":
        with np.load(path, allow_pickle=False) as arrays:
            return _convert(path, arrays, mean)
    if suffix == ".safetensors":
        return _convert(path, load_file(path), mean)
    state = torch.load(path, map_location="cpu", weights_only=True)
    if not isinstance(state, dict) or not all(isinstance(one, Tensor) for one in state.values()):
        raise FacedetError("holds something else than named tensors")
    return _convert(path, state, mean)


def _convert(path: Path, arrays: Mapping[str, Any], mean: Sequence[float]) -> dict[str, Tensor]:
    """The arrays of a file under our names and in our convention; says what it was."""
    is_torchvision = is_torchvision_vgg16(arrays)
    state = import_torchvision_vgg16(arrays, mean) if is_torchvision else import_caffe_vgg16(arrays)
    layout = "torchvision's VGG16 (scaled RGB)" if is_torchvision else "Caffe's VGG16 (BGR)"
    log.info("%s: %s; %d other arrays left out", path, layout, len(arrays) - len(state))
    return state
