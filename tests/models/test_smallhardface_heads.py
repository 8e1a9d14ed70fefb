"""The plain and the dilated head against separate convolutions, and the release's order."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from facedet.errors import UsageError
from facedet.models.heads.dilated import DilatedHead
from facedet.models.heads.plain import PlainHead
from reference.networks import noise

HEADS = [PlainHead, DilatedHead]


def random_head(kind, *arguments, **options):
    """A head with weights large enough to see."""
    head = kind(*arguments, **options)
    for place, value in enumerate(head.parameters()):
        value.data = noise(*value.shape, seed=place) / 4
    return head


def release_order(score):
    """Scores [B, 2 K, H, W] in the release's order, all backgrounds first, to [B, H * W * K, 2]."""
    batch, channels, height, width = score.shape
    apart = score.reshape(batch, 2, channels // 2, height, width)
    return apart.permute(0, 3, 4, 2, 1).reshape(batch, -1, 2)


def test_plain_head_with_the_releases_weights():
    head = random_head(PlainHead, [4], [3])
    (level,) = head.levels
    # [bg16, bg32, bg64, fg16, fg32, fg64] there, [bg16, fg16, bg32, …] here.
    weight, bias = noise(6, 128, 1, 1, seed=8), noise(6, seed=9)
    order = [0, 3, 1, 4, 2, 5]
    level.score.weight.data, level.score.bias.data = weight[order], bias[order]
    x = noise(2, 4, 3, 5)
    hidden = F.relu(F.conv2d(x, level.conv.weight, level.conv.bias, padding=1))
    logits, _ = head([x])
    torch.testing.assert_close(logits, release_order(F.conv2d(hidden, weight, bias)))


def test_ssh_s_module_in_place_of_the_convolution():
    head = random_head(PlainHead, [4, 512], [2, 2], channels=8, context=True)
    level, coarse = head.levels
    # At most the map's own channels, of which the module gives twice as many.
    assert (level.score.in_channels, coarse.score.in_channels) == (8, 16)
    x = noise(2, 4, 3, 5)

    def conv(layer, x):
        return F.conv2d(x, layer.weight, layer.bias, padding=1)

    module = level.conv
    narrow = F.relu(conv(module.narrow, x))
    five = conv(module.window5, narrow)
    seven = conv(module.window7[2], F.relu(conv(module.window7[0], narrow)))
    joined = F.relu(torch.cat([conv(module.window3, x), five, seven], dim=1))
    logits, deltas = head([x, noise(2, 512, 1, 1)])
    expected = level.score(joined).permute(0, 2, 3, 1).reshape(2, 30, 2)
    torch.testing.assert_close(logits[:, :30], expected)
    torch.testing.assert_close(
        deltas[:, :30], level.box(joined).permute(0, 2, 3, 1).reshape(2, 30, 4)
    )


def test_dilated_head_is_three_convolutions_with_the_same_weights():
    head = random_head(DilatedHead, [4], [3])
    (level,) = head.levels
    x = noise(2, 4, 9, 7)
    scores, boxes = [], []
    for index, dilation in enumerate((1, 2, 4)):
        branch = nn.Conv2d(4, 128, 3, padding=dilation, dilation=dilation)
        branch.load_state_dict(level.shared.state_dict())
        hidden = F.relu(branch(x))
        scores.append(level.score[index](hidden))
        boxes.append(level.box[index](hidden))
    # The release joins the three branches' backgrounds, then their faces; boxes anchor by anchor.
    released = torch.cat([s[:, :1] for s in scores] + [s[:, 1:] for s in scores], dim=1)
    logits, deltas = head([x])
    torch.testing.assert_close(logits, release_order(released))
    for index, box in enumerate(boxes):
        expected = box.permute(0, 2, 3, 1).reshape(2, 63, 4)
        torch.testing.assert_close(deltas[:, index::3], expected)


def test_dilation_by_hand():
    head = random_head(DilatedHead, [1], [3], channels=1)
    (level,) = head.levels
    for value in level.parameters():
        nn.init.zeros_(value)
    # The kernel reads its upper left neighbour only; the face logit shows it.
    level.shared.weight.data[0, 0, 0, 0] = 1.0
    for score in level.score:
        score.weight.data[1, 0] = 1.0
    x = torch.zeros(1, 1, 6, 6)
    x[0, 0, 1, 1] = 7.0
    logits, _ = head([x])
    seen = logits[0, :, 1].reshape(6, 6, 3)
    # One cell, two and four cells down and to the right.
    assert seen.nonzero().tolist() == [[2, 2, 0], [3, 3, 1], [5, 5, 2]]
    assert seen[2, 2, 0] == 7.0


def test_one_anchor_is_not_dilated():
    dilated, plain = random_head(DilatedHead, [4], [1]), random_head(PlainHead, [4], [1])
    names = {"shared": "conv", "score.0": "score", "box.0": "box"}
    state = {
        f"levels.0.{plain_name}.{kind}": dilated.state_dict()[f"levels.0.{name}.{kind}"]
        for name, plain_name in names.items()
        for kind in ("weight", "bias")
    }
    plain.load_state_dict(state)
    maps = [noise(2, 4, 5, 3)]
    for ours, theirs in zip(dilated(maps), plain(maps), strict=True):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("kind", HEADS)
def test_new_weights(kind):
    torch.manual_seed(0)
    head = kind([512], [3])
    # The 589,824 numbers of the 3x3 convolution.
    largest = max(head.parameters(), key=torch.Tensor.numel)
    assert largest.std().item() == pytest.approx(0.01, rel=0.01)
    assert not any(value.any() for name, value in head.named_parameters() if "bias" in name)


@pytest.mark.parametrize("kind", HEADS)
def test_no_channels(kind):
    with pytest.raises(UsageError, match=r"head\.channels=0: at least one"):
        kind([8], [3], channels=0)
