"""PyramidBox's neck by plain operations, and the two rivals as a whole."""

import pytest
import torch
import torch.nn.functional as F

from facedet.config import build, compose
from facedet.errors import UsageError
from facedet.models.folding import fold
from facedet.models.necks.fuse import enlarge
from facedet.models.necks.pyramidbox import PyramidBoxNeck
from facedet.structures import Target
from reference.networks import noise

WIDTHS = (4, 6, 6, 8, 5)
STRIDES = (4, 8, 16, 32, 64)


def test_the_neck_by_plain_operations():
    torch.manual_seed(0)
    neck = PyramidBoxNeck(WIDTHS, STRIDES, scales=(3, 2, 1)).eval()
    sides = (13, 7, 4, 2, 1)  # rounded up, so that the enlarged maps are cut
    maps = [noise(2, width, side, side) for width, side in zip(WIDTHS, sides, strict=True)]
    joined = list(maps)
    for level in (2, 1, 0):
        up = F.relu(F.conv2d(joined[level + 1], neck.above[level].weight, neck.above[level].bias))
        size = (sides[level], sides[level])
        joined[level] = enlarge(up, size) * F.relu(neck.lateral[level](maps[level]))
    with torch.no_grad():
        found = neck(maps)
    for level, (x, block) in enumerate(zip(joined, neck.blocks, strict=True)):

        def norm(part, x):
            # New statistics are 0 and 1: what is left is the release's epsilon.
            return F.conv2d(x, part.conv.weight, padding=part.conv.padding) / 1.001**0.5

        first, second, last = block.residual
        residual = norm(last, F.relu(norm(second, F.relu(norm(first, x)))))
        x = F.relu(block.context(F.relu(norm(block.shortcut, x) + residual)))
        if level < 3:
            x = (3 - level) * F.normalize(x, dim=1)
        torch.testing.assert_close(found[level], x)
    assert (neck.out_channels, neck.strides) == ([512] * 5, list(STRIDES))


@pytest.mark.parametrize("strides", [(8, 16), (4, 8, 16), (4, 8, 32, 64)])
def test_a_backbone_with_other_maps_is_refused(strides):
    with pytest.raises(UsageError, match=r"four or more maps.*vgg16_extended.*strides \["):
        PyramidBoxNeck([4] * len(strides), strides)


@pytest.mark.slow  # VGG16 and 57 million parameters, forwards and backwards
@pytest.mark.parametrize(
    ("preset", "levels"), [("ssh", (128, 32, 8)), ("pyramidbox", (256, 64, 16, 4, 1, 1))]
)
def test_a_rival_learns_a_face(preset, levels):
    torch.manual_seed(0)
    config = compose("train", [f"preset={preset}"])
    net, criterion = build(config.model.net), build(config.criterion)
    images = torch.randint(0, 256, (2, 3, 64, 64), generator=torch.Generator().manual_seed(2))
    face = torch.tensor([[8.0, 8.0, 40.0, 40.0]])
    target = Target(face, torch.tensor([False]), torch.zeros(1, 0, dtype=torch.bool), 0, (64, 64))
    learning = [value for value in net.parameters() if value.requires_grad]
    optimizer = torch.optim.Adam(learning, lr=1e-4)
    losses = []
    for _ in range(4):
        predictions = net(images)
        parts = criterion(predictions, [target, target])
        loss = parts.classification + parts.box
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert predictions.levels == levels
    assert losses[-1] < 0.7 * losses[0]
    net.eval()
    with torch.no_grad():
        usual, folded = net(images), fold(net)(images)
    scale = usual.logits.abs().max().item()
    torch.testing.assert_close(folded.logits, usual.logits, rtol=1e-3, atol=1e-4 * scale)
