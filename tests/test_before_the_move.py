"""A run, its checkpoint and its evaluation, written before the modules moved, still serve."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from facedet.data.crowds.dataset import ensure_crowds
from facedet.evaluation.comparison import WIDER, read_run
from facedet.weights.store import build_net, read_weights

OLD = Path(__file__).parent / "fixtures" / "before_the_move"
# What the defaults were when the run was trained.
SETTINGS = ("optimizer=sgd", "trainer.precision=32-true", "trainer.gradient_clip_val=null",
            "augmentation.anchor_sampling=0.5", "callbacks.freeze_norm.from_step=null")  # fmt: skip


@pytest.fixture(scope="module")
def crowds(tmp_path_factory):
    """The embedded data as far as its first three validation pictures of the first scene."""
    root = tmp_path_factory.mktemp("data") / "crowds"
    return ensure_crowds(root, train_images=1, val_images=13, progress=False)


@pytest.mark.parametrize("name", ["weights.safetensors", "checkpoints/last.ckpt"])
def test_weights_load(name):
    weights = read_weights(OLD / "run" / name)
    assert weights.info["steps"] == 4
    net = build_net(weights, name)
    assert sum(parameter.numel() for parameter in net.parameters()) > 0


def test_weights_find_what_they_found(cli, crowds, tmp_path):
    weights = OLD / "run" / "weights.safetensors"
    data = (f"data.root={crowds}", "data.prepare=null", "device=cpu")
    out = tmp_path / "out"
    result = cli("evaluate", f"weights={weights}", *data, "limit=3", f"paths.output={out}")
    assert result.code == 0, result.err
    old, new = (json.loads((p / "metrics.json").read_text()) for p in (OLD / "evaluation", out))
    for key in ("wider/easy", "wider/medium", "wider/hard", "images", "detections"):
        assert new[key] == old[key], key
    files = sorted((OLD / "evaluation" / "detections").glob("*/*.txt"))
    assert len(files) == 3
    for path in files:
        found = out / path.relative_to(OLD / "evaluation")
        # Other processors round sums otherwise: one unit of the last place that the files have.
        apart = np.abs(_rows(found) - _rows(path))
        assert (apart <= [1.01e-3] * 4 + [1.01e-6]).all(), path.name


def _rows(path):
    return np.loadtxt(path, skiprows=2)


def test_the_folder_scores_and_compares(cli, crowds):
    detections = OLD / "evaluation" / "detections"
    words = ("--detections", detections, "--ground-truth", crowds, "--only-present", "--json")
    result = cli("score", *words)
    assert result.code == 0, result.err
    method = read_run(WIDER, f"old={OLD / 'evaluation'}", False)
    metrics = json.loads((OLD / "evaluation" / "metrics.json").read_text())
    for key in ("wider/easy", "wider/medium", "wider/hard", "images", "detections"):
        assert result.json[key] == metrics[key], key
    assert (method.name, method.curves["hard"].value) == ("old", metrics["wider/hard"])


@pytest.mark.slow
def test_the_checkpoint_resumes(cli, tmp_path):
    root = ensure_crowds(tmp_path / "crowds", progress=False)
    run = shutil.copytree(OLD / "run", tmp_path / "run")
    words = yaml.safe_load((run / ".hydra" / "overrides.yaml").read_text())
    own = [word for word in words if not word.startswith(("paths.", "trainer.max_steps="))]
    places = (f"paths.output={run}", f"data.root={root}", "ckpt_path=last")
    result = cli("train", *own, *SETTINGS, *places, "trainer.max_steps=6")
    assert result.code == 0, result.err
    assert "trained 6 steps" in result.out
    last = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)
    assert last["global_step"] == 6
    assert len(last["facedet_mining"]["history"]) == 0  # the first epoch goes on
    assert read_weights(run / "weights.safetensors").config["net"]["backbone"]["width"] == 8
