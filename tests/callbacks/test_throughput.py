from types import SimpleNamespace

import pytest
from torch import nn

from facedet.callbacks import throughput
from facedet.callbacks.throughput import Throughput


def test_speed_of_the_latest_steps_without_validations(monkeypatch):
    """Steps of 4 images end at 0, 2, 4 and 10 s; with two processes that is 8 in 2, 4 and 6 s."""
    clock, logged, settings = [0.0], [], []
    monkeypatch.setattr(throughput.time, "monotonic", lambda: clock[0])
    logger = SimpleNamespace(log_hyperparams=settings.append)
    trainer = SimpleNamespace(
        log_every_n_steps=2, world_size=2, is_global_zero=True, loggers=[logger]
    )
    module = SimpleNamespace(
        net=nn.Conv2d(3, 2, 1), log=lambda name, value: logged.append((name, value))
    )
    callback = Throughput()
    callback.on_fit_start(trainer, module)
    # 3 * 2 weights and 2 biases; at 640 x 640 px 3 * 2 * 640 * 640 multiply-adds.
    assert settings == [{"cost": {"parameters": 8, "multiply_adds_640": 2_457_600}}]
    for end in (0.0, 2.0, 4.0, 10.0):
        clock[0] = end
        callback.on_train_batch_end(trainer, module, None, (None, [0] * 4), 0)
    # 8 / 2, 16 / 4, and of the window of two steps 16 / 8.
    assert logged == [("train/images_per_second", value) for value in (4.0, 4.0, 2.0)]
    callback.on_validation_end(trainer, module)
    clock[0] = 1000.0
    callback.on_train_batch_end(trainer, module, None, (None, [0] * 4), 0)
    clock[0] = 1004.0
    callback.on_train_batch_end(trainer, module, None, (None, [0] * 4), 0)
    assert logged[3:] == [("train/images_per_second", pytest.approx(2.0))]
