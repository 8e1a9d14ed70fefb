"""Weights files: round trips, and everything that is no weights file or means harm."""

import copy
import json
import os
import pickle

import pytest
import torch
from safetensors.torch import save_file

from facedet.callbacks.checkpoint_config import KEY
from facedet.errors import FacedetError
from facedet.weights import (
    FORMAT,
    Weights,
    build_coder,
    build_net,
    file_sha256,
    load_state,
    model_config,
    read_weights,
    save_weights,
)
from reference.one_face import one_face_weights, save_one_face


@pytest.fixture(scope="session")
def good():
    return one_face_weights()


@pytest.fixture(scope="session")
def path(tmp_path_factory):
    return save_one_face(tmp_path_factory.mktemp("weights") / "good.safetensors")


class Payload:
    """Makes a file when it is unpickled."""

    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return os.mkdir, (str(self.target),)


def build_all(path):
    weights = read_weights(path)
    build_coder(weights, path)
    build_net(weights, path)


def refused(path, *words):
    with pytest.raises(FacedetError) as caught:
        build_all(path)
    text = str(caught.value)
    assert "\n" not in text
    for word in (path, *words):
        assert str(word) in text, text


def forged(tmp_path, config, info="{}", state=None, marker=FORMAT):
    """A safetensors file with this header."""
    path = tmp_path / "forged.safetensors"
    metadata = {"format": marker, "config": json.dumps(config), "info": info}
    save_file(state or {"a": torch.zeros(1)}, path, metadata)
    return path


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


def test_the_built_net_evaluates(path):
    assert not build_net(read_weights(path), path).training


def test_a_capital_suffix_is_the_same_format(path, tmp_path):
    capital = tmp_path / "GOOD.SAFETENSORS"
    capital.write_bytes(path.read_bytes())
    assert read_weights(capital).config == read_weights(path).config


def test_files_that_are_not_there(tmp_path):
    refused(tmp_path / "nowhere.pth", "no such weights file")
    refused(tmp_path, "is a folder")
    for suffix in ("pth", "safetensors"):
        empty = tmp_path / f"empty.{suffix}"
        empty.touch()
        refused(empty, "empty")


@pytest.mark.parametrize("suffix", ["pth", "ckpt", "safetensors", "txt"])
def test_a_text_file(tmp_path, suffix):
    path = tmp_path / f"text.{suffix}"
    path.write_text("hello, these are no weights\n" * 9)
    refused(path, "PyTorch file" if suffix != "safetensors" else "safetensors file")


@pytest.mark.parametrize("share", [0.0005, 0.01, 0.3, 0.9, 0.9999])
def test_a_truncated_safetensors(path, tmp_path, share):
    data = path.read_bytes()
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(data[: int(len(data) * share)])
    refused(cut, "not a readable safetensors file")


@pytest.mark.parametrize("is_zip", [True, False])
@pytest.mark.parametrize("share", [0.001, 0.1, 0.5, 0.999])
def test_a_truncated_torch_file(good, tmp_path, share, is_zip):
    path = tmp_path / "whole.pth"
    torch.save(good.state, path, _use_new_zipfile_serialization=is_zip)
    data = path.read_bytes()
    cut = tmp_path / "cut.pth"
    cut.write_bytes(data[: int(len(data) * share)])
    refused(cut, "PyTorch file")


def test_damaged_bytes_never_end_in_anything_else(good, tmp_path):
    """Whatever bytes are hit, the file is read or refused."""
    rng = torch.Generator().manual_seed(0)
    for is_zip in (True, False):
        path = tmp_path / "damaged.pth"
        torch.save({"a": torch.zeros(2), "b": [1, "x"]}, path,
                   _use_new_zipfile_serialization=is_zip)  # fmt: skip
        data = path.read_bytes()
        for _ in range(60):
            place = int(torch.randint(len(data), (), generator=rng))
            value = int(torch.randint(256, (), generator=rng))
            path.write_bytes(data[:place] + bytes([value]) + data[place + 1 :])
            refused(path)


def test_damaged_headers_never_end_in_anything_else(path, tmp_path):
    rng = torch.Generator().manual_seed(0)
    data = path.read_bytes()
    size = 8 + int.from_bytes(data[:8], "little")
    damaged, refusals = tmp_path / "damaged.safetensors", []
    for _ in range(150):
        place = int(torch.randint(size, (), generator=rng))
        value = int(torch.randint(32, 127, (), generator=rng))
        damaged.write_bytes(data[:place] + bytes([value]) + data[place + 1 :])
        try:
            build_all(damaged)
        except FacedetError as error:
            refusals.append(str(error))
    assert len(refusals) > 100
    assert all(str(damaged) in text and "\n" not in text for text in refusals)


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_code_in_a_pickle_is_not_run(tmp_path, protocol):
    path, mark = tmp_path / "evil.pth", tmp_path / "mark"
    path.write_bytes(pickle.dumps(Payload(mark), protocol=protocol))
    refused(path, "nothing in it was run")
    assert not mark.exists()
    pickle.loads(path.read_bytes())  # the payload does work
    assert mark.exists()


