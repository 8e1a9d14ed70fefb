"""Configs: what composes, what is said where it does not, and what may be built."""

import pytest
import torch
from omegaconf import OmegaConf

from facedet.config import CONF_DIR, build, compose, literal, plain, presets, quote
from facedet.config_store import extd_cells
from facedet.errors import FacedetError, UsageError
from reference.refused_weights import complaint


def refusal(*overrides, name="train"):
    return complaint(lambda: plain(compose(name, overrides)), kind=UsageError)


def test_the_papers_models():
    # 2 layouts x 3 widths x 3 activations.
    assert len(extd_cells()) == 18
    assert presets()[:18] == [name for name, *_ in extd_cells()]
    files = {file.stem for file in (CONF_DIR / "preset").glob("*.yaml")}
    assert set(presets()[18:]) == files - {"extd_fpn", "extd_ssd"}
    assert ("extd_fpn_48_leaky_relu", "fpn", 48, "leaky_relu") in extd_cells()


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
        ("backbone=3", "backbone=3: Config group override must be a string or a list. Got int"),
        ("trainer=null", "trainer=null: Config group override must be a string or a list"),
        ("data=", "data=: there is no such choice; there are afw, "),
        ("backbone.width=32,48", "backbone.width=32,48: several values are for --multirun"),
        ("data=wider", "data.root is not given: add data.root=VALUE"),
        ("seed=${nowhere}", "nowhere"),
        ("seed=[1", "[1"),
        ("seed=abc", "seed=abc: Value 'abc' of type 'str' could not be converted to Integer"),
        ("overwrite=flase", "overwrite=flase: Value 'flase' is not a valid bool"),
        ("data.batch_size=true", "data.batch_size=true: Value 'True' of type 'bool'"),
        ("trainer.max_steps=null", "field 'trainer.max_steps' is not Optional"),
        ("~callbacks.progres", "the nearest is callbacks.progress"),
    ],
)
def test_complaints_name_the_override_and_the_nearest(override, words):
    assert words in refusal(override)


def test_a_complaint_of_another_primary_config():
    assert "nearest is protocol" in refusal("weights=a", "protcol=wider", name="evaluate")
    assert refusal(name="evaluate") == "weights is not given: add weights=VALUE"
    assert "nearest is wider_shf" in refusal("protocol=wider_ssh", name="evaluate")


@pytest.mark.parametrize(
    "value",
    ["/data/jörg/a.safetensors", "my photos/a.safetensors", "a (1).safetensors", "it's.safetensors",
     'a "b".safetensors', "#1.safetensors", "a=b.safetensors", "weights & more", "写真/a.pth"],
)  # fmt: skip
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
    assert values["optimizer"]["lr"] == 0.003
    assert type(values["callbacks"]) is dict


@pytest.mark.parametrize("key", ["paths.output", "paths.cache", "data.root", "weights"])
@pytest.mark.parametrize(("name", "value"), [("train", ""), ("evaluate", "' '")])
def test_an_empty_path_is_refused(name, key, value):
    rest = [] if name == "train" or key == "weights" else ["weights=a"]
    assert refusal(f"{key}={value}", *rest, name=name).startswith(f"{key}= is empty: give a path")


@pytest.mark.parametrize(
    "value", ["123", "0123", "1e5", "1_000", "true", "2024.5", "\\\\server\\a"]
)
def test_a_name_is_text_however_it_looks(value):
    keys = ("weights", "ckpt_path", "backbone_weights", "paths.output", "data.root")
    config = plain(compose("train", [f"{key}={value}" for key in keys]))
    paths = (config["paths"]["output"], config["data"]["root"])
    assert [*paths, *(config[key] for key in keys[:3])] == [value] * 5
    assert compose("train", ["weights=null", "++ckpt_path=12"]).ckpt_path == "12"


def callbacks(*overrides):
    return list(plain(compose("train", overrides))["callbacks"])


def test_callbacks_add_up():
    default = callbacks()
    assert callbacks("callbacks=ema") == [*default, "ema"]
    # One that is there already does no harm.
    assert callbacks("callbacks=[freeze_norm,distillation]") == [*default, "distillation"]
    assert callbacks("callbacks=ema", "~callbacks.progress") == [*default[1:], "ema"]
    assert callbacks("budget=smoke", "callbacks=[early_stopping]") == [*default, "early_stopping"]
    assert callbacks("experiment=plain", "data.root=a", "callbacks=distillation") == [
        *default, "distillation", "ema",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("words", "backbone", "steps"),
    [([], "IterativeBackbone", 500), (["experiment=demo"], "IterativePlainBackbone", 800)],
)
def test_the_trainings_on_the_embedded_crowds(words, backbone, steps):
    config = compose("train", words)
    assert config.backbone._target_.endswith(f".{backbone}")
    assert config.backbone.width == 32
    sizes = (config.trainer.max_steps, config.data.batch_size, config.augmentation.size)
    assert sizes == (steps, 8, 160)
    assert config.callbacks.freeze_norm.from_step == 0.6 * steps
    # The demo's AP is in the README: another number of threads would end in another one.
    assert config.threads == (1 if words else "auto")
    assert compose("train", [*words, "trainer=debug"]).augmentation.size == 160


@pytest.mark.parametrize(
    ("words", "rate", "frozen_from", "size"),
    [
        ([], 0.003, 300, 160),
        (["weights=a"], 0.001, 0, 256),
        (["experiment=extd_fpn_64_prelu"], 0.001, None, 640),
        (["experiment=extd_fpn_64_prelu", "weights=a"], 0.0001, 0, 640),
        (["weights=a", "optimizer.lr=0.01", "callbacks.freeze_norm.from_step=9"], 0.01, 9, 256),
        # The shipped weights' parts say their own.
        (["experiment=shipped_medium_crops", "weights=a"], 0.002, 0, 256),
        (["experiment=shipped"], 0.003, 600, 160),
    ],
)
def test_starting_from_weights_is_fine_tuning(words, rate, frozen_from, size):
    config = plain(compose("train", ["data.root=a", *words]))
    assert config["optimizer"]["lr"] == rate
    assert config["callbacks"]["freeze_norm"]["from_step"] == frozen_from
    assert config["augmentation"]["size"] == size


@pytest.mark.parametrize(
    "override",
    ["seed=3", "~logger", "callbacks=[progress]", "a.b='x y'", "+a={b: 1}", "seed=1,2", "seed=[1",
     "weights=a,b", "weights=null", "weights='1'", "weights=${paths.cache}/a"],
)  # fmt: skip
def test_quote_leaves_alone_what_the_grammar_reads_or_what_is_no_path(override):
    assert quote(override) == override


@pytest.mark.parametrize("path", ["/a, b/c", "/a,b", "it's, so", "[a]", "{a: 1}", "~/a", "null"])
def test_a_literal_is_the_value_letter_by_letter(path):
    assert compose("evaluate", [literal("weights", path)]).weights == path
