"""Learning-rate schedules by steps that the library lacks."""

import math

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

        def factor(step: int) -> float:
            if step < rising:
                return start + (1 - start) * step / rising
            share = min(1.0, (step - rising) / max(1.0, total_steps - rising))
            return end + (1 - end) * (1 + math.cos(math.pi * share)) / 2

        super().__init__(optimizer, factor)


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
        falling = max(warmup_steps, total_steps - decay_steps)

        def factor(step: int) -> float:
            if step < warmup_steps:
                return start + (1 - start) * step / warmup_steps
            if decay_steps == 0:
                return 1.0
            share = min(1.0, max(0, step - falling) / max(1, total_steps - falling))
            return end + (1 - end) * (1 + math.cos(math.pi * share)) / 2

        super().__init__(optimizer, factor)
