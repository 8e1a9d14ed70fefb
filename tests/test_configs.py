"""Every YAML file composes, and every object it describes is built with arguments it has."""

import inspect
import re

import pytest
import torch
from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.utils import get_object

from facedet.config import CONF_DIR, SWEEPS_DIR, build, compose, plain
from facedet.config_store import extd_cells
from facedet.errors import UsageError

# What `train` takes where nothing else is said; `test_primary` has all of it.
DEFAULTS = {
    *compose("train", with_hydra=True).hydra.runtime.choices.items(),
    *(("callbacks", name) for name in compose("train").callbacks),
}
FILES = sorted({(file.parent.name, file.stem) for file in CONF_DIR.glob("*/*.yaml")} - DEFAULTS)
# Callbacks add up: all in one config, for joining its files takes 0.3 s.
CALLBACKS = ",".join(name for group, name in FILES if group == "callbacks")
FILES = [one for one in FILES if one[0] != "callbacks"] + [("callbacks", CALLBACKS)]
SWEEPS = sorted(file.stem for file in SWEEPS_DIR.glob("*.yaml"))
# Parts that fit no EXTD preset, which `train` takes by default.
SMALLHARDFACE = {"backbone": {"vgg16"}, "neck": {"fuse"}, "anchors": {"three_scales"}}
# Backbones whose maps have several widths, which an FPN-like neck cannot add.
SSD_LIKE = {"backbone": {"vgg16_extended", "mobilefacenet"}}
# Their other arguments come from the code, are what the benchmark is, or are Lightning's.
FIXED = (
    "facedet.callbacks.checkpoint_io.MovableCheckpoint",
    "facedet.data.crowds.dataset.ensure_crowds",
    "facedet.data.readers.coco.read_coco",
    "facedet.data.readers.csv.read_csv",
    "facedet.data.readers.voc.read_voc",
    "facedet.data.readers.wider.read_wider",
    "facedet.metrics.wider.WiderAP",
)


def composed(group, name):
    """The config with this file in it."""
    choice = f"[{name}]" if group == "callbacks" else name
    root = [] if group == "data" and name == "crowds" else ["data.root=/nowhere"]
    if name in SMALLHARDFACE.get(group, ()):
        root.append("preset=smallhardface")
    if name in SSD_LIKE.get(group, ()):
        root.append("preset=extd_ssd_64_prelu")
    if group == "variant":
        root.append("preset=extd_plain_32")
    if group == "protocol" or name == "benchmark":
        return compose("evaluate", [f"{group}={choice}", "weights=a", *root])
    return compose("train", [f"{group}={choice}", *root])


def nodes(value, path=""):
    """(path, node) of all nodes with a target, the inner ones too."""
    if isinstance(value, dict):
        if "_target_" in value:
            yield path, value
        for key, inner in value.items():
            yield from nodes(inner, f"{path}.{key}")
    elif isinstance(value, list):
        for place, inner in enumerate(value):
            yield from nodes(inner, f"{path}[{place}]")


def check_keys(config):
    """Every key of every node is an argument of the node's target."""
    found = list(nodes(config))
    assert found
    for path, node in found:
        parameters = inspect.signature(get_object(node["_target_"])).parameters
        if any(one.kind is one.VAR_KEYWORD for one in parameters.values()):
            continue
        unknown = {key for key in node if not key.startswith("_")} - parameters.keys()
        assert not unknown, f"{path}: {node['_target_']} has no {', '.join(sorted(unknown))}"


def check_written_out(config):
    """Every argument of ours with a default is written: Hydra overrides no other key."""
    for path, node in nodes(config):
        target = node["_target_"]
        if target.startswith("facedet.") and target not in FIXED:
            for name, parameter in inspect.signature(get_object(target)).parameters.items():
                is_open = parameter.default is not parameter.empty
                # Data sets with a part to validate on need none of the training pictures for it.
                is_open &= name != "val_share"
                assert not is_open or name in node, f"{path}: {target} does not say {name}"


def build_all(config, group):
    """Builds what a file of this group has a part in."""
    if group == "protocol":
        protocol = config.protocol
        parts = "benchmark", "postprocess", "scales", "merge", "metric"
        for part in map(protocol.get, parts):
            assert build(part) is not None
    elif group in ("data", "augmentation"):
        assert build(config.data).batch_size == config.data.batch_size
    elif group == "trainer":
        trainer = build({**config.trainer, "precision": "32-true"}, logger=False)
        assert trainer.max_steps == config.trainer.max_steps
    elif group == "logger" and "tensorboard" in config.logger:  # which the tests do without
        with pytest.raises(UsageError, match="TensorBoardLogger"):
            build(config.logger)
    elif group in ("callbacks", "logger"):
        assert build(config[group]) is not None
    else:
        assert build_model(config).net is not None
        assert build(config.data) is not None


