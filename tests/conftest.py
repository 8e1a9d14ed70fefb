"""What tests share: the folder of real data, small detectors, calls of the command line."""

import copy
import json
import os
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from hydra._internal import config_loader_impl
from hydra._internal.defaults_list import Overrides
from hypothesis import settings
from omegaconf import OmegaConf

from facedet import config
from facedet.cli import main
from facedet.data.crowds.dataset import ensure_crowds
from facedet.models.anchors import AnchorGenerator
from facedet.models.backbones.iterative import IterativeBackbone
from facedet.models.detector import Detector
from facedet.models.heads.multibox import MultiBoxHead
from facedet.models.necks.passthrough import Passthrough
from facedet.models.necks.top_down import TopDown
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


@pytest.fixture(scope="session")
def crowds(tmp_path_factory):
    """A little of the embedded data: six pictures to train with, two to validate with."""
    root = tmp_path_factory.mktemp("data") / "crowds"
    return ensure_crowds(root, train_images=6, val_images=2, size=160, progress=False)


@pytest.fixture(autouse=True, scope="session")
def _composed_once():
    """Hydra reads each file and joins each choice of files once: it takes half a second.

    A command does so three times, and hundreds of tests run one. Only settings differ, which
    Hydra applies to the joined config. What is patched is private to Hydra, and for speed alone:
    where another version lacks it, this fixture can go.
    """
    loader = config_loader_impl.ConfigLoaderImpl
    load, choose = OmegaConf.load, config_loader_impl.create_defaults_list
    join = loader._compose_config_from_defaults_list
    read, chosen, joined = {}, {}, {}

    def loaded(file):
        path = Path(str(getattr(file, "name", file)))
        if not path.is_relative_to(config.CONF_DIR):
            return load(file)
        if path not in read:
            read[path] = load(file)
        return copy.deepcopy(read[path])

    def chosen_once(repo, config_name, overrides_list, prepend_hydra, skip_missing):
        given = Overrides(repo, overrides_list).config_overrides
        words = [one.input_line for one in overrides_list if one not in given]
        places = [source.path for source in repo.get_sources() if source.scheme() == "file"]
        key = (config_name, *words, skip_missing, *places)
        if key not in chosen:
            found = choose(repo, config_name, overrides_list, prepend_hydra, skip_missing)
            # Folders of a test may change.
            if not {Path(one) for one in places} <= {config.CONF_DIR, config.SWEEPS_DIR}:
                return found
            chosen[key] = found
        return replace(chosen[key], config_overrides=given)

    def joined_once(self, defaults, repo):
        if not any(defaults is one.defaults for one in chosen.values()):
            return join(self, defaults, repo)
        if id(defaults) not in joined:
            joined[id(defaults)] = join(self, defaults, repo)
        return copy.deepcopy(joined[id(defaults)])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(OmegaConf, "load", loaded)
        patch.setattr(config_loader_impl, "create_defaults_list", chosen_once)
        patch.setattr(loader, "_compose_config_from_defaults_list", joined_once)
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
