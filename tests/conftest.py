"""What several test files share: the folder of real data, and small detectors."""

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch
from hypothesis import settings

from facedet.models.anchors import AnchorGenerator
from facedet.models.backbones.iterative import IterativeBackbone
from facedet.models.detector import Detector
from facedet.models.heads.multibox import MultiBoxHead
from facedet.models.importers.released_extd import import_released_extd
from facedet.models.necks.passthrough import Passthrough
from facedet.models.necks.top_down import TopDown

NECKS = {"fpn": TopDown, "ssd": Passthrough}

# A busy machine is no failure, and the same examples are drawn every time.
settings.register_profile("facedet", deadline=None, derandomize=True)
settings.load_profile("facedet")


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real pictures, released weights and stored values."""
    folder = os.environ.get("FACEDET_SHARED")
    if not folder:
        pytest.skip("FACEDET_SHARED is not set")
    return Path(folder)


@pytest.fixture(scope="session")
def golden(shared: Path) -> Path:
    """Values that the authors' releases computed."""
    return shared / "reference" / "golden"


def make_detector(
    layout: str = "fpn", width: int = 32, activation: str = "prelu", passes: int = 6
) -> Detector:
    """An EXTD detector with random weights, the same every time."""
    torch.manual_seed(0)
    return Detector(
        IterativeBackbone(width, passes, activation),
        NECKS[layout],
        AnchorGenerator,
        partial(MultiBoxHead, max_out=3),
    )


@pytest.fixture(scope="session")
def build_detector() -> Callable[..., Detector]:
    """Makes EXTD detectors: (layout, width, activation, passes)."""
    return make_detector


@pytest.fixture(scope="session")
def released_net(shared: Path) -> Callable[[int], Detector]:
    """Makes the released detector of a width (32 or 64), in evaluation mode."""

    def make(width: int) -> Detector:
        path = shared / "reference" / "weights" / f"EXTD_{width}.pth"
        # The files hold tensors of a GPU.
        state = torch.load(path, map_location="cpu", weights_only=True)
        net = make_detector("fpn", width)
        net.load_state_dict(import_released_extd(state))
        return net.eval()

    return make
