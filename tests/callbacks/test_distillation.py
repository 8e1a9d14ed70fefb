"""A teacher beside the annotations, or in their place."""

from types import SimpleNamespace

import pytest
import pytorch_lightning as pl
import torch
from hydra.utils import instantiate
from torch import nn
from torch.utils.data import DataLoader

from facedet.callbacks.distillation import Distillation
from facedet.config import compose
from facedet.criteria.distillation import distillation_losses
from facedet.errors import UsageError
from facedet.models.anchors import AnchorGenerator
from facedet.modules.base import DetectionModule
from facedet.structures import Losses, Predictions
from facedet.weights.store import load_network

ANCHORS = torch.tensor([[0.0, 0.0, 8.0, 8.0], [8.0, 0.0, 16.0, 8.0]])


class Net(nn.Module):
    """Two anchors whose answers are a bias and the image's mean."""

    enlarge = 1.0

    def __init__(self, bias, anchors=ANCHORS, levels=(2,)):
        super().__init__()
        self.bias = nn.Parameter(torch.tensor(bias))
        self.anchors = anchors
        self.levels = levels

    def forward(self, images):
        zeros = images.mean(dim=(1, 2, 3))[:, None] * torch.zeros(1, len(self.anchors))
        logits = torch.stack([zeros, zeros + self.bias], dim=2)
        return Predictions(
            logits, zeros[..., None].repeat(1, 1, 4) + self.bias, self.anchors, self.levels
        )


def annotated(predictions, targets):
    """A criterion that says 2 and 3, whatever it sees."""
    zero = predictions.logits.sum() * 0
    return Losses(zero + 2, zero + 3, torch.tensor(1), torch.full((len(targets),), 0.25))


def trained(tmp_path, callback, steps=1, net=None, size=(8, 16)):
    """A student after some steps with the callback, and what its steps gave."""
    module = DetectionModule(
        net or Net(0.0), annotated, None, lambda parameters: torch.optim.SGD(parameters, lr=0.1),
        lambda optimizer: torch.optim.lr_scheduler.ConstantLR(optimizer, factor=1),
    )  # fmt: skip
    given = []

    class Listening(pl.Callback):
        def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
            given.append(outputs)

    batch = (torch.rand(2, 3, *size) * 255, [SimpleNamespace(index=i) for i in range(2)])
    trainer = pl.Trainer(
        max_steps=steps, logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, default_root_dir=tmp_path, accelerator="cpu",
        callbacks=[callback, Listening()],
    )  # fmt: skip
    trainer.fit(module, DataLoader([batch] * steps, batch_size=None))
    return module, given


def test_the_loss_is_mixed_and_the_teacher_stays_as_it_is(tmp_path):
    teacher = Net(2.0)
    module, given = trained(tmp_path, Distillation(teacher, share=0.25, confident=0.5))
    images = torch.zeros(2, 3, 8, 16)
    distilled = distillation_losses(Net(0.0)(images), teacher(images))
    wanted = 0.75 * 5 + 0.25 * (distilled.classification + distilled.box).item()
    assert given[0]["loss"].item() == pytest.approx(wanted)
    # Hard image mining goes by the annotations.
    assert given[0]["hardest_positive"].tolist() == [0.25, 0.25]
    assert (teacher.bias.item(), teacher.bias.grad, teacher.training) == (2.0, None, False)
    assert "bias" not in "".join(key for key in module.state_dict() if key != "net.bias")
    assert module.criterion is annotated


def test_a_student_becomes_as_its_teacher(tmp_path):
    module, given = trained(tmp_path, Distillation(Net(2.0), share=1.0, confident=0.5), steps=60)
    assert module.net.bias.item() == pytest.approx(2.0, abs=0.05)
    assert given[-1]["loss"] < 0.01 < given[0]["loss"]


def test_a_teacher_may_have_maps_twice_as_fine(tmp_path):
    finer = AnchorGenerator([4], 2.0)([(2, 4)], torch.device("cpu"))
    teacher = Net(2.0, finer, levels=(8,))
    module, _ = trained(tmp_path, Distillation(teacher, share=1.0, confident=0.5), steps=60)
    assert module.net.bias.item() == pytest.approx(2.0, abs=0.05)


def test_a_detector_that_enlarges_its_picture_is_taught_with_the_enlarged_one(tmp_path):
    net = instantiate(compose("network", ["preset=extd_plain_32_s8"]).model.net)
    teacher = load_network("extd-fpn-32-prelu")
    callback = Distillation(teacher, share=1.0, confident=0.5)
    # 1.2 times 427 px are 512 px, which strides 4 to 256 divide.
    _, given = trained(tmp_path, callback, net=net, size=(427, 427))
    assert (net.enlarge, teacher.enlarge) == (1.2, 1.2)
    assert given[0]["loss"].isfinite()
    with pytest.raises(UsageError, match="an augmentation.size that, enlarged,"):
        trained(tmp_path, callback, net=net, size=(512, 512))


@pytest.mark.parametrize(
    ("anchors", "levels"),
    [
        (torch.cat([ANCHORS, ANCHORS]), (4,)),
        (AnchorGenerator([4], 4.0)([(2, 4)], torch.device("cpu")), (8,)),  # twice as fine and large
    ],
)
def test_other_anchors_are_refused(tmp_path, anchors, levels):
    wanted = f"its {len(anchors)} anchors are neither the model's 2"
    with pytest.raises(UsageError, match=wanted):
        trained(tmp_path, Distillation(Net(2.0, anchors, levels), share=1.0, confident=0.5))
