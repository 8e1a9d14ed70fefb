from types import SimpleNamespace

import pytest
import torch
from torch import nn

from facedet.callbacks.distillation import Distillation
from facedet.callbacks.finite_loss import FiniteLoss
from facedet.callbacks.freeze_norm import FreezeNorm
from facedet.callbacks.image_log import ImageLog
from facedet.callbacks.last_checkpoint import LastCheckpoint
from facedet.callbacks.pyramid_validation import PyramidValidation
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


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: FreezeNorm(-1), "callbacks.freeze_norm.from_step=-1"),
        (lambda: LastCheckpoint("folder", 0), "callbacks.last.every_n_train_steps=0"),
        (
            lambda: PyramidValidation(None, None, None, None, 0),
            "callbacks.pyramid_validation.every_n_steps=0",
        ),
        (lambda: ImageLog("folder", side=0), "image_log: pictures=8, side=0, .*at least 1"),
        *(
            (lambda share=share: Distillation(nn.Identity(), share, 0.5), f"share={share}: above 0")
            for share in (0, 1.5, -1)
        ),
    ],
)
def test_settings_that_are_refused(make, said):
    with pytest.raises(UsageError, match=said):
        make()
