"""The rivals as a whole: what their experiments change, and two steps of training."""

import json

import pytest

from facedet.api import load
from facedet.cli import main
from facedet.config import compose, plain
from facedet.weights.store import read_weights
from reference.small_training import SMALL_TRAINING

SMALL = [
    *SMALL_TRAINING, "trainer.max_steps=2", "trainer.val_check_interval=2", "data.prepare=null",
    # One checkpoint, not two: VGG16's has 180 MB.
    "callbacks=[checkpoint_last,finite_loss]",
]  # fmt: skip


@pytest.mark.parametrize(
    ("preset", "weights"), [("s3fd_vgg16", "imagenet"), ("s3fd_mobilefacenet", None)]
)
def test_the_experiment_differs_from_extds_in_the_backbone_only(preset, weights):
    """The same recipe, so that the comparison is one of networks."""
    ours = plain(compose("train", [f"experiment={preset}", "data.root=/a"]))
    extd = plain(compose("train", ["experiment=extd_ssd_64_prelu", "data.root=/a"]))
    assert (ours["backbone_weights"], extd["backbone_weights"]) == (weights, None)
    for config in (ours, extd):
        del config["backbone"], config["model"]["net"]["backbone"], config["backbone_weights"]
        del config["paths"]  # has the time
        del config["trainer"]["default_root_dir"], config["callbacks"], config["logger"]
    assert ours == extd


@pytest.mark.parametrize(
    ("preset", "word", "kind"),
    [
        ("extd_ssd", "backbone=vgg16_extended", "Vgg16Extended"),
        ("extd_ssd", "backbone=mobilefacenet", "MobileFaceNet"),
        ("s3fd_mobilefacenet", "backbone=iterative", "IterativeBackbone"),
        ("s3fd_vgg16", "seed=1", "Vgg16Extended"),
        ("extd_fpn_64_prelu", "backbone.width=48", "IterativeBackbone"),
    ],
)
def test_a_word_beats_the_preset(preset, word, kind):
    backbone = compose("train", [word, f"preset={preset}"]).model.net.backbone
    assert backbone._target_.endswith(f".{kind}")
    if "width" in word:
        assert (backbone.width, backbone.activation) == (48, "prelu")


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
