"""The whole network of SmallHardFace: sizes, levels, what learns, and its way through a file."""

from functools import partial

import pytest
import torch

from facedet.models.anchors import ThreeScaleAnchors
from facedet.models.backbones.vgg import Vgg16
from facedet.models.detector import Detector
from facedet.models.heads.dilated import DilatedHead
from facedet.models.heads.plain import PlainHead
from facedet.models.necks.fuse import Fuse
from reference.networks import noisy_images

# RGB; the release has it as BGR, (102.9801, 115.9465, 122.7717).
MEAN = (122.7717, 115.9465, 102.9801)
VARIANTS = {
    "smallhardface": (1, True, DilatedHead),
    "smallhardface_plain": (1, False, PlainHead),
    "smallhardface_reduced": (1, True, PlainHead),
    "smallhardface_three_level": (3, False, PlainHead),
}


def make(levels, reduce, head, width=1.0):
    """A detector with random weights whose outputs are large enough to compare."""
    torch.manual_seed(0)
    neck, backbone = partial(Fuse, levels=levels, reduce=reduce), Vgg16(width_multiplier=width)
    net = Detector(backbone, neck, ThreeScaleAnchors, head, MEAN, multiple=16)
    for part in (net.neck, net.head):
        for value in part.parameters():
            value.data *= 5
    return net


@pytest.fixture(scope="module", params=VARIANTS)
def variant(request):
    return request.param


@pytest.fixture(scope="module")
def net(variant):
    return make(*VARIANTS[variant], width=0.125).eval()


@pytest.mark.parametrize("size", [(50, 70), (48, 64), (1, 1), (17, 95)])
def test_pictures_of_any_size(variant, net, size):
    with torch.no_grad():
        predictions = net(noisy_images(2, 3, *size))
    rows, columns = (-(-side // 16) for side in size)
    # Three anchors at stride 8; or two each at 8, 16 and 32, the last rounded up.
    fine, middle, coarse = (
        4 * rows * columns,
        rows * columns,
        -(-rows // 2) * -(-columns // 2),
    )
    three = "three" in variant
    levels = (2 * fine, 2 * middle, 2 * coarse) if three else (3 * fine,)
    assert (predictions.levels, predictions.size) == (levels, size)
    assert predictions.logits.shape == (2, sum(levels), 2)
    assert predictions.deltas.shape == (2, sum(levels), 4)
    assert predictions.anchors.shape == (sum(levels), 4)
    assert torch.isfinite(predictions.logits).all()
