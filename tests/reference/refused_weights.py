"""What is to be refused, weights files above all, and the refusal."""

import json
import os

import pytest
import torch
from safetensors.torch import save_file

from facedet.errors import FacedetError
from facedet.weights.store import FORMAT, build_coder, build_net, read_weights


def build_all(path):
    weights = read_weights(path)
    build_coder(weights, path)
    build_net(weights, path)


def complaint(action, *arguments, kind=FacedetError, words=()):
    """The one line with which an action is refused; it holds the words."""
    with pytest.raises(kind) as caught:
        action(*arguments)
    text = str(caught.value)
    assert "\n" not in text
    for word in words:
        assert str(word) in text, text
    return text


class Payload:
    """Makes a folder when it is unpickled."""

    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return os.mkdir, (str(self.target),)


def refused(path, *words):
    complaint(build_all, path, words=(path, *words))


def forged(tmp_path, config, info="{}", state=None, marker=FORMAT):
    """A safetensors file with this header."""
    path = tmp_path / "forged.safetensors"
    metadata = {"format": marker, "config": json.dumps(config), "info": info}
    save_file(state or {"a": torch.zeros(1)}, path, metadata)
    return path
