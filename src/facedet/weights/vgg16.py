"""Imports weights of VGG16's convolutions: torchvision's state dict and dumps of the Caffe model.

Our backbone reads RGB in 0 … 255 minus a mean, not scaled. Its layers have Caffe's names.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from facedet.errors import FacedetError
from facedet.models.backbones.vgg import vgg16_layers

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


def is_torchvision_vgg16(names: Iterable[str]) -> bool:
    """Whether the names are those of torchvision's VGG16."""
    return "features.0.weight" in names


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
            raise FacedetError(f"{keys[name]!r} and {key!r} both look like {name} of VGG16")
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
        raise FacedetError(f"{key!r} holds {array.dtype}, numbers with a fraction are wanted")
    if len(shape) == 1:
        array = array.reshape(-1)  # a bias may be [1, 1, 1, C] in Caffe
    elif found == (3, 3, shape[1], shape[0]):
        array = array.transpose(3, 2, 0, 1)
    if array.shape != shape:
        raise FacedetError(f"{key!r} has shape {list(found)}, VGG16 wants {list(shape)}")
    if not np.isfinite(array).all():
        raise FacedetError(f"{key!r} holds values that are no finite numbers")
    return torch.from_numpy(array.astype(np.float32, order="C"))
