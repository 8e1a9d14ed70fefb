"""Starting from weights: they are validated first, and stay the best until something beats them."""

import logging

import pytest
import torch

from facedet.config import build, plain
from facedet.metrics.wider import WiderAP
from facedet.training.fit import train
from facedet.training.objective import measured
from facedet.weights.store import Weights, model_config, read_weights, save_weights
from reference.small_training import SMALL_TRAINING, TINY_NET, training_config

SMALL = (*SMALL_TRAINING, *TINY_NET, "data=wider", "trainer.val_check_interval=1")


@pytest.fixture
def run(wider, tmp_path, monkeypatch):
    """Fine-tunes for a step per value after the first; returns the starting and the final state."""

    def made(*values, words=()):
        left = list(values)
        monkeypatch.setattr(
            WiderAP,
            "compute",
            lambda _: dict.fromkeys(
                ("wider/easy", "wider/medium", "wider/hard"), torch.tensor(left.pop(0))
            ),
        )
        place = (f"data.root={wider}", f"paths.output={tmp_path / 'out'}")
        weights = f"weights={tmp_path / 'start.safetensors'}"
        steps = f"trainer.max_steps={len(values) - 1}"
        config = training_config(*SMALL, *place, weights, steps, *words)
        torch.manual_seed(3)
        net = build(config.model).net
        saved = Weights(net.state_dict(), model_config(plain(config)), {})
        save_weights(tmp_path / "start.safetensors", saved)
        train(config)
        assert left == []
        return net.state_dict(), read_weights(tmp_path / "out" / "weights.safetensors")

    return made


def test_the_start_is_kept_where_nothing_beats_it(run, caplog, tmp_path):
    with caplog.at_level(logging.WARNING):
        start, final = run(0.9, 0.5, 0.6)
    assert final.info["steps"] == 0
    assert all(torch.equal(value, final.state[key]) for key, value in start.items())
    said = [text for text in caplog.messages if "makes the weights worse" in text]
    assert len(said) == 1
    assert said[0].startswith("wider/medium is 0.500 at step 1, from 0.900 before the first step")
    rows = measured(tmp_path / "out", "wider/medium")
    assert [row["wider/medium"] for row in rows] == pytest.approx([0.9, 0.5, 0.6])


def test_what_is_better_takes_its_place(run, caplog):
    start, final = run(0.5, 0.45, 0.6)
    assert final.info["steps"] == 2
    assert not all(torch.equal(value, final.state[key]) for key, value in start.items())
    assert "makes the weights worse" not in caplog.text
    # Frozen from the first step: the running statistics are those of the start.
    running = [key for key in start if key.endswith("running_mean")]
    assert running
    assert all(torch.equal(start[key], final.state[key]) for key in running)
