"""The mean of several weights of one network."""

from collections.abc import Mapping, Sequence

import torch
from torch import nn

from facedet.config import describe, differences, flat_with_classes
from facedet.errors import FacedetError
from facedet.weights.store import Weights, build_coder, build_net, load_state, read_weights
from facedet.weights.trusted import build_untrusted


def average(sources: Sequence[str]) -> tuple[Weights, nn.Module]:
    """The mean of weights, each as for `read_weights`, and the first one's network.

    Raises:
        FacedetError: a file cannot be read, or they are weights of different networks.
    """
    read = [read_weights(source) for source in sources]
    first, net = read[0], build_net(read[0], sources[0])
    for other, source in zip(read[1:], sources[1:], strict=True):
        load_state(net, other.state, source)  # refuses those of another shape
        if source != sources[0]:  # one given twice counts twice
            _require_same_network({sources[0]: first, source: other})
    state = {
        key: torch.stack([one.state[key].double() for one in read]).mean(dim=0).to(value.dtype)
        for key, value in first.state.items()
    }
    parts = ", ".join(one.info["sha256"][:12] for one in read)
    return Weights(state, first.config, first.info | {"source": f"mean of {parts}"}), net


def _require_same_network(both: Mapping[str, Weights]) -> None:
    """Raises `FacedetError` where two networks answer differently with the same weights.

    Their configs may differ: in what only a training needs, or in keys that older files lack.
    """
    coders = [build_coder(one, name) for name, one in both.items()]
    nets = [build_untrusted(one.config["net"], name).eval() for name, one in both.items()]
    load_state(nets[-1], nets[0].state_dict(), list(both)[-1])
    picture = torch.randint(256, (1, 3, 97, 130))  # no multiple of a stride
    with torch.no_grad():
        answers = zip(*(net(picture)[:3] for net in nets), strict=True)
        if coders[0] == coders[-1] and all(torch.equal(*pair) for pair in answers):
            return
    flat = {
        name: flat_with_classes({**one.config["net"], "box_coder": one.config["box_coder"]})
        for name, one in both.items()
    }
    absent = dict.fromkeys(key for one in flat.values() for key in one)
    differing = differences({name: absent | one for name, one in flat.items()})
    raise FacedetError(f"these are weights of different networks: {describe(differing)}")
