"""Detectors to export: one whose findings depend on the picture, with slopes of every kind."""

import pytest
import torch
from torch import nn

from facedet.config import build, compose, plain
from facedet.models.scalar_prelu import ScalarPReLU
from facedet.weights.store import Weights, model_config, save_weights


@pytest.fixture(scope="session")
def seeing(tmp_path_factory):
    """Random EXTD-FPN-32 whose slopes run, as released ones, from below 0 to above 1."""
    torch.manual_seed(1)
    config = compose("train", ["preset=extd_fpn_32_prelu", "data=crowds"])
    net = build(config.model.net)
    slopes = [one for one in net.modules() if isinstance(one, ScalarPReLU)]
    for place, module in enumerate(slopes):
        nn.init.constant_(module.weight, -0.72 + 2.54 * place / (len(slopes) - 1))
    for parameter in net.head.parameters():
        nn.init.normal_(parameter, std=0.05)
    path = tmp_path_factory.mktemp("seeing") / "seeing.safetensors"
    return save_weights(path, Weights(net.state_dict(), model_config(plain(config)), {}))
