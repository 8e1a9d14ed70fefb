"""SmallHardFace's LightningModule (arXiv 1811.11662)."""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torchmetrics import Metric

from facedet.modules.base import DetectionModule
from facedet.structures import Detections, Losses, Predictions, Target


class SmallHardFaceModule(DetectionModule):
    """SmallHardFace: what lies before the head learns faster, and biases learn faster, as released.

    Four groups: the weights and the biases of the trunk (backbone and neck) and of the head. With
    the released rates they learn 2, 4, 1 and 2 times as fast as the optimiser says; the head's
    biases have no weight decay. Frozen parameters are in no group.

    Args:
        net: images [B, 3, H, W] in 0 … 255 to predictions; its last part is `head`.
        criterion: predictions and targets to losses.
        postprocess: predictions to detections, for validation.
        optimizer: called with the groups.
        scheduler: called with the optimiser; steps once per training step.
        metric: of the validation; None: none.
        channels_last: memory format of weights and images.
        trunk_rate: learning rate of what lies before the head, over the head's.
        bias_rate: learning rate of biases, over that of the same part's weights.
    """

    def __init__(
        self,
        net: nn.Module,
        criterion: Callable[[Predictions, list[Target]], Losses],
        postprocess: Callable[[Predictions], list[Detections]],
        optimizer: Callable[..., torch.optim.Optimizer],
        scheduler: Callable[..., torch.optim.lr_scheduler.LRScheduler],
        metric: Metric | None = None,
        channels_last: bool = True,
        trunk_rate: float = 2.0,
        bias_rate: float = 2.0,
    ) -> None:
        super().__init__(net, criterion, postprocess, optimizer, scheduler, metric, channels_last)
        self.trunk_rate = trunk_rate
        self.bias_rate = bias_rate

    def parameter_groups(self) -> list[dict[str, Any]]:
        """The groups that have parameters, named after their part and kind."""
        groups: dict[str, dict[str, Any]] = {
            "trunk.weight": {"rate": self.trunk_rate},
            "trunk.bias": {"rate": self.trunk_rate * self.bias_rate},
            "head.weight": {"rate": 1.0},
            "head.bias": {"rate": self.bias_rate, "weight_decay": 0.0},
        }
        for name, parameter in self.net.named_parameters():
            if parameter.requires_grad:
                part = "head" if name.startswith("head.") else "trunk"
                kind = "bias" if name.endswith("bias") else "weight"
                groups[f"{part}.{kind}"].setdefault("params", []).append(parameter)
        return [{"name": name, **group} for name, group in groups.items() if "params" in group]
