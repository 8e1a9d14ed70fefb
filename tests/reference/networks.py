"""Networks as a training could leave them, and what they get."""

import torch
from torch import nn

from facedet.models.scalar_prelu import ScalarPReLU


def trained(net, seed=3):
    """The network in evaluation mode, its normalisations and slopes moved; the same every time."""
    generator = torch.Generator().manual_seed(seed)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor, low, high in (
                (module.weight.data, 0.5, 1.5),
                (module.bias.data, -0.3, 0.3),
                (module.running_mean, -0.5, 0.5),
                (module.running_var, 0.5, 2.0),
            ):
                tensor.uniform_(low, high, generator=generator)
        if isinstance(module, ScalarPReLU):
            # As released: below 0 and above 1 too.
            module.weight.data.uniform_(-0.72, 1.82, generator=generator)
    return net.eval()


def parameters(module):
    """How many numbers a module learns."""
    return sum(value.numel() for value in module.parameters())


def noise(*shape, seed=1):
    """Maps of normally distributed numbers."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def noisy_images(*shape, seed=0):
    """Images of any value, uint8."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)
