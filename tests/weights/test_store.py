"""Weights files: what is saved is read, and what does not fit a network is refused."""

import copy
import json

import pytest
import torch
from safetensors.torch import save_file

from facedet.errors import FacedetError
from facedet.files import file_sha256
from facedet.structures import CHECKPOINT_KEY
from facedet.weights.store import (
    FORMAT,
    Weights,
    build_coder,
    build_net,
    load_state,
    model_config,
    read_weights,
    save_weights,
)
from reference.refused_weights import refused


def test_what_is_saved_is_read(good, tmp_path):
    path = save_weights(tmp_path / "new" / "a b ü.safetensors", good)
    read = read_weights(path)
    assert read.config == good.config
    assert read.info == {**good.info, "file": path.name, "sha256": file_sha256(path)}
    assert read.state.keys() == good.state.keys()
    for key, value in good.state.items():
        assert torch.equal(read.state[key], value), key
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    assert len(build_net(read, path).state_dict()) == len(good.state)
    assert build_coder(read, path).size_variance == 0.2


def test_a_changed_byte_is_noticed(path, tmp_path):
    """A weight's last byte, and a letter of the config: both would load."""
    data = path.read_bytes()
    changed = tmp_path / "changed.safetensors"
    for where in (len(data) - 1, data.index(b"iterative")):
        changed.write_bytes(data[:where] + bytes([data[where] ^ 1]) + data[where + 1 :])
        refused(changed, "is damaged, its content is not what was written")


def test_files_from_before_the_checksum_are_read(good, tmp_path):
    described = {"config": json.dumps(good.config), "info": json.dumps(good.info)}
    save_file(good.state, tmp_path / "old.safetensors", {"format": FORMAT, **described})
    assert read_weights(tmp_path / "old.safetensors").config == good.config


def test_a_capital_suffix_is_the_same_format(path, tmp_path):
    capital = tmp_path / "GOOD.SAFETENSORS"
    capital.write_bytes(path.read_bytes())
    assert read_weights(capital).config == read_weights(path).config


STEM, BIAS = "backbone.stem.conv.weight", "head.levels.5.score.bias"


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        (STEM, torch.zeros(8, 3, 3, 3), [STEM, "[8, 3, 3, 3]", "[64, 3, 3, 3]"]),
        ("banana", torch.zeros(1), ["'banana' is unknown", "0 keys missing, 1 unknown"]),
        (STEM, None, [f"'{STEM}' is missing", "1 keys missing, 0 unknown"]),
        (BIAS, torch.tensor([0, torch.nan]), [BIAS, "not finite"]),
        (BIAS, torch.tensor([0, torch.inf]), [BIAS, "not finite"]),
    ],
)
def test_weights_of_another_network(good, tmp_path, key, value, words):
    state = {**good.state, key: value}
    if value is None:
        del state[key]
    refused(save_weights(tmp_path / "a.safetensors", good._replace(state=state)), *words)


def test_half_precision_is_read(good):
    state = {key: value.half() if "conv" in key else value for key, value in good.state.items()}
    net = build_net(good._replace(state=state), "half")
    assert net.state_dict()["backbone.stem.conv.weight"].dtype == torch.float32
    assert not net.training


def test_nothing_is_loaded_where_something_does_not_fit(good):
    net = build_net(good, "good")
    before = copy.deepcopy(net.state_dict())
    state = {key: torch.ones_like(value) for key, value in good.state.items()}
    last = sorted(state)[-1]
    state[last] = torch.zeros(99)
    with pytest.raises(FacedetError, match="99"):
        load_state(net, state, "somewhere")
    for key, value in net.state_dict().items():
        assert torch.equal(value, before[key]), key


def test_a_checkpoint_gives_its_network(good, tmp_path):
    state = {f"net.{key}": value for key, value in good.state.items()} | {"metric.x": torch.ones(1)}
    rest = {key: good.config[key] for key in ("box_coder", "inference")}
    config = {"model": {"net": good.config["net"]}, **rest}
    path = tmp_path / "a.ckpt"
    torch.save({"state_dict": state, "global_step": 7, CHECKPOINT_KEY: {"config": config}}, path)
    read = read_weights(path)
    assert model_config(config) == read.config == good.config
    assert read.state.keys() == good.state.keys()
    assert (read.info["source"], read.info["steps"]) == ("training checkpoint", 7)
    build_net(read, path)


EMPTY = {"config": {"model": {"net": {}}, "box_coder": {}}}
RELEASED = {"base.0.0.weight": torch.zeros(3), "conf.0.weight": torch.zeros(3)}


@pytest.mark.parametrize(
    "content",
    [
        {"state_dict": 3, CHECKPOINT_KEY: 5},
        {"state_dict": {}, CHECKPOINT_KEY: {"config": {}}},
        {"state_dict": {}, CHECKPOINT_KEY: {"config": {"model": 3, "box_coder": {}}}},
        {"state_dict": {3: 4}, CHECKPOINT_KEY: EMPTY},
        {"state_dict": {"net.a": 4}, CHECKPOINT_KEY: EMPTY},
        {"state_dict": {}, "hyper_parameters": {}},
        {"base.0.0.weight": 1, "conf.0.weight": 2},
        RELEASED,
        RELEASED | {"loc.0.weight": torch.zeros(3)},
        RELEASED | {"loc.0.weight": torch.zeros(4, 40, 3, 3)},
        RELEASED | {"loc.0.weight": torch.zeros(4, 64, 3, 3), "banana": torch.zeros(3)},
        [1, 2],
        torch.zeros(3),
        {},
    ],
)
def test_torch_files_of_something_else(tmp_path, content):
    path = tmp_path / "other.pth"
    torch.save(content, path)
    refused(path)


@pytest.mark.data
def test_a_released_name_on_another_file(shared, tmp_path):
    path = tmp_path / "EXTD_64.pth"
    path.write_bytes((shared / "reference" / "weights" / "EXTD_32.pth").read_bytes())
    refused(path, "is not that of the released EXTD_64.pth")
    # Under its own name it is anybody's training; the bytes say that it is the released one.
    path = path.rename(tmp_path / "mine.pth")
    assert read_weights(path).info["source"] == "released EXTD_32.pth"


def test_equal_weights_are_equal_files(tmp_path):
    state = {f"layer {number} ä.weight": torch.full((3,), float(number)) for number in range(9)}
    weights = Weights(state, {"net": {"b": 1, "a": 2}}, {"z": "1", "y": "2"})
    files = [save_weights(tmp_path / f"{number}.safetensors", weights) for number in range(8)]
    assert len({file.read_bytes() for file in files}) == 1
