import random
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from facedet.callbacks.random_states import RandomStates


def draw():
    return random.random(), np.random.random(), float(torch.rand(())), np.random.standard_normal()


def test_what_comes_after_a_checkpoint_comes_again(tmp_path):
    trainer = SimpleNamespace(world_size=1, global_rank=0)
    callback, checkpoint = RandomStates(), {}
    np.random.standard_normal()  # leaves a second value behind
    callback.on_save_checkpoint(trainer, None, checkpoint)
    torch.save(checkpoint, tmp_path / "a.ckpt")
    expected = draw()
    draw()
    callback.on_load_checkpoint(trainer, None, torch.load(tmp_path / "a.ckpt", weights_only=True))
    assert draw() != expected  # set only when the training starts
    callback.on_train_start(trainer, None)
    assert draw() == expected


@pytest.mark.parametrize("checkpoint", [{}, {"facedet_random_states": [{}, {}]}])
def test_without_a_state_of_this_process_nothing_is_set(checkpoint):
    callback, trainer = RandomStates(), SimpleNamespace(world_size=1, global_rank=0)
    callback.on_load_checkpoint(trainer, None, checkpoint)
    torch.manual_seed(3)
    expected = float(torch.rand(()))
    torch.manual_seed(3)
    callback.on_train_start(trainer, None)
    assert float(torch.rand(())) == expected
