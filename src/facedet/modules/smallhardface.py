"""SmallHardFace's LightningModule (arXiv 1811.11662)."""

from typing import Any

from torch import nn

from facedet.modules.base import DetectionModule


class SmallHardFaceModule(DetectionModule):
    """SmallHardFace: what lies before the head learns faster, and biases learn faster, as released.

    Four groups: the weights and the biases of the trunk (backbone and neck) and of the head. With
    the released rates they learn 2, 4, 1 and 2 times as fast as the optimiser says; the head's
    biases have no weight decay. Frozen parameters are in no group.

    Args:
        net: as of `DetectionModule`; its last part is `head`.
        trunk_rate: learning rate of what lies before the head, over the head's.
        bias_rate: learning rate of biases, over that of the same part's weights.
        parts: further arguments of `DetectionModule`.
    """

    def __init__(
        self,
        net: nn.Module,
        *,
        trunk_rate: float = 2.0,
        bias_rate: float = 2.0,
        **parts: Any,  # noqa: ANN401
    ) -> None:
        super().__init__(net, **parts)
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
