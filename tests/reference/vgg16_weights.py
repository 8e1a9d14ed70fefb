"""Random weights of VGG16's convolutions in other programs' layouts, and its maps by hand."""

import torch
import torch.nn.functional as F

NAMES = [
    f"conv{block}_{k}"
    for block, count in enumerate((2, 2, 3, 3, 3), start=1)
    for k in range(1, count + 1)
]
CHANNELS = [3, 64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512]
# Places of the convolutions in torchvision's list: a ReLU after each, a pooling after each block.
PLACES = [0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28]


def random_layers(seed=0):
    """Name to (weight [out, in, 3, 3], bias [out]), of a size that keeps features near 1."""
    generator = torch.Generator().manual_seed(seed)
    layers = {}
    for place, name in enumerate(NAMES):
        channels, width = CHANNELS[place : place + 2]
        weight = torch.empty(width, channels, 3, 3)
        weight.normal_(std=(2 / (9 * channels)) ** 0.5, generator=generator)
        layers[name] = weight, torch.empty(width).uniform_(-0.5, 0.5, generator=generator)
    return layers


def torchvision_state(layers):
    """The layers under torchvision's keys, with a classifier that nobody wants."""
    state = {}
    for place, name in zip(PLACES, NAMES, strict=True):
        state[f"features.{place}.weight"], state[f"features.{place}.bias"] = layers[name]
    return state | {"classifier.0.weight": torch.zeros(2, 2), "classifier.0.bias": torch.zeros(2)}


def maps_by_hand(layers, images, around=None):
    """conv4_3 and conv5_3 by plain operations.

    Args:
        layers: as of `random_layers`.
        images: [B, 3, H, W], as the layers want them.
        around: [3] values that surround the images; None: zeros, as in every other layer.
    """
    x, maps = images, []
    for name, (weight, bias) in layers.items():
        if name == "conv1_1" and around is not None:
            frame = around.reshape(1, 3, 1, 1).repeat(len(x), 1, x.shape[2] + 2, x.shape[3] + 2)
            frame[..., 1:-1, 1:-1] = x
            x = F.relu(F.conv2d(frame, weight, bias))
            continue
        if name.endswith("_1") and name != "conv1_1":
            x = F.max_pool2d(x, 2)
        x = F.relu(F.conv2d(x, weight, bias, padding=1))
        if name in ("conv4_3", "conv5_3"):
            maps.append(x)
    return maps