def build_model(config):
    """The module, without drawing its millions of weights."""
    with torch.device("meta"):
        return build(config.model)


@pytest.mark.parametrize(("group", "name"), FILES)
def test_file(group, name, monkeypatch, tmp_path):
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.chdir(tmp_path)
    config = composed(group, name)
    values = plain(config)
    check_keys(values)
    check_written_out(values)
    if name == "gpu" and not torch.cuda.is_available():
        with pytest.raises(UsageError, match="No supported gpu backend"):
            build_all(config, group)
    else:
        build_all(config, group)


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ("variant=giou", "box_loss=OverlapLoss(penalty='giou'): criterion=sampled has smooth L1"),
        ("box_loss.beta=0.5", "box_loss=SmoothL1(beta=0.5): criterion=sampled has smooth L1 only"),
        ("variant=focal", "(alpha=0.25, gamma=2.0): criterion=sampled has cross-entropy only"),
    ],
)
def test_losses_that_smallhardface_lacks(choice, message):
    with pytest.raises(UsageError, match=re.escape(message)):
        build(compose("train", ["preset=smallhardface", choice]).criterion)


# Both layouts, all widths and all activations; one function generates all 18.
@pytest.mark.parametrize("cell", extd_cells()[::7], ids=lambda cell: cell[0])
def test_generated(cell):
    """An experiment is its preset with the paper's data and schedule; `test_costs` has the nets."""
    name, layout, width, activation = cell
    values = plain(composed("experiment", name))
    check_keys(values)
    assert values["backbone"] == values["model"]["net"]["backbone"]
    assert (values["backbone"]["width"], values["backbone"]["activation"]) == (width, activation)
    neck = {"fpn": "TopDown", "ssd": "Passthrough"}[layout]
    assert values["model"]["net"]["neck"]["_target_"].endswith(neck)
    # EXTD §4: 480,000 steps of 16 crops of 640 px, SGD with momentum 0.9.
    data = values["data"]
    assert data["reader"]["_target_"] == "facedet.data.readers.wider.read_wider"
    assert (values["trainer"]["max_steps"], data["batch_size"]) == (480_000, 16)
    assert data["augmentation"]["size"] == 640
    optimizer = values["optimizer"]
    assert (optimizer["_target_"], optimizer["lr"]) == ("torch.optim.SGD", 0.001)
    assert (optimizer["momentum"], optimizer["weight_decay"]) == (0.9, 0.0005)
    assert values["scheduler"]["milestones"] == [240_000, 360_000]


@pytest.mark.parametrize("name", SWEEPS)
def test_sweep(name):
    """The first and the last value of every swept key compose and build."""
    GlobalHydra.instance().clear()
    search = [f"hydra.searchpath=[file://{CONF_DIR}]"]
    with initialize_config_dir(str(SWEEPS_DIR), version_base="1.3"):
        config = hydra_compose(name, search, return_hydra_config=True)
        assert str(config.hydra.mode).endswith("MULTIRUN")
        grid = {}
        for key, values in config.hydra.sweeper.params.items():
            override = OverridesParser.create().parse_override(f"{key}={values}")
            grid[key] = list(override.sweep_string_iterator())
        assert all(len(values) > 1 for values in grid.values())
        if name == "extd_grid":  # the paper's 18 models
            assert sorted(map(len, grid.values())) == [2, 3, 3]
        for end in (0, -1):
            chosen = [f"{key}={values[end]}" for key, values in grid.items()]
            job = hydra_compose(name, [*search, *chosen])
            if job.command == "train":
                assert build_model(job).net is not None
            else:
                assert build(job.protocol.scales)((480, 640))


@pytest.mark.parametrize("name", ["train", "evaluate"])
def test_primary(name):
    overrides = ["weights=a"] if name == "evaluate" else []
    config = compose(name, overrides)
    values = plain(config)
    assert values["command"] == name
    check_keys(values)
    check_written_out(values)
    for group in ("protocol",) if name == "evaluate" else ("data", "trainer", "logger", "preset"):
        build_all(config, group)


def test_the_environment_is_read_in_one_file():
    readers = [
        file.relative_to(CONF_DIR).as_posix()
        for file in CONF_DIR.rglob("*.yaml")
        if "${oc.env:" in file.read_text(encoding="utf-8")
    ]
    assert readers == ["paths/default.yaml"]
