"""Anchors written out by hand."""

import pytest
import torch

from facedet.config import build, compose
from facedet.errors import UsageError
from facedet.models.anchors import AnchorGenerator, ThreeScaleAnchors

CPU = torch.device("cpu")


def test_a_tiny_map_by_hand():
    generator = AnchorGenerator([4, 8])
    assert (generator.num_per_location, generator.strides) == ([1, 1], [4, 8])
    anchors = generator([(2, 3), (1, 2)], CPU)
    # Stride 4: centres 2, 6, 10 by 2, 6; sides 16, so 8 to each side. Row by row.
    fine = [
        [-6, -6, 10, 10],
        [-2, -6, 14, 10],
        [2, -6, 18, 10],
        [-6, -2, 10, 14],
        [-2, -2, 14, 14],
        [2, -2, 18, 14],
    ]
    # Stride 8: centres 4 and 12 by 4; sides 32.
    coarse = [[-12, -12, 20, 20], [-4, -12, 28, 20]]
    assert anchors.tolist() == fine + coarse
    # Side 2 * 4 = 8 about (2, 2).
    assert AnchorGenerator([4], scale=2.0)([(1, 1)], CPU).tolist() == [[-2, -2, 6, 6]]
    assert anchors.dtype == torch.float32


def test_the_anchors_of_a_training_picture():
    strides = [4, 8, 16, 32, 64, 128]
    anchors = AnchorGenerator(strides)([(640 // s, 640 // s) for s in strides], CPU)
    # 160² + 80² + 40² + 20² + 10² + 5²
    assert len(anchors) == 34_125
    sides = anchors[:, 2:] - anchors[:, :2]
    assert torch.equal(sides[:, 0], sides[:, 1])
    assert sides[:, 0].unique().tolist() == [16, 32, 64, 128, 256, 512]
    # The last centre is 640 - 64 = 576: 576 ± 256.
    assert anchors[-1].tolist() == [320, 320, 832, 832]


def test_a_first_stride_of_8_has_the_same_sides():
    words = ["preset=extd_plain_32", "variant=first_stride_8"]
    with torch.device("meta"):
        net = build(compose("train", words).model.net)
    maps = [(1, 1)] * len(net.backbone.strides)
    assert net.backbone.strides == [8, 16, 32, 64, 128, 256]
    anchors = net.anchors(maps, CPU)
    assert (anchors[:, 2] - anchors[:, 0]).tolist() == [16, 32, 64, 128, 256, 512]


def test_sizes_of_both_orders_are_kept_apart():
    generator = AnchorGenerator([4])
    wide, high = generator([(1, 2)], CPU), generator([(2, 1)], CPU)
    assert wide.tolist() == [[-6, -6, 10, 10], [-2, -6, 14, 10]]
    assert high.tolist() == [[-6, -6, 10, 10], [-6, -2, 10, 14]]


def test_the_last_sizes_are_remembered_and_no_more():
    generator = AnchorGenerator([4])
    first = generator([(1, 1)], CPU)
    for height in range(2, 9):
        generator([(height, 1)], CPU)
        assert generator([(1, 1)], CPU) is first
    # Eight sizes are kept; the ninth and tenth drive out (2, 1) and (3, 1), not the one in use.
    generator([(9, 1)], CPU)
    generator([(10, 1)], CPU)
    assert generator([(1, 1)], CPU) is first
    for height in range(20, 28):
        generator([(height, 1)], CPU)
    assert generator([(1, 1)], CPU) is not first
    assert torch.equal(generator([(1, 1)], CPU), first)


def test_anchors_made_without_gradients_serve_training():
    # Validation runs in inference mode and fills the memory that training reads.
    generator = AnchorGenerator([4])
    with torch.inference_mode():
        generator([(2, 2)], CPU)
    deltas = torch.zeros(4, 4, requires_grad=True)
    (deltas * generator([(2, 2)], CPU)[torch.arange(4)]).sum().backward()
    assert deltas.grad is not None


def test_three_scales_by_hand():
    anchors = ThreeScaleAnchors([8])([(2, 3)], CPU)
    # First and last pixel of 16, 32 and 64 px about (7.5, 7.5), 4 px beyond the cell's middle.
    cell = [[0, 0, 15, 15], [-8, -8, 23, 23], [-24, -24, 39, 39]]
    assert anchors[:3].tolist() == cell
    # Row, column, anchor: 8 px on for each.
    expected = [
        [x1 + 8 * column, y1 + 8 * row, x2 + 8 * column, y2 + 8 * row]
        for row in (0, 1)
        for column in (0, 1, 2)
        for x1, y1, x2, y2 in cell
    ]
    assert anchors.tolist() == expected
    assert anchors.dtype == torch.float32


def test_three_levels_by_hand():
    generator = ThreeScaleAnchors([8, 16, 32])
    assert generator.num_per_location == [2, 2, 2]
    anchors = generator([(1, 2), (1, 1), (1, 2)], CPU)
    fine = [[0, 0, 15, 15], [-8, -8, 23, 23], [8, 0, 23, 15], [0, -8, 31, 23]]
    # 7.5 -+ 31.5 and 7.5 -+ 63.5
    middle = [[-24, -24, 39, 39], [-56, -56, 71, 71]]
    # As SSH's release lists them; the second cell's lie 32 px further.
    coarse = [[-120, -120, 135, 135], [-248, -248, 263, 263]]
    coarse += [[-88, -120, 167, 135], [-216, -248, 295, 263]]
    assert anchors.tolist() == fine + middle + coarse


def test_sides_of_ones_own():
    generator = ThreeScaleAnchors([4, 8], sides=[[10.0], [20, 30.5]])
    assert generator.num_per_location == [1, 2]
    # Side s about 7.5 at both strides: 7.5 -+ (s - 1) / 2.
    assert generator([(1, 1), (1, 1)], CPU).tolist() == [
        [3, 3, 12, 12],
        [-2, -2, 17, 17],
        [-7.25, -7.25, 22.25, 22.25],
    ]


def test_wrong_sides():
    with pytest.raises(UsageError, match=r"none are known for 2 levels \(strides \[8, 16\]"):
        ThreeScaleAnchors([8, 16])
    with pytest.raises(UsageError, match="has lists for 1 levels, the network has 2"):
        ThreeScaleAnchors([8, 16], sides=[[16]])
    for sides in ([[]], [[16, 0]], [[-16]], [[float("inf")]], [16], 16, [["a"]], [[None]]):
        with pytest.raises(UsageError, match="expected are sides above 0, a list of them for each"):
            ThreeScaleAnchors([8], sides=sides)
