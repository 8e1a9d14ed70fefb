"""The whole path on a small embedded data set: train, resume, predict."""

import csv
import json

import numpy as np
import pytest
import torch

from facedet.cli import main
from facedet.weights.store import read_weights
from reference.small_training import SMALL_TRAINING, TINY_NET

SMALL = [
    *SMALL_TRAINING, "data.prepare=null", "trainer.log_every_n_steps=1", "optimizer=adamw",
    "trainer.limit_val_batches=2", "estimate=refuse",
    "~callbacks.freeze_norm",  # begins at a share of max_steps, which the tests change
]  # fmt: skip

WITH_WORKERS = [
    *TINY_NET, "data.num_workers=2", "callbacks.last.every_n_train_steps=1", "scheduler=constant",
    "trainer.val_check_interval=5", "estimate=off",
]  # fmt: skip


def train(root, output, *overrides):
    return main(["train", *SMALL, f"data.root={root}", f"paths.output={output}", *overrides])


@pytest.fixture(scope="session")
def trained(crowds, tmp_path_factory):
    output = tmp_path_factory.mktemp("run") / "a b"  # a folder name with a space
    steps = ["trainer.max_steps=3", "trainer.val_check_interval=3"]
    assert train(crowds, output, *steps) == 0
    return output


def test_training_leaves_weights_checkpoints_log_and_config(trained):
    weights = read_weights(trained / "weights.safetensors")
    assert weights.config["net"]["backbone"]["width"] == 32
    assert weights.info["steps"] == 3
    assert (trained / "checkpoints" / "best.ckpt").is_file()
    assert (trained / ".hydra" / "overrides.yaml").is_file()
    with (trained / "logs" / "metrics.csv").open() as stream:
        columns = set(csv.DictReader(stream).fieldnames)
    assert {"train/loss", "train/box", "train/classification", "wider/medium"} <= columns


def test_prediction_from_the_checkpoint_and_from_the_weights_agree(trained, crowds, capsys):
    picture = str(next(crowds.glob("WIDER_val/images/*/*.jpg")))
    found = []
    for name in ("weights.safetensors", "checkpoints/best.ckpt"):
        arguments = ["predict", picture, "--weights", str(trained / name), "--json"]
        assert main([*arguments, "--score", "0.01"]) == 0
        found.append(json.loads(capsys.readouterr().out)["images"])
    assert found[0] == found[1]


def state(output):
    return torch.load(output / "checkpoints" / "last.ckpt", weights_only=True)


@pytest.fixture(scope="module")
def uninterrupted(crowds, tmp_path_factory):
    """The last checkpoint of five steps with workers."""
    output = tmp_path_factory.mktemp("run") / "whole"
    assert train(crowds, output, *WITH_WORKERS, "trainer.max_steps=5") == 0
    return state(output)


@pytest.mark.slow
@pytest.mark.parametrize("stop", [2, 3])
def test_a_resumed_run_with_workers_equals_an_uninterrupted_one(
    crowds, uninterrupted, tmp_path, stop
):
    """Three batches an epoch: step 2 is inside one, 3 at its end; `test_resume` has the rest."""
    assert train(crowds, tmp_path, *WITH_WORKERS, f"trainer.max_steps={stop}") == 0
    assert state(tmp_path)["global_step"] == stop
    assert train(crowds, tmp_path, *WITH_WORKERS, "trainer.max_steps=5", "ckpt_path=last") == 0
    expected, resumed = uninterrupted, state(tmp_path)
    assert resumed["global_step"] == 5
    assert resumed["epoch"] == expected["epoch"]
    for key, value in expected["state_dict"].items():
        assert torch.equal(value, resumed["state_dict"][key]), key


@pytest.mark.slow
def test_a_batch_can_be_learnt_by_heart(crowds):
    from facedet.config import build, compose
    from facedet.data.dataset import collate

    torch.manual_seed(0)
    overrides = [*SMALL, "preset=extd_fpn_32_prelu", f"data.root={crowds}", "augmentation.size=96"]
    config = compose("train", overrides)
    data, module = build(config.data), build(config.model)
    data.setup("fit")
    images, targets = collate([data.train_dataloader().dataset[i] for i in range(2)])
    optimizer = torch.optim.AdamW(module.parameters(), lr=3e-3)
    losses = []
    for _ in range(150):
        given = module.criterion(module(images), targets)
        loss = given.classification + given.box
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert np.mean(losses[-5:]) < 0.2 * losses[0]
