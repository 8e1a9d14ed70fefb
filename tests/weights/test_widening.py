"""Widening: the wide network computes what the narrow one does, and its copies can part."""

import pytest
import torch
from omegaconf import OmegaConf

from facedet.cli import main
from facedet.config import build, compose
from facedet.data.crowds.dataset import ensure_crowds
from facedet.errors import FacedetError
from facedet.weights.store import Weights, read_weights
from facedet.weights.widening import _widened, widen
from reference.small_training import SMALL_TRAINING


def network(*overrides):
    return build(compose("train", list(overrides)).model.net)


def weights_of(*overrides):
    """Weights of a small random network, as read from a file."""
    config = OmegaConf.to_container(compose("train", list(overrides)), resolve=True)
    torch.manual_seed(0)
    return Weights(network(*overrides).state_dict(), {"net": config["model"]["net"]}, {})


PLAIN = ("preset=extd_plain_32", "backbone.width=8", "backbone.stem_width=4")


@pytest.mark.parametrize(
    "overrides", [("backbone.width=16",), ("backbone.width=24", "backbone.stem_width=6")]
)
def test_the_function_is_kept(overrides):
    # Twice as many channels, and three times as many behind a stem of one and a half times.
    weights, net = weights_of(*PLAIN), network(*PLAIN, *overrides).eval()
    net.load_state_dict(widen(weights, net, "narrow"))
    narrow = network(*PLAIN).eval()
    narrow.load_state_dict(weights.state)
    picture = torch.randint(0, 256, (2, 3, 65, 90), dtype=torch.uint8)
    with torch.no_grad():
        before, after = narrow(picture), net(picture)
    for own, other in ((after.logits, before.logits), (after.deltas, before.deltas)):
        assert (own - other).abs().max() < 1e-5 * other.abs().max()


def test_copies_learn_different_things():
    weights, net = weights_of(*PLAIN), network(*PLAIN, "backbone.width=16").train()
    net.load_state_dict(widen(weights, net, "narrow"))
    predictions = net(torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8))
    predictions.logits.square().sum().backward()
    gradient = net.backbone.shared[0].first.conv.weight.grad
    assert not torch.allclose(gradient[:8], gradient[8:], rtol=1e-2)


def test_three_copies_by_hand():
    narrow = torch.tensor([[6.0, 9.0]]).reshape(1, 2, 1, 1)
    wide = _widened(narrow, torch.Size([1, 5, 1, 1]), torch.Generator().manual_seed(0)).flatten()
    # Channels 0, 2, 4 are copies of channel 0: a third each; 1 and 3 of channel 1: half each.
    assert wide[[0, 2, 4]].sum() == pytest.approx(6.0)
    assert wide[[1, 3]].sum() == pytest.approx(9.0)
    assert wide[4] == pytest.approx(2.0)  # no partner, no noise
    assert wide[0] != wide[2]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (("preset=extd_ssd_32_prelu",), "of the same layers"),
        ((*PLAIN, "backbone.width=4"), "a wider network of the same kind"),
    ],
)
def test_other_networks_are_refused(overrides, message):
    with pytest.raises(FacedetError, match=f"narrow: .*{message}"):
        widen(weights_of(*PLAIN), network(*overrides), "narrow")


def test_training_starts_from_the_narrow_network(tmp_path, capsys):
    root = ensure_crowds(tmp_path / "set", train_images=4, val_images=1, size=160, progress=False)
    options = [
        "train", *SMALL_TRAINING, "preset=extd_plain_48", "weights=extd-plain-32",
        "data.prepare=null", f"data.root={root}", "trainer.max_steps=1",
        f"paths.output={tmp_path / 'run'}",
    ]  # fmt: skip
    assert main(options) == 1
    assert "extd-plain-32: backbone" in capsys.readouterr().err
    assert main([*options, "widen=true"]) == 0
    trained = read_weights(tmp_path / "run" / "weights.safetensors")
    assert trained.config["net"]["backbone"]["width"] == 48
