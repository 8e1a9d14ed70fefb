"""Counting parameters and multiply-adds, on networks small enough for a pencil."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from facedet.profiling.cost import Cost, measure_cost


def convolution(*arguments, **options):
    return nn.Conv2d(*arguments, bias=False, **options)


def walked(net):
    """The network, announcing that EXTD's paper counts it."""
    net.counted_by_walk = True
    return net


def test_one_convolution():
    # 8 * 3 * 9 weights at 5 x 5 places.
    net = convolution(3, 8, kernel_size=3, stride=2, padding=1)
    assert measure_cost(net, (10, 10)) == Cost(216, 5_400, None)
    assert measure_cost(walked(net), (10, 10)) == Cost(216, 5_400, 5_400)


def test_a_part_announces_the_papers_count():
    parts = [convolution(3, 8, kernel_size=1), convolution(8, 2, kernel_size=1)]
    # 24 and 16 weights at 4 places.
    assert measure_cost(nn.Sequential(*parts), (2, 2)) == Cost(40, 160, None)
    walked(parts[0])
    assert measure_cost(nn.Sequential(*parts), (2, 2)) == Cost(40, 160, 160)


def test_height_comes_first_and_sizes_are_rounded_up():
    # 9 x 20 at stride 2: 5 x 10 places, one after another stride 2: 3 x 5.
    net = nn.Sequential(
        convolution(3, 1, kernel_size=1, stride=2), convolution(1, 2, kernel_size=1, stride=2)
    )
    # 3 * 50 + 2 * 15
    assert measure_cost(walked(net), (9, 20)) == Cost(5, 180, 180)


def test_depthwise_convolutions_and_what_is_left_out():
    # Biases, normalisation and activations are parameters, not multiply-adds: 3 * 9 * 16.
    net = nn.Sequential(
        nn.Conv2d(3, 3, 3, padding=1, groups=3), nn.BatchNorm2d(3), nn.PReLU(), nn.Upsample((8, 8))
    )
    assert measure_cost(walked(net), (4, 4)) == Cost(27 + 3 + 6 + 1, 432, 432)


class Twice(nn.Module):
    """One halving convolution, used twice."""

    def __init__(self):
        super().__init__()
        self.shared = convolution(3, 3, kernel_size=1, stride=2)

    def forward(self, x):
        return self.shared(self.shared(x))


def test_a_shared_convolution_counts_every_use_or_once():
    # 9 weights at 16 and then 4 places; the paper's count sees the first only.
    assert measure_cost(walked(Twice()), (8, 8)) == Cost(9, 9 * 20, 9 * 16)


def test_frozen_parameters_are_counted_and_buffers_are_not():
    net = convolution(3, 8, kernel_size=1)
    net.requires_grad_(False)
    net.register_buffer("kernel", torch.zeros(4, 4))
    assert measure_cost(net, (2, 2)) == Cost(24, 96, None)


def test_a_convolution_whose_weights_are_used_apart_counts_every_use():
    class Dilated(nn.Module):
        def __init__(self):
            super().__init__()
            self.shared = convolution(3, 2, kernel_size=3)

        def forward(self, x):
            weight = self.shared.weight
            return [F.conv2d(x, weight, padding=d, dilation=d) for d in (1, 2, 4)]

    # 54 weights at 16 places, three times.
    assert measure_cost(Dilated(), (4, 4)) == Cost(54, 2_592, None)


def test_the_network_stays_as_it_is():
    net = nn.Sequential(convolution(3, 8, kernel_size=1), nn.BatchNorm2d(8), nn.Dropout())
    net.train()
    # A frozen normalisation must not wake up.
    net[1].eval()
    before = net[1].running_mean.clone()
    measure_cost(net, (4, 4))
    assert [module.training for module in net] == [True, False, True]
    assert torch.equal(net[1].running_mean, before)
    assert net[0].weight.device.type == "cpu"


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_the_device_does_not_matter(device):
    net = convolution(3, 8, kernel_size=1).to(device)
    assert measure_cost(net, (2, 2)).madds == 96
