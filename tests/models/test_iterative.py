"""EXTD's backbone and the plain one: blocks, sizes, and the one set of weights for all passes."""

import math

import pytest
import torch
from torch import nn

from facedet.errors import UsageError
from facedet.models.backbones.iterative import IterativeBackbone
from facedet.models.backbones.iterative_plain import IterativePlainBackbone
from facedet.models.layers import ResidualBlock
from facedet.models.scalar_prelu import ScalarPReLU
from reference.networks import parameters, trained


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


def test_every_map_comes_from_the_same_body():
    torch.manual_seed(0)
    net = trained(IterativePlainBackbone(8, blocks_per_pass=2))
    images = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        maps = net(images)
        body = nn.Sequential(*net.shared)
        x = body(net.stem(images))
        assert torch.equal(maps[0], x)
        for expected in maps[1:]:
            x = body(net.down(x))
            assert torch.equal(x, expected)


def test_shared_statistics_of_the_plain_body_count_every_pass():
    net = IterativePlainBackbone(8, passes=4).train()
    net(torch.randn(2, 3, 128, 128))
    tracked = {
        name.partition(".")[0]: int(value)
        for name, value in net.state_dict().items()
        if name.endswith("num_batches_tracked")
    }
    # The body makes four maps; three ways lead from one to the next.
    assert tracked == {"stem": 1, "shared": 4, "down": 3}


def test_a_normalisation_for_every_pass():
    torch.manual_seed(0)
    net = IterativePlainBackbone(8, passes=3, norm_per_pass=True).train()
    images = torch.randn(4, 3, 64, 64)
    maps = net(images)
    # Two convolutions of the body in three passes and the one that leads on, in two, with 8
    # channels of two factors each; a shared normalisation has one of every three, and of two.
    shared = parameters(IterativePlainBackbone(8, passes=3))
    assert parameters(net) == shared + 2 * 8 * (2 * (3 - 1) + (2 - 1))
    tracked = [int(v) for k, v in net.state_dict().items() if k.endswith("batches_tracked")]
    assert tracked == [1] * (2 + 2 * 3 + 2)
    # With the statistics of this batch alone (biased, as training normalises by), the test gives
    # the training's maps; with shared statistics it cannot.
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
    net(images)
    count = torch.tensor([4 * 16 * 16, 4 * 8 * 8, 4 * 4 * 4])  # pixels of the maps
    for block in (net.shared[0].first, net.shared[0].second):
        for norm, pixels in zip(block.norm, count, strict=True):
            norm.running_var *= (pixels - 1) / pixels
    for norm, pixels in zip(net.down.norm, count[1:], strict=True):
        norm.running_var *= (pixels - 1) / pixels
    for part, pixels in zip(net.stem, (4 * 32 * 32, 4 * 16 * 16), strict=True):
        part.norm.running_var *= (pixels - 1) / pixels
    for expected, found in zip(maps, net.eval()(images), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_a_first_stride_of_8_begins_with_the_way_down():
    net = trained(IterativePlainBackbone(8, passes=2, first_stride=8, norm_per_pass=True))
    images = torch.randn(1, 3, 64, 96)
    assert net.strides == [8, 16]
    with torch.no_grad():
        maps = net(images)
        x = net.shared[0](net.down(net.stem(images), 0), 0)
        assert torch.equal(maps[0], x)
        assert torch.equal(maps[1], net.shared[0](net.down(x, 1), 1))
    assert [tuple(one.shape[2:]) for one in maps] == [(8, 12), (4, 6)]
    with pytest.raises(UsageError, match="backbone.first_stride=16: 4 or 8"):
        IterativePlainBackbone(first_stride=16)


def test_residual_block_by_hand():
    block = ResidualBlock(1, "relu").eval()
    for part, factor in ((block.first, 2.0), (block.second, -3.0)):
        nn.init.zeros_(part.conv.weight)
        part.conv.weight.data[0, 0, 1, 1] = factor
        part.norm.eps = 0.0
    x = torch.tensor([-1.0, 0.0, 4.0]).view(1, 1, 1, 3)
    # -1: the first convolution gives -2, cut to 0; -1 + 0 is cut to 0. 4: 4 - 3 * 8 = -20, too.
    assert block(x).flatten().tolist() == [0.0, 0.0, 0.0]
    block.second.conv.weight.data[0, 0, 1, 1] = 0.5
    assert block(x).flatten().tolist() == [0.0, 0.0, 8.0]  # 4 + 0.5 * 8


@pytest.mark.parametrize("name", ["width", "passes", "blocks_per_pass", "stem_width"])
def test_at_least_one_of_everything(name):
    with pytest.raises(UsageError, match=f"backbone.{name}=0"):
        IterativePlainBackbone(**{name: 0})
