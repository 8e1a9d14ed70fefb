"""EXTD's backbone: its blocks, its sizes, and the one set of weights for all passes."""

import math

import pytest
import torch
from torch import nn

from facedet.errors import UsageError
from facedet.models.backbones.iterative import IterativeBackbone
from facedet.models.scalar_prelu import ScalarPReLU
from reference.networks import parameters


# EXTD §2.6: backbone without neck and heads, PReLU.
@pytest.mark.parametrize(("width", "expected"), [(32, 45_077), (48, 69_546), (64, 116_426)])
def test_parameters(width, expected):
    assert parameters(IterativeBackbone(width)) == expected


@pytest.mark.parametrize(("width", "blocks"), [(32, 6), (48, 4), (64, 4)])
def test_blocks_as_released(width, blocks):
    net = IterativeBackbone(width)
    assert len(net.shared) == blocks
    assert [block.has_residual for block in net.shared] == [True] * (blocks - 1) + [False]
    assert net.entry.has_residual is (width == 64)
    # The last activation of a block is there at width 32 only.
    for part in (net.entry, *net.shared):
        assert isinstance(part.project.act, ScalarPReLU if width == 32 else nn.Identity)
        assert part.depthwise.conv.bias is not None
        assert part.project.conv.bias is None


def test_sizes_of_an_odd_picture_by_hand():
    with torch.no_grad():
        maps = IterativeBackbone(32).eval()(torch.zeros(1, 3, 97, 131))
    # Halved and rounded up: 97, 49, 25, 13, 7, 4, 2, 1 and 131, 66, 33, 17, 9, 5, 3, 2.
    assert [tuple(x.shape[2:]) for x in maps] == [
        (25, 33), (13, 17), (7, 9), (4, 5), (2, 3), (1, 2)
    ]  # fmt: skip


def test_every_map_comes_from_the_same_block():
    torch.manual_seed(0)
    net = IterativeBackbone(32).eval()
    images = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        maps = net(images)
        x = net.entry(net.stem(images))
        for expected in maps:
            x = net.shared(x)
            assert torch.equal(x, expected)


def test_shared_statistics_count_every_pass():
    net = IterativeBackbone(32).train()
    for _ in range(2):
        net(torch.randn(2, 3, 256, 256))
    counted = {
        name: int(value)
        for name, value in net.state_dict().items()
        if name.endswith("num_batches_tracked")
    }
    shared = {value for name, value in counted.items() if name.startswith("shared.")}
    others = {value for name, value in counted.items() if not name.startswith("shared.")}
    # Two forward passes, in each of which the shared block runs six times.
    assert (shared, others) == ({12}, {2})


def test_shared_statistics_follow_the_passes_in_order():
    torch.manual_seed(0)
    net = IterativeBackbone(32).train()
    norm = net.shared[0].expand.norm
    means = []
    norm.register_forward_pre_hook(lambda _, x: means.append(x[0].detach().mean(dim=(0, 2, 3))))
    net(torch.randn(2, 3, 256, 256))
    assert len(means) == 6
    expected = torch.zeros(64)
    for mean in means:
        expected = 0.9 * expected + 0.1 * mean
    torch.testing.assert_close(norm.running_mean, expected)


def test_initial_weights():
    net = IterativeBackbone(48)
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            # Xavier: |w| up to √(6 / (fan in + fan out)), both times the kernel's 9 or 1 cells.
            cells = module.kernel_size[0] ** 2
            fan_in = module.in_channels // module.groups * cells
            limit = math.sqrt(6 / (fan_in + module.out_channels * cells))
            assert module.weight.abs().max() <= limit
            assert module.weight.abs().max() > 0.8 * limit
            if module.bias is not None:
                assert module.bias.count_nonzero() == 0


def test_another_width_needs_its_blocks():
    with pytest.raises(UsageError, match="backbone.width=40 has no released block list"):
        IterativeBackbone(40)
    net = IterativeBackbone(40, passes=2, blocks=[[2, 2], [3, 1]])
    with torch.no_grad():
        maps = net.eval()(torch.zeros(1, 3, 16, 16))
    assert [tuple(x.shape) for x in maps] == [(1, 40, 4, 4), (1, 40, 2, 2)]
    assert isinstance(net.shared[1].project.act, nn.Identity)


def test_the_projections_can_be_activated_at_any_width():
    net = IterativeBackbone(48, activation="relu", project_activation=True)
    assert isinstance(net.shared[0].project.act, nn.ReLU)
    net = IterativeBackbone(32, activation="relu", project_activation=False)
    assert isinstance(net.shared[0].project.act, nn.Identity)


@pytest.mark.parametrize("blocks", [[], [[2, 1]], [[2, 2], [2, 2]], [[2, 4]]])
def test_a_pass_halves_the_map(blocks):
    with pytest.raises(UsageError, match="stride 2, the rest 1"):
        IterativeBackbone(32, blocks=blocks)
