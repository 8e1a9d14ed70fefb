"""Imports the state dicts that the authors of EXTD released (github.com/clovaai/EXTD_Pytorch)."""

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

# SHA-256 of the files in the authors' repository.
RELEASED = {
    "EXTD_32.pth": "36a0e68ae5dda995b5efe9ab457ee0c5276ae09a8e93e3a25d20aeae2582d446",
    "EXTD_48.pth": "3f05368c0d39a55c637b2fa7ef06a8626efb11f9cba1c3da057c5dd4f32982e3",
    "EXTD_64.pth": "34f9b1eea0b9d477c8409ea236562662c29062553d6fd84a594530b087baefe2",
}
# Positions inside an inverted residual (the entry block does not expand), the stem and an up block.
_RESIDUAL = ("expand.conv", "expand.norm", "expand.act", "depthwise.conv", "depthwise.norm",
             "depthwise.act", "project.conv", "project.norm", "project.act")  # fmt: skip
_STEM = ("conv", "norm", "act")
_UP = ("depthwise", "pointwise.conv", "pointwise.norm")
_RULES = {
    r"base\.0\.([0-2])\.(\w+)": lambda m: f"backbone.stem.{_STEM[int(m[1])]}.{m[2]}",
    r"base\.1\.conv\.([0-5])\.(\w+)": lambda m: f"backbone.entry.{_RESIDUAL[int(m[1]) + 3]}.{m[2]}",
    r"base\.([2-7])\.conv\.([0-8])\.(\w+)": lambda m: (
        f"backbone.shared.{int(m[1]) - 2}.{_RESIDUAL[int(m[2])]}.{m[3]}"
    ),
    r"upfeat\.(\d)\.([0-2])\.(\w+)": lambda m: f"neck.up.{m[1]}.{_UP[int(m[2])]}.{m[3]}",
    r"loc\.(\d)\.(\w+)": lambda m: f"head.levels.{m[1]}.box.{m[2]}",
    r"conf\.(\d)\.(\w+)": lambda m: f"head.levels.{m[1]}.score.{m[2]}",
}


def is_released_extd(state: Mapping[str, Tensor]) -> bool:
    """Whether the keys are those of a released EXTD state dict."""
    return "base.0.0.weight" in state and "conf.0.weight" in state


def rename_key(key: str) -> str:
    """Our name of a released key; raises `ValueError` for a key that no release has."""
    for pattern, name in _RULES.items():
        if match := re.fullmatch(pattern, key):
            return name(match)
    raise ValueError(f"key {key!r} belongs to no released EXTD model")


def import_released_extd(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A released state dict under our names, for a `Detector` with neck `top_down` and PReLU."""
    return {rename_key(key): torch.as_tensor(value) for key, value in state.items()}


def released_config(state: Mapping[str, Tensor]) -> dict[str, Any]:
    """What `preset=extd_fpn` with PReLU makes of a released width, as a weights file carries it.

    Written out: composing it would need Hydra, whose state belongs to the whole process.
    """

    def node(target: str, **arguments: Any) -> dict[str, Any]:  # noqa: ANN401
        return {"_target_": f"facedet.{target}", **arguments}

    width = int(state["loc.0.weight"].shape[1])
    backbone = node(
        "models.backbones.iterative.IterativeBackbone", width=width, passes=6, activation="prelu"
    )
    net = node(
        "models.detector.Detector",
        backbone=backbone,
        neck=node("models.necks.top_down.TopDown", _partial_=True),
        anchors=node("models.anchors.AnchorGenerator", _partial_=True, scale=4.0),
        head=node("models.heads.multibox.MultiBoxHead", _partial_=True, max_out=3),
        mean=[123.0, 117.0, 104.0],
        std=[1.0, 1.0, 1.0],
    )
    return {
        "net": net,
        "box_coder": node("box_coder.SsdBoxCoder", centre_variance=0.1, size_variance=0.2),
        "inference": node("inference.scales.FixedScales", scales=[1.0], flip=False),
    }
