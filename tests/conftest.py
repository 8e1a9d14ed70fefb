"""What tests share: the folder of real data, small detectors, calls of the command line."""

import copy
import json
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from hypothesis import settings
from omegaconf import OmegaConf

from facedet import config
from facedet.cli import main
from facedet.models.anchors import AnchorGenerator
from facedet.models.backbones.iterative import IterativeBackbone
from facedet.models.detector import Detector
from facedet.models.heads.multibox import MultiBoxHead
from facedet.models.necks.passthrough import Passthrough
from facedet.models.necks.top_down import TopDown
from facedet.sweeps.plan import search_path
from facedet.weights.released_extd import import_released_extd
from reference.one_face import make_wider, save_one_face, save_picture

NECKS = {"fpn": TopDown, "ssd": Passthrough}

# A busy machine is no failure, and the same examples are drawn every time.
settings.register_profile("facedet", deadline=None, derandomize=True)
settings.load_profile("facedet")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Slow tests come first: for one that begins last all processes wait."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


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


class Result(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def json(self):
        return json.loads(self.out)

    def check_error(self, code, *words):
        """The exit code, and one line on stderr that holds the words."""
        assert self.code == code, self.err
        lines = self.err.strip().splitlines()
        assert len(lines) == 1, self.err
        for word in words:
            assert str(word) in lines[0], lines[0]


@pytest.fixture
def cli(capsys):
    """Runs `facedet WORDS` in this process."""

    def run(*words):
        capsys.readouterr()
        try:
            code = main([str(word) for word in words])
        except SystemExit as stop:  # argparse's way out
            code = stop.code
        return Result(code, *capsys.readouterr())

    return run


@pytest.fixture(scope="session")
def weights(tmp_path_factory):
    """A weights file whose detector finds one face in every picture."""
    return save_one_face(tmp_path_factory.mktemp("weights") / "one face.safetensors")


@pytest.fixture(scope="session")
def wider(tmp_path_factory):
    """A small data set in WIDER FACE's layout, with its lists."""
    root = make_wider(tmp_path_factory.mktemp("data") / "wider ü")
    return make_wider(root, "train", images=8)


@pytest.fixture(autouse=True, scope="session")
def _composed_once():
    """Configs of the package are composed once and copied: each takes Hydra half a second.

    A quarter of that goes into reading the same files again, which is done once too.
    """
    composed, compose, read, load = {}, config._compose, {}, OmegaConf.load

    def loaded(file):
        path = Path(str(getattr(file, "name", file)))
        if not path.is_relative_to(config.CONF_DIR):
            return load(file)
        if path not in read:
            read[path] = load(file)
        return copy.deepcopy(read[path])

    def copied(name, overrides, folder, with_hydra=False):
        places = [one for one in overrides if one.startswith("hydra.searchpath=")]
        # Folders of a test may change.
        if folder not in (None, config.SWEEPS_DIR) or places not in ([], [search_path()]):
            return compose(name, overrides, folder, with_hydra)
        key = (name, *overrides, folder, with_hydra)
        if key not in composed:
            composed[key] = compose(name, overrides, folder, with_hydra)
        return copy.deepcopy(composed[key])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(config, "_compose", copied)
        patch.setattr(OmegaConf, "load", loaded)
        yield


@pytest.fixture(autouse=True, scope="session")
def _own_cache(tmp_path_factory):
    """Weights that are exported for an engine go into a cache of the tests' own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FACEDET_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path_factory, monkeypatch):
    """Commands run in an empty folder: nothing may depend on the checkout."""
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))


@pytest.fixture
def photos(tmp_path):
    """A folder of two sound pictures of 64 x 48 px, with an odd name."""
    folder = tmp_path / "photos ü (1)"
    save_picture(folder / "a b.jpg")
    save_picture(folder / "sub" / "c.png", seed=1)
    return folder
