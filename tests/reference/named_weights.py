"""Stand-ins for named weights: a file in the layout of the EXTD release, and a model card."""

import io
from itertools import product

import torch

from facedet.files import file_sha256
from facedet.weights.released_extd import rename_key

_KINDS = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")


def released_bytes(net):
    """What a .pth file of the release would hold for `net`, an EXTD-FPN with PReLU."""
    layers = [f"base.{index}.{part}" for index, part in product((0,), range(3))]
    layers += [f"base.{index}.conv.{part}" for index, part in product(range(1, 8), range(9))]
    layers += [f"upfeat.{index}.{part}" for index, part in product(range(5), range(3))]
    layers += [f"{kind}.{index}" for kind, index in product(("loc", "conf"), range(6))]
    own = net.state_dict()
    state = {}
    for layer, kind in product(layers, _KINDS):
        try:
            name = rename_key(f"{layer}.{kind}")
        except ValueError:
            continue
        if name in own:
            state[f"{layer}.{kind}"] = own[name]
    assert len(state) == len(own)
    stream = io.BytesIO()
    torch.save(state, stream)
    return stream.getvalue()


def write_card(path, head="", sha256=None):
    """A card NAME.md beside NAME.safetensors, with its SHA-256 and further lines of the head."""
    digest = sha256 or file_sha256(path.with_suffix(".safetensors"))
    text = f"---\nsha256: {digest}\n{head}---\n# {path.stem}\n\nMade by hand.\n"
    path.write_text(text, encoding="utf-8")
    return path
