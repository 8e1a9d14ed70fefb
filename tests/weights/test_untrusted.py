"""Weights files that are damaged, are something else or mean harm: refused, and never run."""

import copy
import os
import pickle

import pytest
import torch
from safetensors.torch import save_file

from facedet.errors import FacedetError
from facedet.weights.store import FORMAT
from reference.refused_weights import Payload, build_all, forged, refused


@pytest.mark.parametrize("content", ["", "hello, these are no weights\n" * 9])
@pytest.mark.parametrize("suffix", ["ckpt", "safetensors", "txt"])
def test_a_text_file(tmp_path, suffix, content):
    path = tmp_path / f"text.{suffix}"
    path.write_text(content)
    refused(path, "PyTorch file" if suffix != "safetensors" else "safetensors file")


@pytest.mark.parametrize("share", [0.0005, 0.3, 0.9999])
def test_truncated_files(good, path, tmp_path, share):
    for suffix, words in (
        ("safetensors", "safetensors file"),
        ("zip", "PyTorch file"),
        ("pth", ""),
    ):
        whole, cut = tmp_path / "whole", tmp_path / f"cut.{suffix}"
        torch.save(good.state, whole, _use_new_zipfile_serialization=suffix == "zip")
        data = (path if suffix == "safetensors" else whole).read_bytes()
        cut.write_bytes(data[: int(len(data) * share)])
        refused(cut, words)


def test_damaged_bytes_never_end_in_anything_else(path, tmp_path):
    """Whatever bytes of a torch file or of our header are hit, the file is read or refused."""
    rng = torch.Generator().manual_seed(0)
    damaged = {kind: tmp_path / f"damaged.{kind}" for kind in ("zip", "pth", "safetensors")}
    for kind, target in damaged.items():
        torch.save({"a": torch.zeros(2), "b": [1, "x"]}, target,
                   _use_new_zipfile_serialization=kind == "zip")  # fmt: skip
        data = (path if kind == "safetensors" else target).read_bytes()
        size = 8 + int.from_bytes(data[:8], "little") if kind == "safetensors" else len(data)
        refusals = []
        for _ in range(80):
            place = int(torch.randint(size, (), generator=rng))
            value = int(torch.randint(32, 127, (), generator=rng))
            target.write_bytes(data[:place] + bytes([value]) + data[place + 1 :])
            try:
                build_all(target)
            except FacedetError as error:
                refusals.append(str(error))
        assert len(refusals) > 50
        assert all(str(target) in text and "\n" not in text for text in refusals)


@pytest.mark.parametrize("kind", ["pickle", "zip", "tar"])
def test_code_in_a_file_is_not_run(tmp_path, kind):
    path, mark = tmp_path / "evil.pth", tmp_path / "mark"
    state = {"base.0.0.weight": Payload(mark), "conf.0.weight": Payload(mark)}
    if kind == "pickle":
        path.write_bytes(pickle.dumps(state))
    else:
        torch.save(state, path, _use_new_zipfile_serialization=kind == "zip")
    refused(path, "nothing in it was run")
    assert not mark.exists()
    if kind == "zip":
        with pytest.raises(FileExistsError):  # the payload does work, the second time on itself
            torch.load(path, weights_only=False)
        assert mark.exists()


@pytest.mark.parametrize(
    "target",
    [
        "os.system",
        "facedet.weights.store.read_weights",
        # Reachable by the dotted name of one of our modules, and not ours.
        "facedet.models.detector.torch.hub.load",
        "facedet.models.layers.torch.nn.Linear",
        "facedet.inference.postprocess.dataclass",
        # Ours, and no class.
        "facedet.models.detector.Detector.forward",
        "facedet.models.detector.Detector.__class__",
        # Nothing at all.
        "facedet.models.nowhere.Net",
        "",
    ],
)
@pytest.mark.parametrize("place", ["net", "backbone", "box_coder"])
def test_a_config_that_wants_to_build_something_else(good, tmp_path, target, place):
    config = copy.deepcopy(good.config)
    node = config["net"]["backbone"] if place == "backbone" else config[place]
    node["_target_"] = target
    path = forged(tmp_path, config, state=good.state)
    refused(path, "cannot be built: ")


def test_a_refused_target_was_not_called(good, tmp_path):
    config = copy.deepcopy(good.config)
    mark = str(tmp_path / "mark")
    for target, arguments in (
        ("os.mkdir", {"path": mark}),
        ("subprocess.Popen", {"args": ["mkdir", mark]}),  # a class, of a module that is not ours
    ):
        config["net"]["neck"] = {"_target_": target, **arguments}
        refused(forged(tmp_path, config), target, "refused")
    assert not os.path.exists(mark)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("_args_", [1]),
        ("_recursive_", False),
        ("mean", "${oc.env:HOME}"),
        ("std", ["${oc.env:HOME}"]),
        ("mean", "???"),
        ("banana", 3),
        ("backbone", None),
    ],
)
def test_a_config_whose_arguments_do_not_fit(good, tmp_path, key, value):
    """Keys and values that Hydra or OmegaConf would act on are none of ours."""
    config = copy.deepcopy(good.config)
    config["net"][key] = value
    refused(forged(tmp_path, config), "cannot be built")


@pytest.mark.parametrize("config", [{}, [], "x", None, 3, {"net": None}, {"net": "x"}, {"net": {}}])
def test_a_header_that_describes_no_network(tmp_path, config):
    refused(forged(tmp_path, config), "does not")


@pytest.mark.parametrize("info", ["[1]", "3", "{", "null"])
def test_a_header_whose_info_is_something_else(good, tmp_path, info):
    refused(forged(tmp_path, good.config, info), "does not describe a network")


def test_safetensors_of_others(tmp_path):
    refused(forged(tmp_path, {}, marker="pt"), "'pt'", FORMAT)
    bare = tmp_path / "bare.safetensors"
    save_file({"a": torch.zeros(1)}, bare)
    refused(bare, "None", FORMAT)
