"""Weights files that are damaged, are something else or mean harm: refused, and never run."""

import copy
import os
import pickle

import pytest
import torch
from safetensors.torch import save_file

from facedet.errors import FacedetError
from facedet.weights.store import FORMAT
from facedet.weights.trusted import build_untrusted
from reference.one_face import one_face_weights, save_one_face
from reference.refused_weights import build_all, forged, refused


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
        "facedet.weights.store.read_weights",
        # Reachable by the dotted name of one of our modules, and not ours.
        "facedet.models.detector.torch.hub.load",
        "facedet.models.detector.torch.load",
        "facedet.models.layers.torch.nn.Linear",
        "facedet.inference.postprocess.dataclass",
        "facedet.weights.released_extd.re.compile",
        # Ours, and no class.
        "facedet.weights.released_extd.import_released_extd",
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


def test_build_untrusted_builds_what_is_trusted():
    coder = {"_target_": "facedet.box_coder.SsdBoxCoder", "size_variance": 0.5}
    assert build_untrusted(coder, "here").size_variance == 0.5
    with pytest.raises(FacedetError, match="here: its config wants to build 'builtins.dict'"):
        build_untrusted({"_target_": "builtins.dict"}, "here")
