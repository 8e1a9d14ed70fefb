"""What the metrics' states have in common: rows of numbers, and one row about each picture.

Every state is a list of float64 vectors that torchmetrics joins over the processes: a process that
saw no picture sends an empty vector of the metric's own type, so all states have that one, which
holds indices and bits exactly. Samplers fill up their last round with repetitions, so a picture
may be in it twice.
"""

import numpy as np
import torch
from torch import Tensor
from torchmetrics.utilities.data import dim_zero_cat


def to_state(values: Tensor, device: torch.device) -> Tensor:
    """Values in the type, float64, and on the device of the states.

    MPS has no float64; it is never distributed either, so its states may stay in memory.
    """
    place = torch.device("cpu") if device.type == "mps" else device
    return values.to(device=place, dtype=torch.float64)


def stack_rows(state: list[Tensor], columns: int) -> Tensor:
    """All rows [R, columns] of a state, float64 in memory."""
    joined = dim_zero_cat(state).cpu() if len(state) else torch.zeros(0, dtype=torch.float64)
    return joined.reshape(-1, columns)


def first_places(index: Tensor) -> list[int]:
    """Where each picture's first row is, by rising index, of the indices [I] of all rows."""
    return np.unique(index.numpy(), return_index=True)[1].tolist()
