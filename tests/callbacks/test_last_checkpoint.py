from types import SimpleNamespace

import pytest

from facedet.callbacks.last_checkpoint import LastCheckpoint
from facedet.errors import FacedetError, UsageError


def saved_steps(every, max_steps, steps, error=None):
    saved = []

    def save(path, weights_only):
        if error:
            raise error
        saved.append(trainer.global_step)

    trainer = SimpleNamespace(global_step=0, max_steps=max_steps, save_checkpoint=save)
    callback = LastCheckpoint("folder", every)
    for step in steps:
        trainer.global_step = step
        callback.on_train_batch_end(trainer, None, None, None, 0)
    return saved


def test_every_so_many_steps_and_at_the_last():
    assert saved_steps(3, 8, range(1, 9)) == [3, 6, 8]


def test_once_per_step_when_gradients_are_accumulated():
    assert saved_steps(2, 4, [0, 1, 1, 2, 2, 3, 3, 4]) == [2, 4]


def test_a_full_disk_is_said():
    with pytest.raises(FacedetError, match=r"folder/last.ckpt cannot be written: No space"):
        saved_steps(1, 2, [1], OSError(28, "No space left on device"))


def test_a_step_below_one_is_refused():
    with pytest.raises(UsageError, match="every_n_train_steps=0"):
        LastCheckpoint("folder", 0)
