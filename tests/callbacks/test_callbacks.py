from types import SimpleNamespace

import pytest
import torch
from torch import nn

from facedet.callbacks.finite_loss import FiniteLoss
from facedet.callbacks.freeze_norm import FreezeNorm
from facedet.errors import FacedetError, UsageError


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_loss_that_is_no_number_stops_and_names_the_images(bad):
    data = SimpleNamespace(name_of=lambda entry: f"0--Parade/{entry}")
    trainer = SimpleNamespace(datamodule=data, global_step=7)
    callback = FiniteLoss()
    batch = (None, [SimpleNamespace(index=2), SimpleNamespace(index=0)])
    callback.on_train_batch_start(trainer, None, batch, 0)
    callback.on_before_backward(trainer, None, torch.tensor(1.0))
    with pytest.raises(
        FacedetError, match=r"step 7; images of the batch: 0--Parade/2, 0--Parade/0"
    ):
        callback.on_before_backward(trainer, None, torch.tensor(bad))


def test_frozen_normalisation_keeps_its_statistics_but_not_its_weights():
    net = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4)).train()
    callback, norm = FreezeNorm(from_step=2), net[1]
    for step in range(4):
        net.train()
        before = norm.running_mean.clone()
        callback.on_train_batch_start(SimpleNamespace(global_step=step), net, None, 0)
        net(torch.rand(2, 3, 5, 5)).sum().backward()
        assert torch.equal(before, norm.running_mean) == (step >= 2)
        assert net[0].training
    assert norm.weight.grad is not None


def test_a_step_below_zero_is_refused():
    with pytest.raises(UsageError, match="from_step=-1"):
        FreezeNorm(-1)
