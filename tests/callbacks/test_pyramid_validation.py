"""Validation by a pyramid, inside a training of a stand-in for the network."""

from functools import partial

import pytest
import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader

from facedet.callbacks.pyramid_validation import PyramidValidation
from facedet.inference.postprocess import VoteMerge
from facedet.inference.scales import FixedScales
from facedet.metrics.wider import WiderAP
from facedet.modules.base import DetectionModule
from facedet.structures import Losses, Target
from reference.bright_faces import Echo, find_bright, picture

FACE = (20, 30, 60, 80)


class Learning(Echo):
    """Gives its images back, and has something to learn."""

    def forward(self, images):
        return super().forward(images) + self.anchor * 0


def losses_of(images, targets):
    """1.5 for a batch of one image."""
    zero = images.mean() * 0
    return Losses(zero + len(targets), zero + 0.5, torch.tensor(1), torch.zeros(len(targets)))


def batch(index):
    """A picture of 100 x 120 px whose one face is white, padded to 128 px."""
    rgb = torch.zeros(1, 3, 128, 128, dtype=torch.uint8)
    rgb[0, :, :100, :120] = torch.from_numpy(picture(100, 120, FACE)).permute(2, 0, 1)
    subsets = torch.ones(1, 3, dtype=torch.bool)
    box = torch.tensor([FACE], dtype=torch.float32)
    return rgb, [Target(box, torch.zeros(1).bool(), subsets, index, (100, 120))]


def run(every, steps, interval):
    """Names and steps of what was logged."""
    logged = []

    class Watch(pl.Callback):
        def on_validation_end(self, trainer, pl_module):
            if not trainer.sanity_checking:
                found = {k: float(v) for k, v in trainer.logged_metrics.items()}
                logged.append((trainer.global_step, found))

    module = DetectionModule(
        Learning(), losses_of, find_bright, partial(torch.optim.SGD, lr=0.1),
        partial(torch.optim.lr_scheduler.ConstantLR, factor=1.0), WiderAP(), channels_last=False,
    )  # fmt: skip
    callback = PyramidValidation(
        FixedScales((1.0, 0.5)), VoteMerge(keep=None), find_bright, WiderAP(), every
    )
    pl.Trainer(
        accelerator="cpu", max_steps=steps, val_check_interval=interval, logger=False,
        check_val_every_n_epoch=None, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, callbacks=[callback, Watch()], num_sanity_val_steps=1,
    ).fit(
        module,
        DataLoader([batch(i) for i in range(8)], batch_size=None),
        DataLoader([batch(i) for i in range(3)], batch_size=None),
    )  # fmt: skip
    return logged


@pytest.mark.filterwarnings("ignore")
def test_every_so_many_steps_and_at_the_end_where_no_validation_was_due():
    logged = run(every=4, steps=7, interval=2)
    assert [step for step, _ in logged] == [2, 4, 6, 7]
    with_pyramid = [step for step, found in logged if "pyramid/easy" in found]
    # Logged numbers stay until the next ones: from step 4 on.
    assert with_pyramid[0] == 4
    last = logged[-1][1]
    # Seen at two sizes, the face gets two votes; the metric and the loss are there as ever.
    assert last["pyramid/easy"] == last["pyramid/hard"] == pytest.approx(1.0)
    assert last["wider/easy"] == pytest.approx(1.0)
    assert last["val/loss"] == pytest.approx(1.5)
