"""Imports the state dicts that the authors of EXTD released (github.com/clovaai/EXTD_Pytorch)."""

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from facedet.errors import FacedetError

# SHA-256 of the files in the authors' repository.
KNOWN_FILES = {
    "36a0e68ae5dda995b5efe9ab457ee0c5276ae09a8e93e3a25d20aeae2582d446": ("EXTD_32.pth", 32),
    "3f05368c0d39a55c637b2fa7ef06a8626efb11f9cba1c3da057c5dd4f32982e3": ("EXTD_48.pth", 48),
    "34f9b1eea0b9d477c8409ea236562662c29062553d6fd84a594530b087baefe2": ("EXTD_64.pth", 64),
}
# Positions inside an inverted residual, inside the entry block (which does not expand), and
# inside an up block, and what they are here.
_RESIDUAL = ("expand.conv", "expand.norm", "expand.act", "depthwise.conv", "depthwise.norm",
             "depthwise.act", "project.conv", "project.norm", "project.act")  # fmt: skip
_ENTRY = _RESIDUAL[3:]
_STEM = ("conv", "norm", "act")
_UP = ("depthwise", "pointwise.conv", "pointwise.norm")


def is_released_extd(state: Mapping[str, Tensor]) -> bool:
    """Whether the keys are those of a released EXTD state dict."""
    return "base.0.0.weight" in state and "conf.0.weight" in state


def released_width(state: Mapping[str, Tensor]) -> int:
    """Width (32, 48 or 64) of a released state dict."""
    return int(state["loc.0.weight"].shape[1])


def rename_key(key: str) -> str:
    """Our name of a released key; raises `FacedetError` for a key that no release has."""
    rules = (
        (r"base\.0\.(\d)\.(\w+)", lambda m: f"backbone.stem.{_STEM[int(m[1])]}.{m[2]}"),
        (r"base\.1\.conv\.(\d)\.(\w+)", lambda m: f"backbone.entry.{_ENTRY[int(m[1])]}.{m[2]}"),
        (
            r"base\.(\d)\.conv\.(\d)\.(\w+)",
            lambda m: f"backbone.shared.{int(m[1]) - 2}.{_RESIDUAL[int(m[2])]}.{m[3]}",
        ),
        (r"upfeat\.(\d)\.(\d)\.(\w+)", lambda m: f"neck.up.{m[1]}.{_UP[int(m[2])]}.{m[3]}"),
        (r"loc\.(\d)\.(\w+)", lambda m: f"head.levels.{m[1]}.box.{m[2]}"),
        (r"conf\.(\d)\.(\w+)", lambda m: f"head.levels.{m[1]}.score.{m[2]}"),
    )
    for pattern, name in rules:
        match = re.fullmatch(pattern, key)
        if match:
            try:
                return name(match)
            except IndexError:
                break
    raise FacedetError(f"key {key!r} belongs to no released EXTD model")


def import_released_extd(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A released state dict under our names, for a `Detector` with neck `top_down` and PReLU."""
    return {rename_key(key): torch.as_tensor(value) for key, value in state.items()}


def released_config(width: int) -> dict[str, Any]:
    """What `preset=extd_fpn` with PReLU makes of `width`, as a weights file carries it.

    Written out: composing it would need Hydra, whose state belongs to the whole process.
    """
    models = "facedet.models"
    backbone = {
        "_target_": f"{models}.backbones.iterative.IterativeBackbone",
        "width": width,
        "passes": 6,
        "activation": "prelu",
        "blocks": None,
        "project_activation": None,
    }
    anchors = {"_target_": f"{models}.anchors.AnchorGenerator", "_partial_": True, "scale": 4.0}
    head = {"_target_": f"{models}.heads.multibox.MultiBoxHead", "_partial_": True, "max_out": 3}
    return {
        "net": {
            "_target_": f"{models}.detector.Detector",
            "backbone": backbone,
            "neck": {"_target_": f"{models}.necks.top_down.TopDown", "_partial_": True},
            "anchors": anchors,
            "head": head,
            "mean": [123.0, 117.0, 104.0],
            "std": [1.0, 1.0, 1.0],
            "multiple": 1,
        },
        "box_coder": {
            "_target_": "facedet.box_coder.SsdBoxCoder",
            "centre_variance": 0.1,
            "size_variance": 0.2,
        },
        "inference": {
            "_target_": "facedet.inference.scales.FixedScales",
            "scales": [1.0],
            "flip": False,
        },
    }
