"""What the metrics have in common: tables of numbers about pictures, each counted once.

Every state is a list of float64 vectors that torchmetrics joins over the processes: a process that
saw no picture sends an empty vector of the metric's own type, so all states have that one, which
holds indices and bits exactly.
"""

from abc import abstractmethod
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities.data import dim_zero_cat


class PictureMetric(Metric):
    """A metric over the pictures of a set.

    A picture that is seen again, by its target's `index`, counts once, since distributed samplers
    fill up their last round with repetitions.

    Args:
        pictures: columns of the table with a row per picture: its index, its detections, its
            number of rows in each other table, and more.
        tables: columns of the other tables.
    """

    is_differentiable = False
    higher_is_better = True
    full_state_update = False

    def __init__(self, pictures: int, **tables: int) -> None:
        super().__init__()
        self._columns = {"pictures": pictures, **tables}
        self._curves: Any = None
        self._pictures = torch.zeros(0, pictures, dtype=torch.long)
        self.set_dtype(torch.float64)
        for name in self._columns:
            self.add_state(name, default=[], dist_reduce_fx="cat")

    @abstractmethod
    def make_curves(self, pictures: Tensor, *tables: Tensor) -> Any:  # noqa: ANN401
        """The curves from the tables, in which each picture stands once, by rising index."""

    @abstractmethod
    def values(self, curves: Any) -> dict[str, Tensor]:  # noqa: ANN401
        """The numbers in [0, 1] by name; 0 where there is no face."""

    def add(self, **rows: Tensor) -> None:
        """Adds rows, of any shape and type, to tables."""
        self._curves = None
        for name, values in rows.items():
            getattr(self, name).append(self._to_state(values.flatten()))

    def compute(self) -> dict[str, Tensor]:
        """The numbers over all pictures that all processes have seen, see `values`."""
        self._pictures, *tables = self._tables()
        self._curves = self.make_curves(self._pictures, *tables)
        values = self.values(self._curves)
        return {name: self._to_state(value) for name, value in values.items()}

    def forward(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        """Adds pictures as `update` does and gives their own numbers."""
        values = super().forward(*args, **kwargs)
        self._curves = None  # they were the batch's
        return values

    def reset(self) -> None:
        """Forgets all pictures."""
        super().reset()
        self._curves = None

    def curves(self) -> Any:  # noqa: ANN401
        """The curves; like the counts below, computed if `compute` was not called.

        In a distributed run, call `compute` in every process first.
        """
        if self._curves is None:
            self.compute()
        return self._curves

    def seen(self) -> Tensor:
        """The table of the pictures [I, columns] int64, each once."""
        self.curves()
        return self._pictures

    @property
    def images(self) -> int:
        """Images seen, each counted once."""
        return len(self.seen())

    @property
    def detections(self) -> int:
        """Detections in them."""
        return int(self.seen()[:, 1].sum())

    def _to_state(self, values: Tensor) -> Tensor:
        """Values in the type and on the device of the states."""
        # MPS has no float64; it is never distributed either, so its states may stay in memory.
        place = torch.device("cpu") if self.device.type == "mps" else self.device
        return values.to(device=place, dtype=torch.float64)

    def _tables(self) -> list[Tensor]:
        """All tables in memory, without repetitions."""
        stored = []
        for name, columns in self._columns.items():
            state = getattr(self, name)
            joined = dim_zero_cat(state).cpu() if len(state) else torch.zeros(0)
            stored.append(joined.double().reshape(-1, columns))
        pictures, others = stored[0].long(), stored[1:]
        first = np.unique(pictures[:, 0].numpy(), return_index=True)[1].tolist()
        found = [pictures[first]]
        for place, rows in enumerate(others, start=2):
            parts = rows.split(pictures[:, place].tolist())
            found.append(torch.cat([parts[one] for one in first]) if first else rows)
        return found
