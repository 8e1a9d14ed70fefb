"""Learning-rate schedules by steps that the library lacks."""

import math
from collections.abc import Callable

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from facedet.errors import UsageError


class WarmupCosine(LambdaLR):
    """Rises linearly to the optimiser's rate, then falls as half a cosine.

    Args:
        optimizer: its rate is the highest.
        total_steps: of the whole training; afterwards the rate stays at its end.
        warmup: share of the steps that rise.
        start: factor of the first step.
        end: factor of the last.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        total_steps: int,
        warmup: float = 0.1,
        start: float = 0.04,
        end: float = 0.001,
    ) -> None:
        if not 0 <= warmup < 1:
            raise UsageError(f"scheduler.warmup={warmup} does not lie in 0 … 1")
        rising = warmup * total_steps
        super().__init__(optimizer, _factor(start, rising, rising, total_steps, end))


class FlatCosine(LambdaLR):
    """Rises linearly to the optimiser's rate, keeps it, and falls as half a cosine at the end.

    Rise and flat part do not depend on the number of steps, so a training that was stopped there
    can be resumed with more of them.

    Args:
        optimizer: its rate is the highest.
        total_steps: of the whole training; afterwards the rate stays at its end.
        warmup_steps: steps that rise.
        decay_steps: last steps, those that fall, at most all after the rise; 0: none, whatever
            the number of steps.
        start: factor of the first step.
        end: factor of the last.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        total_steps: int,
        warmup_steps: int = 200,
        decay_steps: int = 1000,
        start: float = 0.04,
        end: float = 0.0,
    ) -> None:
        if warmup_steps < 0 or decay_steps < 0:
            raise UsageError(
                f"scheduler.warmup_steps={warmup_steps}, scheduler.decay_steps={decay_steps}: "
                "negative numbers of steps"
            )
        falling = max(warmup_steps, total_steps - decay_steps) if decay_steps else math.inf
        super().__init__(optimizer, _factor(start, warmup_steps, falling, total_steps, end))


def _factor(
    start: float, rising: float, falling: float, total: int, end: float
) -> Callable[[int], float]:
    """Step to factor: `start` to 1 at step `rising`, 1 up to `falling`, `end` from `total` on."""
    if total < 0 and falling < math.inf:
        raise UsageError(
            f"trainer.max_steps={total}: this scheduler falls at the end of the training and needs "
            "the number of its steps; scheduler=constant does not"
        )

    def factor(step: int) -> float:
        if step < rising:
            return start + (1 - start) * step / rising
        if step < falling:
            return 1.0
        share = min(1.0, (step - falling) / max(1.0, total - falling))
        return end + (1 - end) * (1 + math.cos(math.pi * share)) / 2

    return factor
