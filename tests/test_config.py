"""Configs: what composes, what is said where it does not, and what may be built."""

import pytest
import torch
from omegaconf import OmegaConf

from facedet.config import (
    CONF_DIR,
    SWEEPS_DIR,
    build,
    compose,
    extd_cells,
    plain,
    presets,
)
from facedet.errors import FacedetError, UsageError


def complaint(*overrides, name="train"):
    with pytest.raises(UsageError) as caught:
        plain(compose(name, overrides))
    text = str(caught.value)
    assert "\n" not in text
    return text


def test_the_papers_models():
    # 2 layouts x 3 widths x 3 activations.
    assert len(extd_cells()) == 18
    assert presets()[:18] == [name for name, *_ in extd_cells()]
    assert ("extd_fpn_48_leaky_relu", "fpn", 48, "leaky_relu") in extd_cells()


@pytest.mark.parametrize("name", ["extd_fpn_48_leaky_relu", "extd_ssd_32_relu"])
def test_a_preset_says_layout_width_and_activation(name):
    _, layout, width, activation = next(cell for cell in extd_cells() if cell[0] == name)
    config = compose("train", [f"preset={name}"])
    assert (config.backbone.width, config.backbone.activation) == (width, activation)
    neck = {"fpn": "TopDown", "ssd": "Passthrough"}[layout]
    assert config.model.net.neck._target_.endswith(neck)


def test_an_override_beats_the_preset():
    config = compose("train", ["preset=extd_fpn_64_prelu", "backbone.width=48"])
    assert config.model.net.backbone.width == 48
    assert config.model.net.backbone.activation == "prelu"


def test_folders_are_where_they_should_be():
    assert (CONF_DIR / "train.yaml").is_file()
    assert SWEEPS_DIR.is_dir()


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("backbone.widht=3", "backbone.widht: there is no such key; the nearest is backbone.width"),
        ("trainer.max_step=5", "the nearest is trainer.max_steps"),
        ("bakbone=iterative", "the nearest is backbone"),
        ("sede=3", "the nearest is seed"),
        ("qqqq=3", "qqqq: there is no such key"),
        (
            "preset=extd_fpn_65_prelu",
            "preset=extd_fpn_65_prelu: there is no such choice; the nearest is extd_fpn_64_prelu",
        ),
        ("experiment=extd_ssd_32_rule", "the nearest is extd_ssd_32_relu"),
        ("data=widr", "data=widr: there is no such choice; the nearest is wider; there are"),
        ("callbacks=[progres]", "progres: there is no such choice; the nearest is progress"),
        ("backbone", "backbone: settings are written KEY=VALUE"),
        ("backbone=3", "backbone=3: a part's name is wanted; there are iterative"),
        ("trainer=null", "trainer=null: a part's name is wanted; there are cpu, ddp, debug"),
        ("data=", "data=: a part's name is wanted"),
        ("backbone.width=32,48", "backbone.width=32,48: several values are for --multirun"),
        ("data=wider", "data.root is not given: add data.root=VALUE"),
        ("seed=${nowhere}", "nowhere"),
        ("seed=[1", "[1"),
    ],
)
def test_complaints_name_the_override_and_the_nearest(override, words):
    assert words in complaint(override)


def test_a_complaint_of_another_primary_config():
    assert "nearest is protocol" in complaint("weights=a", "protcol=wider", name="evaluate")
    assert complaint(name="evaluate") == "weights is not given: add weights=VALUE"
    assert "nearest is wider_shf" in complaint("protocol=wider_ssh", name="evaluate")


@pytest.mark.parametrize(
    "value",
    [
        "/data/jörg/a.safetensors",
        "my photos/a.safetensors",
        "a (1).safetensors",
        "it's.safetensors",
        'a "b".safetensors',
        "#1.safetensors",
        "a=b.safetensors",
        "weights & more",
        "写真/a.pth",
        "plain.safetensors",
    ],
)
def test_paths_of_all_letters_arrive_as_they_were_given(value):
    assert compose("evaluate", [f"weights={value}"]).weights == value


def test_home_is_expanded_where_the_shell_does_not(monkeypatch):
    monkeypatch.setenv("HOME", "/home/jörg")
    assert compose("evaluate", ["weights=~/a.pth"]).weights == "/home/jörg/a.pth"
    assert compose("evaluate", ["weights=a~/b"]).weights == "a~/b"


def test_build_says_which_class_refused_and_why():
    config = compose("train", ["+criterion.banana=3"])
    with pytest.raises(UsageError, match=r"MultiBoxLoss: .*banana"):
        build(config.criterion)
    config = compose("train", ["optimizer=adamw", "optimizer.lr=-1"])
    with pytest.raises(UsageError, match="AdamW: Invalid learning rate: -1"):
        build({**config.optimizer, "_partial_": False}, params=[torch.zeros(1)])


def test_build_hands_on_our_own_errors():
    with pytest.raises(FacedetError, match="width=33 has no released block list") as caught:
        build(compose("train", ["backbone.width=33"]).model)
    assert "\n" not in str(caught.value)


def test_build_passes_arguments_and_plain_values_on():
    node = OmegaConf.create({"_target_": "builtins.dict", "a": [1, {"b": 2}]})
    built = build(node, c=3)
    assert built == {"a": [1, {"b": 2}], "c": 3}
    assert type(built["a"]) is list


def test_plain_is_data_only():
    values = plain(compose("train"))
    assert values["model"]["net"]["backbone"] == values["backbone"]
    assert values["optimizer"]["lr"] == 0.001
    assert type(values["callbacks"]) is dict
