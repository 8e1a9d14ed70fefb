"""The S3FD baselines as a whole: config, start, folding, swaps, and two steps of training."""

import json

import pytest
import torch
from torch import nn

from facedet.api import load
from facedet.cli import main
from facedet.config import build, compose, plain
from facedet.data.crowds.dataset import make_crowds
from facedet.errors import UsageError
from facedet.models.backbones.iterative import IterativeBackbone
from facedet.models.backbones.mobilefacenet import MobileFaceNet
from facedet.models.backbones.vgg_extended import Vgg16Extended
from facedet.models.folding import fold
from facedet.weights.store import read_weights

BACKBONES = {"s3fd_vgg16": Vgg16Extended, "s3fd_mobilefacenet": MobileFaceNet}
SMALL = [
    "trainer=cpu", "trainer.max_steps=2", "trainer.val_check_interval=2",
    "trainer.num_sanity_val_steps=0", "trainer.limit_val_batches=1", "trainer.log_every_n_steps=1",
    "augmentation.size=64", "data.batch_size=2", "data.num_workers=0", "data.prepare=null",
    # One checkpoint, not two: VGG16's has 180 MB.
    "callbacks=[checkpoint_last,finite_loss]",
]  # fmt: skip


def make(*overrides):
    torch.manual_seed(0)
    return build(compose("train", overrides).model.net)


@pytest.fixture(scope="module", params=BACKBONES)
def preset(request):
    return request.param


@pytest.fixture(scope="module")
def net(preset):
    """The network with normalisations as training could leave them."""
    net = make(f"preset={preset}")
    generator = torch.Generator().manual_seed(3)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.weight.data.uniform_(0.5, 1.5, generator=generator)
            module.bias.data.uniform_(-0.3, 0.3, generator=generator)
            module.running_mean.uniform_(-0.5, 0.5, generator=generator)
            module.running_var.uniform_(0.5, 2.0, generator=generator)
    return net.eval()


def noise(*shape):
    generator = torch.Generator().manual_seed(5)
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)


def test_extds_anchors_and_heads_on_another_backbone(preset, net):
    assert type(net.backbone) is BACKBONES[preset]
    with torch.no_grad():
        predictions = net(noise(1, 3, 128, 128))
    # 32, 16, 8, 4, 2 and 1 cells squared.
    assert predictions.levels == (1024, 256, 64, 16, 4, 1)
    sides = predictions.anchors[:, 2] - predictions.anchors[:, 0]
    assert sides.unique().tolist() == [16, 32, 64, 128, 256, 512]
    # Max-out background at the finest level: three background logits and one of a face.
    assert [level.score.out_channels for level in net.head.levels] == [4, 2, 2, 2, 2, 2]
    assert net.mean.flatten().tolist() == [123, 117, 104]


@pytest.mark.parametrize("size", [(50, 70), (1, 1), (129, 95)])
def test_pictures_of_any_size(net, size):
    with torch.no_grad():
        predictions = net(noise(2, 3, *size))
    count = sum(-(-size[0] // stride) * -(-size[1] // stride) for stride in net.neck.strides)
    assert predictions.logits.shape == (2, count, 2)
    assert predictions.deltas.shape == (2, count, 4)
    assert predictions.anchors.shape == (count, 4)
    assert torch.isfinite(predictions.logits).all()


def test_the_folded_network_says_the_same(net):
    images, folded = noise(2, 3, 65, 97), fold(net)
    with torch.no_grad():
        usual, quick = net(images), folded(images)
    for one, other in ((quick.logits, usual.logits), (quick.deltas, usual.deltas)):
        scale = other.abs().max().item()
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5 * scale)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in folded.modules())


@pytest.mark.parametrize(
    ("overrides", "backbone"),
    [
        (["preset=extd_ssd", "backbone=vgg16_extended"], Vgg16Extended),
        (["preset=extd_ssd", "backbone=mobilefacenet"], MobileFaceNet),
        (["preset=s3fd_mobilefacenet", "backbone=iterative"], IterativeBackbone),
    ],
)
def test_one_word_changes_the_backbone(overrides, backbone):
    assert type(make(*overrides).backbone) is backbone


@pytest.mark.parametrize(
    "overrides",
    [
        ["preset=extd_fpn", "backbone=vgg16_extended"],
        ["preset=s3fd_mobilefacenet", "neck=top_down"],
    ],
)
def test_maps_of_several_widths_cannot_be_added(overrides):
    with pytest.raises(UsageError, match="neck=top_down needs maps of one width, not of "):
        make(*overrides)


def test_the_experiment_differs_from_extds_in_the_backbone_only(preset):
    """The same recipe, so that the comparison is one of networks."""
    ours = plain(compose("train", [f"experiment={preset}", "data.root=/a"]))
    extd = plain(compose("train", ["experiment=extd_ssd_64_prelu", "data.root=/a"]))
    assert extd["backbone_weights"] is None
    assert ours["backbone_weights"] == ("imagenet" if preset == "s3fd_vgg16" else None)
    for config in (ours, extd):
        del config["backbone"], config["model"]["net"]["backbone"], config["backbone_weights"]
        del config["paths"]  # has the time
        del config["trainer"]["default_root_dir"], config["callbacks"], config["logger"]
    assert ours == extd


def test_smallhardface_with_three_maps_differs_in_neck_head_and_mining_only():
    words = ["data.root=/a"]
    three = plain(compose("train", ["experiment=smallhardface_three_level", *words]))
    one = plain(compose("train", ["experiment=smallhardface", *words]))
    assert (three["neck"]["levels"], three["neck"]["reduce"], three["mining"]) == (3, False, None)
    assert three["head"]["_target_"].endswith("PlainHead")
    for key in ("optimizer", "scheduler", "augmentation", "backbone_weights", "backbone",
                "criterion", "postprocess", "inference", "anchors"):  # fmt: skip
        assert three[key] == one[key]
    assert three["trainer"]["max_steps"] == one["trainer"]["max_steps"] == 60_000
    for config in (three, one):
        del config["data"]["mining"]
    assert three["data"] == one["data"]


@pytest.fixture(scope="module")
def crowds(tmp_path_factory):
    root = tmp_path_factory.mktemp("data") / "crowds"
    return make_crowds(root, train_images=4, val_images=2, size=160, progress=False)


def test_two_steps_of_training_and_a_prediction(preset, crowds, tmp_path, capsys):
    words = [f"preset={preset}", f"data.root={crowds}", f"paths.output={tmp_path}"]
    assert main(["train", *words, *SMALL]) == 0
    weights = tmp_path / "weights.safetensors"
    assert read_weights(weights).info["steps"] == 2
    picture = str(next(crowds.glob("WIDER_val/images/*/*.jpg")))
    capsys.readouterr()
    assert main(["predict", picture, "--weights", str(weights), "--score", "0.01", "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)["images"]
    # The command folds the normalisations; its best face is that of the network as it is.
    expected = load(weights, score=0.01, folded=False).detect(picture)
    assert found["faces"][0]["score"] == pytest.approx(expected.scores[0].item(), abs=1e-4)
