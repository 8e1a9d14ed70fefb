"""Muon (Jordan et al., 2024): steps of equal length in every direction of a layer's weights."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

# Five of these iterations bring singular values from 0.01 … 1 to about 0.7 … 1.2.
_ITERATIONS = 5
_A, _B, _C = 3.4445, -4.7750, 2.0315
# Not the layer that reads the picture (3 inputs), depthwise ones (1), or the last (2 or 4).
_FEWEST_CHANNELS = 5


class Muon(torch.optim.AdamW):
    """Orthogonalised momentum for convolutions and linear layers, AdamW for everything else.

    A layer's weights are a matrix of one row per output. Its step is the nearest orthogonal matrix
    to the averaged gradient (Nesterov's momentum), made by Newton-Schulz iterations, times the
    root of rows over columns where there are more rows. `torch.optim.Muon`, which came after torch
    2.6, takes matrices only, and iterates in bfloat16.

    Args:
        params: parameters, or groups of them; a group's matrices become a group of their own.
        lr: of the parameters that AdamW steps.
        matrix_factor: times `lr`: of the matrices.
        momentum: of the matrices' gradients, in 0 … 1.
        settings: of `torch.optim.AdamW`; `weight_decay` counts for the matrices too.
    """

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[dict[str, Any]],
        lr: float,
        matrix_factor: float,
        momentum: float,
        **settings: Any,  # noqa: ANN401
    ) -> None:
        given: list[Any] = list(params)
        groups = given if given and isinstance(given[0], dict) else [{"params": given}]
        split = []
        for group in groups:
            members = list(group["params"])
            matrices = [one for one in members if _is_matrix(one)]
            rest = [one for one in members if not _is_matrix(one)]
            own: dict[str, Any] = {"lr": lr * matrix_factor, "momentum": momentum}
            if "name" in group:
                own["name"] = f"{group['name']}_matrices"
            split += [group | {"params": rest}, group | own | {"params": matrices}]
        super().__init__([group for group in split if group["params"]], lr=lr, **settings)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:  # noqa: ANN401
        """One step; the matrices' gradients are used up by it."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for weights in group["params"] if "momentum" in group else ():
                if weights.grad is not None:
                    self._step_matrix(weights, weights.grad, group)
                    weights.grad = None  # AdamW leaves it alone
        super().step()
        return loss

    def _step_matrix(self, weights: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        rate, momentum = float(group["lr"]), group["momentum"]
        state = self.state[weights]
        if not state:
            state["step"] = torch.zeros(())  # AdamW looks for it when a state is loaded
            state["mean"] = torch.zeros_like(weights)
        state["step"] += 1
        state["mean"].lerp_(gradient, 1 - momentum)
        step = orthogonalised(gradient.lerp(state["mean"], momentum).flatten(1))
        rows, columns = step.shape
        weights.mul_(1 - rate * group["weight_decay"])
        weights.add_(step.view(weights.shape), alpha=-rate * max(1, rows / columns) ** 0.5)


def _is_matrix(weights: Tensor) -> bool:
    return weights.ndim > 1 and min(weights.shape[:2]) >= _FEWEST_CHANNELS


def orthogonalised(matrix: Tensor) -> Tensor:
    """About U Vᵀ of the matrix U S Vᵀ, both [N, M]: every direction has about the same length."""
    rows, columns = matrix.shape
    x = matrix.mT if rows > columns else matrix
    x = x / x.norm().clamp(min=1e-7)
    for _ in range(_ITERATIONS):
        square = x @ x.mT
        x = _A * x + (_B * square + _C * square @ square) @ x
    return x.mT if rows > columns else x
