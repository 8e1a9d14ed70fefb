"""Weights of a detector that finds the same face in every picture, and a small data set."""

import numpy as np
import torch
from PIL import Image

from facedet.config import build, compose, plain
from facedet.data.crowds.wider_writer import write_wider
from facedet.structures import Record
from facedet.weights.store import Weights, model_config, save_weights

# In a picture of up to 128 x 128 px: the one anchor of stride 128 has 512 px and its centre at 64.
BOX = [-192.0, -192.0, 320.0, 320.0]
# Logits 0 and 2: 1 / (1 + exp(-2)).
SCORE = 0.8808


def one_face_state(net):
    """The net's state with heads that see nothing but their biases."""
    state = {key: value.clone() for key, value in net.state_dict().items()}
    for key in state:
        if key.startswith("head."):
            state[key].zero_()
    for level in range(6):
        face = 2.0 if level == 5 else -9.0
        state[f"head.levels.{level}.score.bias"][-1] = face
    return state


def one_face_weights():
    """`Weights` of EXTD-SSD-32-ReLU with such heads."""
    torch.manual_seed(0)
    config = compose("train", ["preset=extd_ssd_32_relu", "data=crowds"])
    state = one_face_state(build(config.model.net))
    return Weights(state, model_config(plain(config)), {"source": "made by hand"})


def save_one_face(path):
    """Writes these weights as a file."""
    return save_weights(path, one_face_weights())


def save_picture(path, size=(64, 48), seed=0, **options):
    """Writes a picture of noise of (width, height) px in the format of its suffix."""
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)
    return path


def make_wider(root, split="val", images=4):
    """A data set in WIDER FACE's layout: pictures of 128 x 128 px, the one face right in each."""
    records = []
    for index in range(images):
        name = f"{index % 2}--Event/picture {index}"
        path = save_picture(root / f"WIDER_{split}" / "images" / f"{name}.jpg", (128, 128), index)
        boxes = np.array([BOX], dtype=np.float32)
        tags = {"subsets": np.ones((1, 3), dtype=bool)}
        records.append(Record(name, path, boxes, np.zeros(1, dtype=bool), tags))
    write_wider(root, split, records)
    return root
