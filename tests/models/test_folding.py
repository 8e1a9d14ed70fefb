"""The folded network says the same as the one it was made from."""

import pytest
import torch
from torch import nn

from facedet.box_coder import SsdBoxCoder
from facedet.config import build, compose
from facedet.inference.postprocess import NmsPostprocess
from facedet.models.folding import fold
from facedet.models.layers import LeakyReLU
from facedet.models.scalar_prelu import ScalarPReLU
from reference.networks import noisy_images, trained


@pytest.mark.parametrize("layout", ["fpn", "ssd"])
@pytest.mark.parametrize(
    ("width", "activation"), [(32, "prelu"), (64, "prelu"), (48, "relu"), (32, "leaky_relu")]
)
def test_same_predictions(build_detector, layout, width, activation):
    check_folded(trained(build_detector(layout, width, activation)))


@pytest.mark.parametrize("preset", ["extd_plain_32", "s3fd_mobilefacenet"])
def test_same_predictions_of_presets(preset):
    torch.manual_seed(0)
    overrides = [f"preset={preset}", "backbone.activation=prelu"]
    check_folded(trained(build(compose("train", overrides).model.net)))


def check_folded(net):
    images, quick = noisy_images(2, 3, 97, 131), fold(net)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in quick.modules())
    with torch.no_grad():
        plain, folded = net(images), quick(images)
    scale = plain.logits.abs().max().item()
    torch.testing.assert_close(folded.logits, plain.logits, rtol=1e-4, atol=1e-5 * scale)
    scale = plain.deltas.abs().max().item()
    torch.testing.assert_close(folded.deltas, plain.deltas, rtol=1e-4, atol=1e-5 * scale)
    assert torch.equal(folded.anchors, plain.anchors)


def test_the_network_itself_stays_as_it_is(build_detector):
    net = trained(build_detector()).train()
    before = {key: value.clone() for key, value in net.state_dict().items()}
    folded = fold(net)
    assert net.training
    assert not folded.training
    assert all(value.requires_grad for value in net.parameters())
    assert not any(value.requires_grad for value in folded.parameters())
    after = net.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(value, after[key]) for key, value in before.items())


def test_nothing_is_left_to_fold(build_detector):
    net = fold(trained(build_detector("fpn", 32, "prelu")))
    kinds = {type(module) for module in net.modules()}
    assert not kinds & {nn.BatchNorm2d, ScalarPReLU}
    activations = [module for module in net.modules() if isinstance(module, (LeakyReLU, nn.ReLU))]
    # 21 in the backbone, 5 in the neck.
    assert len(activations) == 26
    assert all(module.inplace for module in activations)


@pytest.mark.data
@pytest.mark.parametrize("width", [32, 64])
def test_same_faces_with_released_weights(released_net, width):
    net = released_net(width)
    images = noisy_images(1, 3, 320, 320)
    decode = NmsPostprocess(SsdBoxCoder(), score=0.02)
    with torch.no_grad():
        (plain,), (folded,) = decode(net(images)), decode(fold(net)(images))
    assert len(plain.boxes) > 50
    torch.testing.assert_close(folded.boxes[:50], plain.boxes[:50], rtol=0, atol=0.01)
    torch.testing.assert_close(folded.scores[:50], plain.scores[:50], rtol=0, atol=1e-5)
