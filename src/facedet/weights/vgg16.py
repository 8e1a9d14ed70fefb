"""Initial weights of VGG16: ImageNet's, fetched once, or a file of torchvision's or Caffe's layout.

Our backbone reads RGB in 0 … 255 minus a mean, not scaled. Its layers have Caffe's names.
"""

import importlib
import logging
import pickle
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor

from facedet.errors import FacedetError, UsageError
from facedet.models.backbones.vgg import Vgg16, vgg16_layers
from facedet.models.detector import Detector
from facedet.weights.fetching import require_file
from facedet.weights.store import file_sha256

# torchvision's VGG16, trained on ImageNet; 528 MB, most of it a classifier that is not read.
URL = "https://download.pytorch.org/models/vgg16-397923af.pth"
SHA256 = "397923af8e79cdbb6a7127f12361acd7a2f83e06b05044ddf496e83de57a5bf0"
# What torchvision's models are given: (RGB in 0 … 1, minus the mean) over the deviation.
_TORCHVISION_MEAN = (0.485, 0.456, 0.406)
_TORCHVISION_STD = (0.229, 0.224, 0.225)
_BLOCKS = range(1, 6)
_SHAPES = {
    f"{name}.{kind}": (width, channels, 3, 3) if kind == "weight" else (width,)
    for block in _BLOCKS
    for name, (channels, width) in vgg16_layers(block).items()
    for kind in ("weight", "bias")
}
# Names of a layer and of its two arrays in dumps: conv1_1.weight, conv1_1/weights, conv1_1_W,
# block1_conv1/block1_conv1_W_1:0, and conv1_1/0 for Caffe's numbered blobs.
_BY_NAME = re.compile(
    r"(?:.*[/.])?(?P<layer>(?:conv|block)(?P<block>\d)_(?:conv)?(?P<k>\d))(?:/(?P=layer))?"
    r"(?:[/._](?P<kind>weights?|kernel|W|w|bias(?:es)?|B|b)|[/.](?:vars/)?(?P<number>[01]))"
    r"(?:_\d+)?(?::\d+)?"
)
# Keras counts the layers inside each block from 0 on and leaves that 0 out.
_BY_POSITION = re.compile(
    r"(?:.*/)?block(?P<block>\d)/layers/conv2d(?:_(?P<k>\d))?/vars/(?P<number>[01])"
)

log = logging.getLogger(__name__)


