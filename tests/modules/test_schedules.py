import pytest
import torch

from facedet.errors import UsageError
from facedet.modules.schedules import FlatCosine, WarmupCosine


def rates(total, steps, kind=WarmupCosine, **settings):
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=2.0)
    schedule = kind(optimizer, total, **settings)
    values = []
    for _ in range(steps):
        values.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return values


def test_by_hand():
    # Rises over 2 of 10 steps from 0.5 to 1, falls over 8 to 0: half-way, at step 6, it is 0.5.
    values = rates(10, 12, warmup=0.2, start=0.5, end=0.0)
    assert values[:3] == pytest.approx([1.0, 1.5, 2.0])
    assert values[6] == pytest.approx(1.0)
    assert values[10:] == pytest.approx([0.0, 0.0], abs=1e-12)


@pytest.mark.parametrize("kind", [WarmupCosine, FlatCosine])
@pytest.mark.parametrize("total", [1, 2, 10, 150, 500, 2000])
def test_there_is_a_rate_at_every_step(total, kind):
    assert all(0 < value <= 2 for value in rates(total, total, kind))


def test_flat_cosine_by_hand():
    # Rises over 2 steps from 0.5, is flat to step 6, falls over 4: half-way, at step 8, it is 0.5.
    settings = {"warmup_steps": 2, "decay_steps": 4, "start": 0.5}
    values = rates(10, 12, FlatCosine, **settings)
    assert values[:7] == pytest.approx([1.0, 1.5] + [2.0] * 5)
    assert values[8] == pytest.approx(1.0)
    assert values[10:] == pytest.approx([0.0, 0.0], abs=1e-12)
    # With more steps nothing changes before the fall.
    assert rates(100, 6, FlatCosine, **settings) == pytest.approx(values[:6])


def test_flat_cosine_without_a_fall():
    assert rates(3, 5, FlatCosine, warmup_steps=0, decay_steps=0) == [2.0] * 5
    assert rates(-1, 3, FlatCosine, warmup_steps=0, decay_steps=0) == [2.0] * 3


@pytest.mark.parametrize(
    ("kind", "settings", "said"),
    [
        (WarmupCosine, {"warmup": 1.5}, "scheduler.warmup=1.5"),
        (FlatCosine, {"decay_steps": -1}, "scheduler.decay_steps=-1"),
    ],
)
def test_what_is_refused(kind, settings, said):
    with pytest.raises(UsageError, match=said):
        rates(10, 1, kind, **settings)


@pytest.mark.parametrize("kind", [WarmupCosine, FlatCosine])
def test_an_open_number_of_steps_has_no_end_to_fall_at(kind):
    with pytest.raises(UsageError, match="trainer.max_steps=-1: .* scheduler=constant does not"):
        rates(-1, 1, kind)
