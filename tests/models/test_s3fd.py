"""The S3FD baselines as a whole: config, swaps, and two steps of training."""

import json

import pytest
import torch

from facedet.api import load
from facedet.cli import main
from facedet.config import build, compose, plain
from facedet.data.crowds.dataset import make_crowds
from facedet.models.backbones.mobilefacenet import MobileFaceNet
from facedet.models.backbones.vgg_extended import Vgg16Extended
from facedet.weights.store import read_weights
from reference.small_training import SMALL_TRAINING

BACKBONES = {"s3fd_vgg16": Vgg16Extended, "s3fd_mobilefacenet": MobileFaceNet}
SMALL = [
    *SMALL_TRAINING, "trainer.max_steps=2", "trainer.val_check_interval=2", "data.prepare=null",
    # One checkpoint, not two: VGG16's has 180 MB.
    "callbacks=[checkpoint_last,finite_loss]",
]  # fmt: skip


@pytest.fixture(scope="module", params=BACKBONES)
def preset(request):
    return request.param


def test_extds_anchors_and_heads_on_another_backbone(preset):
    net = build(compose("train", [f"preset={preset}"]).model.net).eval()
    assert type(net.backbone) is BACKBONES[preset]
    with torch.no_grad():
        predictions = net(torch.zeros(1, 3, 128, 128, dtype=torch.uint8))

    # 32, 16, 8, 4, 2 and 1 cells squared.
    assert predictions.levels == (1024, 256, 64, 16, 4, 1)
    sides = predictions.anchors[:, 2] - predictions.anchors[:, 0]
    assert sides.unique().tolist() == [16, 32, 64, 128, 256, 512]
    # Max-out background at the finest level: three background logits and one of a face.
    assert [level.score.out_channels for level in net.head.levels] == [4, 2, 2, 2, 2, 2]
    assert net.mean.flatten().tolist() == [123, 117, 104]


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


@pytest.mark.parametrize(
    "preset",
    [
        "s3fd_mobilefacenet",
        pytest.param("s3fd_vgg16", marks=pytest.mark.slow),  # 180 MB of weights, four times
    ],
)
def test_two_steps_of_training_and_a_prediction(preset, crowds, tmp_path, capsys):
    words = [f"preset={preset}", f"data.root={crowds}", f"paths.output={tmp_path}"]
    assert main(["train", *SMALL, *words]) == 0
    weights = tmp_path / "weights.safetensors"
    assert read_weights(weights).info["steps"] == 2
    picture = str(next(crowds.glob("WIDER_val/images/*/*.jpg")))
    capsys.readouterr()
    assert main(["predict", picture, "--weights", str(weights), "--score", "0.01", "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)["images"]
    # The command folds the normalisations; its best face is that of the network as it is.
    expected = load(weights, score=0.01, folded=False).detect(picture)
    assert found["faces"][0]["score"] == pytest.approx(expected.scores[0].item(), abs=1e-4)
