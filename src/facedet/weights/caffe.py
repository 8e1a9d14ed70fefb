"""Caffe's model files, and what SmallHardFace's authors released in one (arXiv 1811.11662)."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from facedet.errors import FacedetError
from facedet.models.backbones.vgg import vgg16_layers

# Fields of protobuf messages. NetParameter: its layers, and (name, blobs) of each; before 2014 the
# layers were other messages. BlobProto: data, shape (whose one field is the sizes), or num,
# channels, height and width.
_LAYERS = {100: (1, 7), 2: (4, 6)}
_DATA, _SHAPE, _OLD_SHAPE = 5, 7, (1, 2, 3, 4)

_NECK = ("conv5_256", "conv4_256", "conv4_fuse_final", "conv4_fuse_final_dim_red")
# Our layers to the release's. head_1, head_2 and head_4 have the same blobs.
_SMALLHARDFACE = {
    **{f"backbone.{name}": name for block in range(1, 6) for name in vgg16_layers(block)},
    **{f"neck.{name}": name for name in _NECK},
    "head.levels.0.shared": "head_1",
    **{f"head.levels.0.score.{k}": f"cls_score_{2**k}" for k in range(3)},
    **{f"head.levels.0.box.{k}": f"bbox_pred_{2**k}" for k in range(3)},
}


def read_caffemodel(data: bytes) -> dict[str, np.ndarray]:
    """The arrays of a .caffemodel: "conv1_1/0" is the weight of a layer, "conv1_1/1" its bias.

    Raises:
        ValueError: the bytes are cut off, or are no such file.
    """
    arrays: dict[str, np.ndarray] = {}
    for field, layer in _fields(memoryview(data)):
        if field not in _LAYERS:
            continue
        name_field, blob_field = _LAYERS[field]
        parts = list(_fields(layer))
        name = next((str(value, "utf-8") for key, value in parts if key == name_field), "")
        blobs = [value for key, value in parts if key == blob_field]
        arrays |= {f"{name}/{place}": _array(blob) for place, blob in enumerate(blobs)}
    return arrays


def _array(blob: memoryview) -> np.ndarray:
    """A BlobProto as float32 array."""
    fields = list(_fields(blob))
    values = b"".join(value for key, value in fields if key == _DATA)
    shape = [size for key, value in fields if key == _SHAPE for size in _sizes(value)]
    old = {key: value for key, value in fields if key in _OLD_SHAPE}
    return np.frombuffer(values, "<f4").reshape(shape or [old.get(key, 1) for key in _OLD_SHAPE])


def _sizes(shape: memoryview) -> Iterator[int]:
    for _, value in _fields(shape):
        place = 0
        while place < len(value):
            size, place = _varint(value, place)
            yield size


def _fields(message: memoryview) -> Iterator[tuple[int, Any]]:
    """Number and value of a message's fields: an int, or the bytes of everything else."""
    place = 0
    while place < len(message):
        key, place = _varint(message, place)
        kind = key & 7
        if kind == 0:
            value, place = _varint(message, place)
            yield key >> 3, value
            continue
        if kind == 2:
            size, place = _varint(message, place)
        else:
            size = {1: 8, 5: 4}.get(kind, len(message))
        if place + size > len(message):
            raise ValueError(f"field {key >> 3} of {size} bytes is cut off")
        yield key >> 3, message[place : place + size]
        place += size


def _varint(message: memoryview, place: int) -> tuple[int, int]:
    """A number of seven bits a byte, the lowest first, and the place behind it."""
    value = shift = 0
    while place < len(message):
        byte = message[place]
        value |= (byte & 127) << shift
        place, shift = place + 1, shift + 7
        if byte < 128:
            return value, place
    raise ValueError("a number is cut off")


def import_smallhardface(arrays: Mapping[str, np.ndarray]) -> dict[str, Tensor]:
    """Arrays of the released model with the dilated head under our names, for RGB pictures.

    Raises:
        FacedetError: a layer is missing.
    """
    state = {}
    for ours, name in _SMALLHARDFACE.items():
        for place, kind in enumerate(("weight", "bias")):
            if f"{name}/{place}" not in arrays:
                raise FacedetError(f"has no {kind} of {name}: no SmallHardFace with dilated head")
            value = torch.from_numpy(arrays[f"{name}/{place}"].copy())
            state[f"{ours}.{kind}"] = value if kind == "weight" else value.flatten()
    first = "backbone.conv1_1.weight"
    return state | {first: state[first].flip(1)}  # from BGR


def smallhardface_config() -> dict[str, Any]:
    """What `preset=smallhardface` makes, as a weights file carries it; written without Hydra."""

    def part(target: str, **arguments: Any) -> dict[str, Any]:  # noqa: ANN401
        return {"_target_": f"facedet.models.{target}", "_partial_": True, **arguments}

    return {
        "net": {
            "_target_": "facedet.models.detector.Detector",
            "backbone": {"_target_": "facedet.models.backbones.vgg.Vgg16"},
            "neck": part("necks.fuse.Fuse"),
            "anchors": part("anchors.ThreeScaleAnchors"),
            "head": part("heads.dilated.DilatedHead"),
            "mean": [122.7717, 115.9465, 102.9801],
            "multiple": 16,
        },
        "box_coder": {"_target_": "facedet.box_coder.FasterRcnnBoxCoder"},
        "inference": {"_target_": "facedet.inference.scales.ShortSides", "flip": False},
    }