@pytest.mark.parametrize("is_zip", [True, False])
def test_code_in_a_torch_file_is_not_run(tmp_path, is_zip):
    path, mark = tmp_path / "evil.pth", tmp_path / "mark"
    state = {"base.0.0.weight": Payload(mark), "conf.0.weight": Payload(mark)}
    torch.save(state, path, _use_new_zipfile_serialization=is_zip)
    refused(path, "nothing in it was run")
    assert not mark.exists()


@pytest.mark.parametrize(
    "target",
    [
        "os.system",
        "builtins.eval",
        "torch.load",
        "facedet.commands.train.train",
        "facedet.weights.read_weights",
        # Reachable by the dotted name of one of our modules, and not ours.
        "facedet.models.detector.torch.hub.load",
        "facedet.models.detector.torch.load",
        "facedet.models.layers.torch.nn.Linear",
        "facedet.postprocess.dataclass",
        "facedet.models.importers.released_extd.re.compile",
        # Ours, and no class.
        "facedet.models.importers.released_extd.import_released_extd",
        "facedet.models.detector.Detector.forward",
        "facedet.models.detector.Detector.__class__",
        # Nothing at all.
        "facedet.models.nowhere.Net",
        "facedet.models.",
        "facedet.models..detector.Detector",
        "",
    ],
)
@pytest.mark.parametrize("place", ["net", "backbone", "box_coder"])
def test_a_config_that_wants_to_build_something_else(good, tmp_path, target, place):
    config = copy.deepcopy(good.config)
    node = config["net"]["backbone"] if place == "backbone" else config[place]
    node["_target_"] = target
    path = forged(tmp_path, config, state=good.state)
    refused(path, repr(target), "which is refused")


def test_a_refused_target_was_not_called(good, tmp_path):
    config = copy.deepcopy(good.config)
    mark = tmp_path / "mark"
    config["net"]["neck"] = {"_target_": "os.mkdir", "path": str(mark)}
    refused(forged(tmp_path, config), "os.mkdir", "refused")
    assert not mark.exists()


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("_args_", [1]),
        ("_recursive_", False),
        ("_convert_", "all"),
        ("mean", "${oc.env:HOME}"),
        ("std", ["${oc.env:HOME}"]),
    ],
)
def test_config_keys_that_hydra_or_omegaconf_would_act_on(good, tmp_path, key, value):
    config = copy.deepcopy(good.config)
    config["net"][key] = value
    refused(forged(tmp_path, config), "refused")


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("mean", "???", "cannot be built"),
        ("banana", 3, "banana"),
        ("mean", "red", "cannot be built"),
        ("backbone", None, "cannot be built"),
    ],
)
def test_a_config_whose_arguments_do_not_fit(good, tmp_path, key, value, words):
    config = copy.deepcopy(good.config)
    config["net"][key] = value
    refused(forged(tmp_path, config), words)


@pytest.mark.parametrize("config", [{}, [], "x", None, 3, {"net": None}, {"net": "x"}, {"net": {}}])
def test_a_header_that_describes_no_network(tmp_path, config):
    refused(forged(tmp_path, config), "does not")


@pytest.mark.parametrize("info", ["[1]", "3", "{", "null"])
def test_a_header_whose_info_is_something_else(good, tmp_path, info):
    refused(forged(tmp_path, good.config, info), "header does not describe a network")


def test_safetensors_of_others(tmp_path):
    refused(forged(tmp_path, {}, marker="pt"), "'pt'", FORMAT)
    bare = tmp_path / "bare.safetensors"
    save_file({"a": torch.zeros(1)}, bare)
    refused(bare, "None", FORMAT)


def changed(good, key, value):
    return Weights({**good.state, key: value}, good.config, {})


def test_weights_of_another_shape(good, tmp_path):
    key = "backbone.stem.conv.weight"
    path = save_weights(tmp_path / "a.safetensors", changed(good, key, torch.zeros(8, 3, 3, 3)))
    refused(path, key, "[8, 3, 3, 3]", list(good.state[key].shape))


