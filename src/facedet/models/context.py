"""SSH's context module (Najibi et al., arXiv 1708.03979, §3.3)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class ContextModule(nn.Module):
    """Joins three views of a map, through windows of 3, 5 and 7 cells, built of 3x3 convolutions.

    Args:
        in_channels: of the map.
        channels: of the view of 3 cells; the others have half as many each.
    """

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        half = channels // 2
        self.window3 = nn.Conv2d(in_channels, channels, 3, padding=1)
        self.narrow = nn.Conv2d(in_channels, half, 3, padding=1)
        self.window5 = nn.Conv2d(half, half, 3, padding=1)
        self.window7 = nn.Sequential(
            nn.Conv2d(half, half, 3, padding=1), nn.ReLU(), nn.Conv2d(half, half, 3, padding=1)
        )

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] to [B, 2 * channels, H, W], before an activation."""
        narrow = F.relu(self.narrow(x), inplace=True)
        return torch.cat([self.window3(x), self.window5(narrow), self.window7(narrow)], dim=1)
