"""Weights files that are to be refused, and the refusal."""

import json

import pytest
import torch
from safetensors.torch import save_file

from facedet.errors import FacedetError
from facedet.weights.store import FORMAT, build_coder, build_net, read_weights


def build_all(path):
    weights = read_weights(path)
    build_coder(weights, path)
    build_net(weights, path)


def refused(path, *words):
    with pytest.raises(FacedetError) as caught:
        build_all(path)
    text = str(caught.value)
    assert "\n" not in text
    for word in (path, *words):
        assert str(word) in text, text


def forged(tmp_path, config, info="{}", state=None, marker=FORMAT):
    """A safetensors file with this header."""
    path = tmp_path / "forged.safetensors"
    metadata = {"format": marker, "config": json.dumps(config), "info": info}
    save_file(state or {"a": torch.zeros(1)}, path, metadata)
    return path