def read_backbone_weights(name: str, mean: Sequence[float], cache: Path) -> dict[str, Tensor]:
    """VGG16's weights for RGB pictures of 0 … 255 minus `mean`.

    Args:
        name: `imagenet`: torchvision's file, from `cache` or the network. Else a file:
            torchvision's layout in .pth or .safetensors; or a dump of the Caffe model (BGR) in
            .npz, .h5, .pth or .safetensors. Only tensors are read, nothing in it is run.
        mean: RGB in 0 … 255 that the detector subtracts.
        cache: folder of files fetched once.

    Returns:
        "conv1_1.weight" … "conv5_3.bias", float32.

    Raises:
        FacedetError: the file is missing, damaged or something else, or cannot be fetched.
    """
    if name == "imagenet":
        path = cache / Path(URL).name
        require_file(path, URL, SHA256, f"remove it, or give backbone_weights={path}")
    else:
        path = Path(name).expanduser()
        if not path.is_file():
            raise FacedetError(
                f"backbone_weights={name}: no such file; expected imagenet or a file"
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
    if name != "imagenet":
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
            f"is {net.std.flatten().tolist()}: expected [1, 1, 1]"
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
    is_torchvision = "features.0.weight" in arrays
    state = import_torchvision_vgg16(arrays, mean) if is_torchvision else import_caffe_vgg16(arrays)
    layout = "torchvision's VGG16 (scaled RGB)" if is_torchvision else "Caffe's VGG16 (BGR)"
    log.info("%s: %s; %d other arrays left out", path, layout, len(arrays) - len(state))
    return state


def import_torchvision_vgg16(
    state: Mapping[str, Tensor], mean: Sequence[float]
) -> dict[str, Tensor]:
    """Weights that were trained on scaled pictures, for pictures of 0 … 255 minus `mean`.

    Scale and mean go into conv1_1. Features are the same, to rounding, where no padding is in
    sight. Padding stands for pixels of torchvision's mean there, (123.7, 116.3, 103.5), and of
    `mean` here: with SmallHardFace's mean they differ by less than 1.

    Args:
        state: torchvision's state dict; what does not belong to a convolution is left out.
        mean: RGB in 0 … 255 that the detector subtracts.

    Returns:
        "conv1_1.weight" … "conv5_3.bias", float32.

    Raises:
        FacedetError: a key is missing or of another shape.
    """
    keys: dict[str, str] = {}
    position = 0
    for block in _BLOCKS:
        for name in vgg16_layers(block):
            keys |= {f"{name}.{kind}": f"features.{position}.{kind}" for kind in ("weight", "bias")}
            position += 2  # the ReLU counts
        position += 1  # and so does the pooling
    result = {name: _checked(state, key, _SHAPES[name]) for name, key in keys.items()}
    # (pixel / 255 - m) / s = (y + mean - 255 m) / (255 s), y being what the detector sees.
    scale = 1 / (255 * torch.tensor(_TORCHVISION_STD).double())
    shift = torch.tensor(mean).double() - 255 * torch.tensor(_TORCHVISION_MEAN).double()
    weight = result["conv1_1.weight"].double() * scale.view(1, 3, 1, 1)
    added = (weight * shift.view(1, 3, 1, 1)).sum(dim=(1, 2, 3))
    result["conv1_1.bias"] = (result["conv1_1.bias"] + added).float()
    result["conv1_1.weight"] = weight.float()
    return result


def import_caffe_vgg16(arrays: Mapping[str, Any]) -> dict[str, Tensor]:
    """Weights for BGR pictures of 0 … 255 minus a mean, for RGB ones.

    The mean is not touched: SmallHardFace's release likewise gives such weights the pictures minus
    a mean of its own.

    Args:
        arrays: name to array; [out, in, 3, 3] as in Caffe or [3, 3, in, out] as in Keras. Arrays
            of other layers are not read.

    Returns:
        "conv1_1.weight" … "conv5_3.bias", float32.

    Raises:
        FacedetError: an array is missing, there twice or of another shape.
    """
    keys = caffe_keys(arrays)
    missing = [name for name in _SHAPES if name not in keys]
    if missing:
        raise FacedetError(
            f"no array for {missing[0]} of VGG16 ({len(missing)} of {len(_SHAPES)} are missing)"
        )
    result = {name: _checked(arrays, keys[name], shape) for name, shape in _SHAPES.items()}
    result["conv1_1.weight"] = result["conv1_1.weight"].flip(1)
    return result


def caffe_keys(names: Iterable[str]) -> dict[str, str]:
    """Our names of the layers' arrays to the names in a dump.

    Raises:
        FacedetError: two names mean the same array.
    """
    keys: dict[str, str] = {}
    for key in names:
        match = _BY_NAME.fullmatch(key) or _BY_POSITION.fullmatch(key)
        if match is None:
            continue
        parts = match.groupdict()
        k = int(parts["k"] or 0) + (match.re is _BY_POSITION)
        is_weight = parts["number"] == "0" or (parts.get("kind") or "b")[0] in "wWk"
        name = f"conv{parts['block']}_{k}.{'weight' if is_weight else 'bias'}"
        if name in _SHAPES and name in keys:
            raise FacedetError(f"{keys[name]!r} and {key!r} could both be {name} of VGG16")
        if name in _SHAPES:
            keys[name] = key
    return keys


def _checked(arrays: Mapping[str, Any], key: str, shape: tuple[int, ...]) -> Tensor:
    """One array as float32 of `shape`, moved from Keras' layout where it is in that."""
    if key not in arrays:
        raise FacedetError(f"{key!r} is missing: no weights of VGG16 (without batch normalisation)")
    array = np.asarray(arrays[key])
    found = array.shape
    if array.dtype.kind != "f":
        raise FacedetError(f"{key!r} holds {array.dtype}, expected floating point numbers")
    if len(shape) == 1:
        array = array.reshape(-1)  # a bias may be [1, 1, 1, C] in Caffe
    elif found == (3, 3, shape[1], shape[0]):
        array = array.transpose(3, 2, 0, 1)
    if array.shape != shape:
        raise FacedetError(f"{key!r} has shape {list(found)}, expected {list(shape)}")
    if not np.isfinite(array).all():
        raise FacedetError(f"{key!r} holds values that are not finite")
    return torch.from_numpy(array.astype(np.float32, order="C"))
