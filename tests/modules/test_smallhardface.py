"""SmallHardFace's parameter groups, and one step of its training."""

from functools import partial

import pytest
import torch
from torch import nn

from facedet.config import build, compose
from facedet.modules.smallhardface import SmallHardFaceModule
from facedet.structures import NO_POSITIVE, Target

OPTIMIZERS = ["sgd", "adamw"]
SCHEDULERS = [["constant"], ["multistep", "scheduler.milestones=[2, 4]"], ["warmup_cosine"]]


class Small(nn.Module):
    """Backbone, neck and head of one number each, the backbone's first part frozen."""

    def __init__(self):
        super().__init__()
        self.backbone = nn.Sequential(nn.Linear(1, 1).requires_grad_(False), nn.Linear(1, 1))
        self.neck = nn.Linear(1, 1)
        self.head = nn.Linear(1, 1)
        for parameter in self.parameters():
            nn.init.ones_(parameter)


def make_module(net=None, optimizer=None, scheduler=None, **rates):
    return SmallHardFaceModule(
        net or Small(),
        criterion=None,
        postprocess=None,
        optimizer=optimizer or partial(torch.optim.SGD, lr=0.1, weight_decay=0.5),
        scheduler=scheduler or partial(torch.optim.lr_scheduler.ConstantLR, factor=1.0),
        channels_last=False,
        **rates,
    )


@pytest.fixture(scope="module")
def published():
    torch.manual_seed(0)
    words = ["preset=smallhardface", "scheduler=constant", "trainer.max_steps=10", "optimizer=sgd",
             "optimizer.lr=0.004", "optimizer.weight_decay=0.00025"]  # fmt: skip
    return build(compose("train", words).model)


def test_groups_of_the_published_network(published):
    groups = published.configure_optimizers()["optimizer"].param_groups
    table = [
        (group["name"], len(group["params"]), sum(one.numel() for one in group["params"]),
         round(group["lr"], 9), group["weight_decay"], group["momentum"])
        for group in groups
    ]  # fmt: skip
    print(*table, sep="\n")
    # Trunk: nine convolutions of conv3 … conv5 and four of the neck. Head: the shared one, and
    # scores and boxes of three anchors. With 260,160 frozen ones they are 18,077,010.
    assert table == [
        ("trunk.weight", 13, 17_661_952, 0.008, 0.00025, 0.9),
        ("trunk.bias", 13, 4_992, 0.016, 0.00025, 0.9),
        ("head.weight", 7, 149_760, 0.004, 0.00025, 0.9),
        ("head.bias", 7, 146, 0.008, 0.0, 0.9),
    ]
    assert sum(row[2] for row in table) + 260_160 == 18_077_010


def test_every_parameter_is_in_one_group_and_frozen_ones_in_none(published):
    names = {parameter: name for name, parameter in published.net.named_parameters()}
    chosen = [names[one] for group in published.parameter_groups() for one in group["params"]]
    assert len(chosen) == len(set(chosen))
    left_out = set(names.values()) - set(chosen)
    assert left_out == {
        f"backbone.conv{block}_{k}.{kind}"
        for block in (1, 2) for k in (1, 2) for kind in ("weight", "bias")
    }  # fmt: skip


def test_one_update_by_hand():
    module = make_module()
    optimizer = module.configure_optimizers()["optimizer"]
    for parameter in module.net.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    # From 1 with gradient 1, rate 0.1 and decay 0.5 to 1 - 0.1 f (1 + 0.5); f = 2, 4, 1, 2, and
    # the head's bias without the 0.5.
    trunk = {"weight": 1 - 0.2 * 1.5, "bias": 1 - 0.4 * 1.5}
    expected = {
        **{f"backbone.0.{kind}": 1.0 for kind in trunk},
        **{f"backbone.1.{kind}": value for kind, value in trunk.items()},
        **{f"neck.{kind}": value for kind, value in trunk.items()},
        "head.weight": 1 - 0.1 * 1.5,
        "head.bias": 1 - 0.2,
    }
    found = {name: one.item() for name, one in module.net.named_parameters()}
    assert found == pytest.approx(expected)


def test_other_rates():
    groups = make_module(trunk_rate=0.5, bias_rate=1.0).configure_optimizers()["optimizer"]
    assert [group["lr"] for group in groups.param_groups] == [0.05, 0.05, 0.1, 0.1]


def test_a_group_without_parameters_is_left_out():
    net = Small()
    net.head.bias = None
    names = [group["name"] for group in make_module(net).parameter_groups()]
    assert names == ["trunk.weight", "trunk.bias", "head.weight"]


@pytest.mark.parametrize("scheduler", SCHEDULERS, ids=lambda words: words[0])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_all_groups_follow_the_schedule(optimizer, scheduler):
    name, *more = scheduler
    words = [f"optimizer={optimizer}", f"scheduler={name}", *more, "trainer.max_steps=8"]
    config = compose("train", words)
    module = make_module(None, build(config.optimizer), build(config.scheduler))
    configured = module.configure_optimizers()
    # The same schedule over one group that has the optimiser's own rate.
    plain = build(config.optimizer)([torch.zeros(1, requires_grad=True)])
    schedule = build(config.scheduler)(plain)
    seen = set()
    for _ in range(6):
        (base,) = (group["lr"] for group in plain.param_groups)
        seen.add(base)
        rates = [group["lr"] / base for group in configured["optimizer"].param_groups]
        assert rates == pytest.approx([2.0, 4.0, 1.0, 2.0])
        decays = [group["weight_decay"] for group in configured["optimizer"].param_groups]
        assert decays == [0.0005, 0.0005, 0.0005, 0.0]
        plain.step()
        schedule.step()
        configured["optimizer"].step()
        configured["lr_scheduler"]["scheduler"].step()
    assert (len(seen) > 1) == (name != "constant")


def test_a_training_step(published):
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (2, 3, 90, 70), dtype=torch.uint8, generator=generator)
    # A face on an anchor of 32 px, and an image without any.
    boxes = [torch.tensor([[8.0, 16, 39, 47]]), torch.zeros(0, 4)]
    targets = [
        Target(box, torch.zeros(len(box)).bool(), torch.ones(len(box), 3).bool(), i, (90, 70))
        for i, box in enumerate(boxes)
    ]
    published.train()
    output = published.training_step((images, targets), 0)
    output["loss"].backward()
    assert output["loss"].isfinite()
    hardest = output["hardest_positive"].tolist()
    assert 0 < hardest[0] < 1
    assert hardest[1] == NO_POSITIVE
    for name, parameter in published.net.named_parameters():
        is_frozen = name.startswith(("backbone.conv1", "backbone.conv2"))
        assert (parameter.grad is None) == is_frozen, name
