"""Initial weights of VGG16: ImageNet's, fetched once, or a file of torchvision's or Caffe's layout.

Our backbone reads RGB in 0 … 255 minus a mean, not scaled. Its layers have Caffe's names.
"""

import logging
import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor

from facedet.errors import FacedetError, UsageError, named_line
from facedet.files import expand_home, file_sha256
from facedet.models.backbones.vgg import Vgg16, vgg16_layers
from facedet.models.detector import Detector
from facedet.weights.caffe import read_caffemodel
from facedet.weights.fetching import require_file
from facedet.weights.store import HOLDS_CODE

# torchvision's VGG16, trained on ImageNet; 528 MB, most of it a classifier that is not read.
URL = "https://download.pytorch.org/models/vgg16-397923af.pth"
SHA256 = "397923af8e79cdbb6a7127f12361acd7a2f83e06b05044ddf496e83de57a5bf0"
# What torchvision's models are given: (RGB in 0 … 1, minus the mean) over the deviation.
_TORCHVISION_MEAN = (0.485, 0.456, 0.406)
_TORCHVISION_STD = (0.229, 0.224, 0.225)
_SHAPES = {
    f"{name}.{kind}": (width, channels, 3, 3) if kind == "weight" else (width,)
    for block in range(1, 6)
    for name, (channels, width) in vgg16_layers(block).items()
    for kind in ("weight", "bias")
}
log = logging.getLogger(__name__)


def read_backbone_weights(name: str, mean: Sequence[float], cache: Path) -> dict[str, Tensor]:
    """VGG16's weights for RGB pictures of 0 … 255 minus `mean`.

    Args:
        name: `imagenet`: torchvision's file, from `cache` or the network. Else a file:
            torchvision's layout in .pth or .safetensors; or a dump of the Caffe model (BGR) in
            .npz, .pth or .safetensors, or that model itself, .caffemodel. Only tensors are read,
            nothing in it is run.
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
        path = expand_home(name)
        if not path.is_file():
            raise FacedetError(
                f"backbone_weights={name}: no such file; expected imagenet or a file"
            )
    try:
        arrays = _read(path)
        if "features.0.weight" in arrays:
            layout, state = "torchvision's (scaled RGB)", import_torchvision_vgg16(arrays, mean)
        else:
            layout, state = "Caffe's (BGR)", import_caffe_vgg16(arrays)
    except FacedetError as error:
        raise FacedetError(f"{path}: {error}") from error
    except pickle.UnpicklingError as error:
        raise FacedetError(f"{path}: {HOLDS_CODE}") from error
    # On damaged files the readers raise almost anything.
    except Exception as error:
        raise FacedetError(f"{path}: not a readable weights file ({named_line(error)})") from error
    rest, digest = len(arrays) - len(state), file_sha256(path)
    log.info("%s: VGG16 like %s; %d other arrays left out; SHA-256 %s", path, layout, rest, digest)
    return state


def load_backbone(net: Detector, state: Mapping[str, Tensor], source: str) -> None:
    """Copies `state` of `read_backbone_weights` into a backbone that is or begins as VGG16.

    `source` says in messages where it comes from.

    Raises:
        UsageError: the backbone is another, narrower, or has normalisations.
    """
    if not isinstance(net.backbone, Vgg16):
        raise UsageError(
            f"backbone_weights={source}: are VGG16's, and the network's backbone is "
            f"{type(net.backbone).__name__}: add backbone=vgg16 or leave them out"
        )
    if not net.backbone.is_original:
        raise UsageError(
            f"backbone_weights={source}: are VGG16's own: set backbone.width_multiplier=1 and "
            "backbone.batch_norm=false, or leave them out (backbone_weights=null)"
        )
    names = [name for block in net.backbone.blocks for name in block]
    own = {f"{name}.{kind}" for name in names for kind in ("weight", "bias")}
    # Not strict: a backbone may have further layers, which start from weights of their own.
    net.backbone.load_state_dict({key: state[key] for key in own}, strict=False)
    # The weights are for pictures that are not scaled.
    net.backbone.conv1_1.weight.detach().mul_(net.std)  # type: ignore[operator,union-attr]


def _read(path: Path) -> Mapping[str, Any]:
    """The named arrays of a file."""
    suffix = path.suffix.lower()
    if suffix == ".npz":
        with np.load(path, allow_pickle=False) as file:
            return dict(file)
    if suffix == ".caffemodel":
        return read_caffemodel(path.read_bytes())
    if suffix == ".safetensors":
        return load_file(path)
    state = torch.load(path, map_location="cpu", weights_only=True)
    if not isinstance(state, dict) or not all(isinstance(one, Tensor) for one in state.values()):
        raise FacedetError("holds something else than named tensors")
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
        mean: as for `read_backbone_weights`, whose result and errors it has.
    """
    keys: dict[str, str] = {}
    position = 0
    for block in range(1, 6):
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
        arrays: "conv1_1.weight" and "conv1_1.bias", or Caffe's "conv1_1/0" and "conv1_1/1", and so
            on; others are left out.
    """
    numbered = {name.replace(".weight", "/0").replace(".bias", "/1"): name for name in _SHAPES}
    keys = {numbered.get(key, key): key for key in arrays}
    missing = [name for name in _SHAPES if name not in keys]
    if missing:
        raise FacedetError(
            f"no array for {missing[0]} of VGG16 ({len(missing)} of {len(_SHAPES)} are missing)"
        )
    result = {name: _checked(arrays, keys[name], shape) for name, shape in _SHAPES.items()}
    result["conv1_1.weight"] = result["conv1_1.weight"].flip(1)
    return result


def _checked(arrays: Mapping[str, Any], key: str, shape: tuple[int, ...]) -> Tensor:
    """One array as float32 of `shape`."""
    if key not in arrays:
        raise FacedetError(f"{key!r} is missing: no weights of VGG16 (without batch normalisation)")
    array = np.asarray(arrays[key])
    found = array.shape
    if len(shape) == 1:
        array = array.reshape(-1)  # a bias may be [1, 1, 1, C] in Caffe
    if array.shape != shape:
        raise FacedetError(f"{key!r} has shape {list(found)}, expected {list(shape)}")
    if not np.isfinite(array).all():
        raise FacedetError(f"{key!r} holds values that are not finite")
    return torch.from_numpy(array.astype(np.float32, order="C"))