def test_weights_with_other_keys(good, tmp_path):
    path = tmp_path / "a.safetensors"
    save_weights(path, changed(good, "banana", torch.zeros(1)))
    refused(path, "'banana' is unknown", "0 keys missing, 1 unknown")
    state = {key: value for key, value in good.state.items() if "stem.conv" not in key}
    save_weights(path, Weights(state, good.config, {}))
    refused(path, "'backbone.stem.conv.weight' is missing", "1 keys missing, 0 unknown")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers(good, tmp_path, value):
    key = "head.levels.5.score.bias"
    bad = good.state[key].clone()
    bad[0] = value
    path = save_weights(tmp_path / "a.safetensors", changed(good, key, bad))
    refused(path, key, "no finite numbers")


def test_weights_of_another_kind(good, tmp_path):
    key = "backbone.stem.conv.weight"
    path = save_weights(tmp_path / "a.safetensors", changed(good, key, good.state[key].long()))
    refused(path, key)


def test_half_precision_is_read(good):
    state = {key: value.half() if "conv" in key else value for key, value in good.state.items()}
    net = build_net(good._replace(state=state), "half")
    assert net.state_dict()["backbone.stem.conv.weight"].dtype == torch.float32


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


def test_a_target_that_cannot_be_written(good, tmp_path):
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(FacedetError, match="taken.*cannot be written"):
        save_weights(tmp_path / "taken" / "a.safetensors", good)
    (tmp_path / "folder.safetensors").mkdir()
    with pytest.raises(FacedetError, match="folder.safetensors cannot be written"):
        save_weights(tmp_path / "folder.safetensors", good)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder.safetensors", "taken"]


def checkpoint(tmp_path, **content):
    path = tmp_path / "a.ckpt"
    torch.save(content, path)
    return path


def test_a_checkpoint_gives_its_network(good, tmp_path):
    state = {f"net.{key}": value for key, value in good.state.items()} | {"metric.x": torch.ones(1)}
    config = {"model": {"net": good.config["net"]}, "box_coder": good.config["box_coder"]}
    path = checkpoint(tmp_path, state_dict=state, global_step=7, **{KEY: {"config": config}})
    read = read_weights(path)
    assert model_config(config) == read.config == good.config
    assert read.state.keys() == good.state.keys()
    assert (read.info["source"], read.info["steps"]) == ("training checkpoint", 7)
    build_net(read, path)


@pytest.mark.parametrize(
    "content",
    [
        {"state_dict": 3, KEY: 5},
        {"state_dict": {}, KEY: {"config": {}}},
        {"state_dict": {}, KEY: {"config": {"model": 3, "box_coder": {}}}},
        {"state_dict": {3: 4}, KEY: {"config": {"model": {"net": {}}, "box_coder": {}}}},
        {"state_dict": {"net.a": 4}, KEY: {"config": {"model": {"net": {}}, "box_coder": {}}}},
        {"state_dict": {}, "hyper_parameters": {}},
        {"base.0.0.weight": 1, "conf.0.weight": 2},
        {"base.0.0.weight": torch.zeros(3), "conf.0.weight": torch.zeros(3)},
        {
            "base.0.0.weight": torch.zeros(3),
            "conf.0.weight": torch.zeros(3),
            "loc.0.weight": torch.zeros(3),
        },
        {
            "base.0.0.weight": torch.zeros(3),
            "conf.0.weight": torch.zeros(3),
            "loc.0.weight": torch.zeros(4, 40, 3, 3),
        },
        {
            "base.0.0.weight": torch.zeros(3),
            "conf.0.weight": torch.zeros(3),
            "loc.0.weight": torch.zeros(4, 64, 3, 3),
            "banana": torch.zeros(3),
        },
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
@pytest.mark.parametrize(("width", "parameters"), [(32, 62_939), (64, 162_352)])
def test_released_files(shared, tmp_path, width, parameters):
    source = shared / "reference" / "weights" / f"EXTD_{width}.pth"
    weights = read_weights(source)
    assert weights.info["source"] == f"released EXTD_{width}.pth"
    path = save_weights(tmp_path / "a.safetensors", weights)
    nets = [build_net(read_weights(one), one) for one in (source, path)]
    assert sum(value.numel() for value in nets[1].parameters()) == parameters
    images = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 255
    with torch.no_grad():
        first, second = (net(images) for net in nets)
    assert torch.equal(first.logits, second.logits)
    assert torch.equal(first.deltas, second.deltas)


@pytest.mark.data
def test_a_released_name_on_another_file(shared, tmp_path):
    path = tmp_path / "EXTD_64.pth"
    path.write_bytes((shared / "reference" / "weights" / "EXTD_32.pth").read_bytes())
    refused(path, "is not that of the released EXTD_64.pth")
    # Under its own name it is anybody's training; the bytes say that it is the released one.
    path = path.rename(tmp_path / "mine.pth")
    assert read_weights(path).info["source"] == "released EXTD_32.pth"
