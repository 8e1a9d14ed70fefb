"""A narrower network's weights as the start of a wider one."""

import torch
from torch import Tensor, nn

from facedet.errors import FacedetError
from facedet.weights.store import Weights, build_net

# Of the deviation of a layer's weights: enough that copies learn different things.
_NOISE = 0.5
# Largest difference of the logits that rounding makes.
_TOLERANCE = 1e-2


def widen(weights: Weights, net: nn.Module, source: str, seed: int = 0) -> dict[str, Tensor]:
    """Weights for `net`, with which it computes what the narrower network of `weights` does.

    That is Net2Net's wider student (arXiv 1511.05641). Channel c of the wide network is a copy of
    channel c mod n of the narrow one, which has n; what reads the copies divides its weights among
    them. Noise of opposite sign on two copies keeps their sum and lets them learn different things.

    Args:
        weights: of the narrower network.
        net: the wider one: the same layers, more channels.
        source: where `weights` come from, for messages.
        seed: of the noise.

    Raises:
        FacedetError: the layers are others, or copied channels change the outputs, as where a
            layer normalises or concatenates over channels.
    """
    narrow, generator = build_net(weights, source), torch.Generator().manual_seed(seed)
    own, wide = narrow.state_dict(), net.state_dict()
    if own.keys() != wide.keys():
        raise FacedetError(f"{source}: widen=true needs a network of the same layers")
    state = {key: _widened(own[key], value.shape, generator) for key, value in wide.items()}
    _check_equal(narrow, net, state, source)
    return state


def _widened(value: Tensor, shape: torch.Size, generator: torch.Generator) -> Tensor:
    """One layer's parameter or statistic, copied to `shape` over its first two dimensions."""
    if value.dim() and value.shape[0] < shape[0]:
        value = value[torch.arange(shape[0]) % value.shape[0]]
    if value.dim() < 2 or value.shape[1] >= shape[1]:
        return value.clone()
    narrow = value.shape[1]
    origin = torch.arange(shape[1]) % narrow
    copies = torch.bincount(origin, minlength=narrow)[origin]
    noise = torch.randn(value[:, origin].shape, generator=generator) * value.std() * _NOISE
    # Pairs of copies: the second has the first one's noise with the other sign.
    turn = torch.arange(shape[1]) // narrow
    paired = (turn % 2 == 1) | (turn + 1 < copies)
    for index in torch.nonzero(turn % 2 == 1).flatten():
        noise[:, index] = -noise[:, index - narrow]
    keep = paired.view(1, -1, *[1] * (value.dim() - 2))
    return value[:, origin] / copies.view_as(keep) + noise * keep


def _check_equal(narrow: nn.Module, net: nn.Module, state: dict[str, Tensor], source: str) -> None:
    """Compares both networks on one picture of noise; leaves `net` with the new weights."""
    try:
        net.load_state_dict(state)
    except RuntimeError as error:
        raise FacedetError(
            f"{source}: widen=true needs a wider network of the same kind"
        ) from error
    generator = torch.Generator().manual_seed(0)
    picture = torch.randint(0, 256, (1, 3, 96, 128), dtype=torch.uint8, generator=generator)
    training = net.training
    with torch.inference_mode():
        before, after = narrow(picture), net.eval()(picture)
    net.train(training)
    for one, other in ((before.logits, after.logits), (before.deltas, after.deltas)):
        if one.shape != other.shape or not (one - other).abs().max() <= _TOLERANCE:
            raise FacedetError(f"{source}: copies of channels change what this network computes")
