"""An update is the same whichever way its images are dealt out: processes, accumulated batches."""

import functools
import os
import socket
from functools import partial

import pytest
import pytorch_lightning as pl
import torch
from torch import nn
from torch.utils.data import DataLoader

from facedet.box_coder import FasterRcnnBoxCoder, SsdBoxCoder
from facedet.criteria.matchers import CompensatingMatcher, TwoThresholdMatcher
from facedet.criteria.miners import HardNegativeRatio, OnlineHardExamples
from facedet.criteria.multibox import MultiBoxLoss
from facedet.criteria.sampled import SampledLoss
from facedet.models.anchors import AnchorGenerator
from facedet.modules.base import DetectionModule
from facedet.structures import Predictions, Target

# Of three updates of eight images each; no image of the last one has a face.
FACES = ((0, 1, 7, 2, 0, 3, 1, 5), (6, 0, 0, 0, 1, 2, 9, 4), (0,) * 8)
SIZE = 64
CRITERIA = {
    "extd": partial(
        MultiBoxLoss, CompensatingMatcher(), HardNegativeRatio(minimum=1), SsdBoxCoder()
    ),
    "smallhardface": partial(
        SampledLoss, TwoThresholdMatcher(), OnlineHardExamples(16), FasterRcnnBoxCoder()
    ),
}


# Images a batch; EXTD accumulates two batches.
SIZES = {"extd": 2, "smallhardface": 4}


class OneMap(nn.Module):
    """One convolution to a map of stride 8: no statistics of a batch."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(3, 6, 8, stride=8)
        self.anchors = AnchorGenerator([8])([(SIZE // 8, SIZE // 8)], torch.device("cpu"))

    def forward(self, images):
        maps = self.conv(images / 255 - 0.5).flatten(2).transpose(1, 2)
        return Predictions(maps[..., :2], maps[..., 2:], self.anchors)


def sample(update, place):
    """An image of noise, and as many faces of about 32 px as `FACES` says."""
    generator = torch.Generator().manual_seed(100 * update + place)
    image = torch.randint(0, 256, (3, SIZE, SIZE), generator=generator).float()
    count = FACES[update][place]
    low = torch.rand(count, 2, generator=generator) * 30
    boxes = torch.cat([low, low + 24 + torch.rand(count, 2, generator=generator) * 10], dim=1)
    subsets = torch.zeros(count, 0, dtype=torch.bool)
    return image, Target(boxes, torch.zeros(count).bool(), subsets, place, (SIZE, SIZE))


def trained(family, batches, **trainer):
    """The weights after an update of every so many batches; a batch is (update, places)."""
    samples = [[sample(update, place) for place in places] for update, places in batches]
    data = [(torch.stack([i for i, _ in one]), [t for _, t in one]) for one in samples]
    module = DetectionModule(
        OneMap(), CRITERIA[family](), postprocess=None,
        optimizer=partial(torch.optim.SGD, lr=0.02, momentum=0.9),
        scheduler=partial(torch.optim.lr_scheduler.ConstantLR, factor=1.0),
    )  # fmt: skip
    pl.Trainer(
        accelerator="cpu", max_epochs=1, logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False, gradient_clip_val=5.0,
        use_distributed_sampler=False, **trainer,
    ).fit(module, DataLoader(data, batch_size=None))  # fmt: skip
    return {name: value.detach().clone() for name, value in module.net.state_dict().items()}


def run_rank(rank, port, results):
    """One of two processes; of every eight images it has the even or the odd ones."""
    torch.set_num_threads(1)
    # As torchrun sets it.
    os.environ |= {
        "TORCHELASTIC_RUN_ID": "one", "RANK": str(rank), "LOCAL_RANK": str(rank),
        "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "GROUP_RANK": "0", "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port), "GLOO_SOCKET_IFNAME": "lo",
    }  # fmt: skip
    own = range(rank, 8, 2)
    for family, size in SIZES.items():
        batches = [(u, own[k : k + size]) for u in range(len(FACES)) for k in range(0, 4, size)]
        trainer = {"strategy": "ddp", "devices": 2, "accumulate_grad_batches": 4 // size}
        results[family, rank] = trained(family, batches, **trainer)
    # Normalisations of each process, amid a training.
    module = DetectionModule(nn.BatchNorm2d(1), None, None, None, None)
    module.net.running_mean.fill_(rank + 1)
    module.on_validation_start()
    results["statistics", rank] = module.net.running_mean.item()


@functools.cache
def in_one_batch(family):
    """The weights after updates of eight images in one batch."""
    return trained(family, [(update, range(8)) for update in range(len(FACES))])


def check_same(found, expected):
    start = OneMap().state_dict()
    for name, value in expected.items():
        assert (value - start[name]).abs().max() > 1e-3
        torch.testing.assert_close(found[name], value, rtol=0, atol=2e-6)


@pytest.mark.parametrize("family", CRITERIA)
@pytest.mark.parametrize(
    "cuts", [(0, 4, 8), (0, 1, 8), (0, 5, 6, 8)], ids=["4 + 4", "1 + 7", "5 + 1 + 2"]
)
@pytest.mark.filterwarnings("ignore")
def test_accumulated_batches_are_one_batch(family, cuts):
    parts = [range(8)[a:b] for a, b in zip(cuts, cuts[1:], strict=False)]
    batches = [(update, part) for update in range(len(FACES)) for part in parts]
    found = trained(family, batches, accumulate_grad_batches=len(parts))
    check_same(found, in_one_batch(family))


@pytest.mark.parametrize("family", CRITERIA)
@pytest.mark.filterwarnings("ignore")
def test_an_update_of_fewer_batches_than_were_to_be_accumulated_is_a_whole_one(family):
    # Three batches, of which four were to be accumulated: Lightning divides by four all the same.
    expected = trained(family, [(0, range(8))])
    parts = [(0, range(3)), (0, range(3, 5)), (0, range(5, 8))]
    check_same(trained(family, parts, accumulate_grad_batches=4), expected)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_two_processes_are_one():
    context = torch.multiprocessing.get_context("spawn")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with context.Manager() as manager:
        results = manager.dict()
        torch.multiprocessing.spawn(run_rank, args=(port, results), nprocs=2)
        found = dict(results)
    assert [found.pop(("statistics", rank)) for rank in range(2)] == [1.0, 1.0]
    assert len(found) == 4
    for (family, _), state in found.items():
        check_same(state, in_one_batch(family))
