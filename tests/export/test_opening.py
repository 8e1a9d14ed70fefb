"""Which engine runs a network, the cache of exported weights, and files that cannot be run."""

import os
import shutil
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import onnx
import pytest
import torch
from onnx import external_data_helper, helper

import facedet
from facedet.errors import FacedetError, UsageError
from facedet.export import graph, opening
from facedet.export.opening import open_detector
from facedet.export.writing import export
from facedet.inference.engines import ENGINES
from facedet.inference.engines.onnxruntime import OnnxRuntimeNetwork
from facedet.inference.engines.openvino import OpenVinoNetwork

RGB = np.random.default_rng(0).integers(0, 256, (70, 90, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def onnx_file(weights, tmp_path_factory):
    path = tmp_path_factory.mktemp("onnx") / "a.onnx"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("facedet.export.writing.embedded_pictures", lambda *_: [RGB])
        export(weights, path, "onnx")
    return path


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("FACEDET_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "engines"


def same(found, expected):
    torch.testing.assert_close(found.boxes, expected.boxes, rtol=0, atol=1e-2)
    torch.testing.assert_close(found.scores, expected.scores, rtol=0, atol=1e-4)


def test_every_engine_finds_the_same_also_in_four_threads(seeing):
    score = 0.6
    first = facedet.load(seeing, engine="torch", score=score).detect(RGB)
    assert 3 < len(first) < 200
    pictures = [np.ascontiguousarray(RGB[: 40 + 3 * place]) for place in range(10)]
    for engine in ENGINES:
        detector = facedet.load(seeing, engine=engine, threads=1, score=score)
        assert detector.info["engine"].split()[0] == engine
        same(detector.detect(RGB), first)
        serial = [detector.detect(picture) for picture in pictures]
        with ThreadPoolExecutor(4) as pool:
            together = list(pool.map(detector.detect, pictures * 2))
        for found, expected in zip(together, serial * 2, strict=True):
            assert torch.equal(found.boxes, expected.boxes)
            assert torch.equal(found.scores, expected.scores)


def test_onnxruntime_reports_nothing():
    # Its public function comes too late: the device's number is made at its import.
    assert os.environ["ORT_DISABLE_TELEMETRY"] == "1"


def test_weights_are_exported_once(weights, cache, monkeypatch):
    facedet.load(weights, engine="onnxruntime")
    (file,) = cache.iterdir()
    with monkeypatch.context() as patch:
        patch.setattr(graph, "to_onnx", None)
        assert len(facedet.load(weights, engine="onnxruntime").detect(RGB)) == 1
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    assert len(facedet.load(weights, engine="onnxruntime").detect(RGB)) == 1
    assert len(file.read_bytes()) == len(whole)
    # Where nothing can be written, it is made each time.
    shutil.rmtree(cache)
    cache.write_text("no folder")
    assert len(facedet.load(weights, engine="onnxruntime").detect(RGB)) == 1


def test_auto_takes_the_first_that_is_installed_and_can(weights, cache, monkeypatch):
    def engine(**options):
        return open_detector(weights, **options).engine.split()[0]

    assert engine() == "onnxruntime"
    assert engine(folded=False) == "torch"
    missing = {"onnxruntime"}
    found = opening.importlib.util.find_spec
    monkeypatch.setattr(
        opening.importlib.util, "find_spec", lambda name: None if name in missing else found(name)
    )
    assert engine() == "openvino"
    missing.add("openvino")
    assert engine() == "torch"
    for name, extra in (("openvino", r"\[openvino\]"), ("onnxruntime", "")):
        with pytest.raises(FacedetError, match=rf"engine={name}: .*'facedet-lightning{extra}'"):
            engine(engine=name)


def test_auto_takes_torch_where_the_network_cannot_be_exported(weights, cache, monkeypatch):
    def fail(*_):
        raise FacedetError("cannot be exported")

    monkeypatch.setattr(graph, "to_onnx", fail)
    assert open_detector(weights).engine.startswith("torch")
    with pytest.raises(FacedetError, match="cannot be exported"):
        open_detector(weights, engine="onnxruntime")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"engine": "banana"}, "engine=banana: expected auto, onnxruntime, openvino, torch"),
        ({"threads": 0}, "threads=0: expected at least 1"),
    ],
)
def test_arguments_out_of_range(weights, options, said):
    with pytest.raises(UsageError, match=said):
        facedet.load(weights, **options)


def test_what_a_file_was_exported_with_holds(weights, tmp_path, monkeypatch):
    monkeypatch.setattr("facedet.export.writing.embedded_pictures", lambda *_: [RGB])
    path, options = tmp_path / "a.onnx", {"size": (70, 90), "iou": 0.5}
    export(weights, path, "onnx", form="end-to-end", **options)
    # A picture of that size is never cut in tiles, which would be of another one.
    detector = facedet.load(path, pixel_budget=1000)
    same(detector.detect(RGB), facedet.load(weights).detect(RGB))
    assert detector.pyramid.merge.iou == 0.5
    assert facedet.load(path, iou=0.4).pyramid.merge.iou == 0.4
    with pytest.raises(UsageError, match=r"iou=0\.6: .* overlap by more than 0\.5 itself"):
        facedet.load(path, iou=0.6)


def test_an_engine_that_does_not_run_the_file(onnx_file):
    with pytest.raises(UsageError, match=r"engine=torch: a\.onnx runs in onnxruntime"):
        facedet.load(onnx_file, engine="torch")


def test_engines_without_a_gpu(onnx_file):
    gpu = torch.device("cuda", 0)
    with pytest.raises(FacedetError, match="engine=onnxruntime, device=cuda:0: .* has only"):
        OnnxRuntimeNetwork(onnx_file, "a", gpu)
    with pytest.raises(FacedetError, match="engine=openvino, device=cuda:0: runs on the CPU"):
        OpenVinoNetwork(onnx_file, "a", gpu)


def save(model, path):
    onnx.save(model, path)
    return path


def foreign(model):
    del model.metadata_props[:]


def older(model):
    helper.set_model_props(model, {"format": "facedet-export-0"})


def damaged(model):
    helper.set_model_props(model, {"format": "facedet-export-1", "size": "large"})


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (foreign, "was not written by `facedet export`"),
        (older, "its format is 'facedet-export-0', expected 'facedet-export-1'"),
        (damaged, "its metadata are damaged"),
    ],
)
def test_metadata_of_others(onnx_file, tmp_path, change, said):
    model = onnx.load(onnx_file)
    change(model)
    check_refused(save(model, tmp_path / "b.onnx"), said)


def test_files_that_are_not_whole(onnx_file, tmp_path):
    cut = tmp_path / "cut.onnx"
    cut.write_bytes(onnx_file.read_bytes()[:5000])
    check_refused(cut, "not an ONNX file that can be run")
    model = onnx.load(onnx_file)
    external_data_helper.convert_model_to_external_data(model, location="b.data", size_threshold=0)
    outside = save(model, tmp_path / "b.onnx")
    (tmp_path / "b.data").unlink()
    check_refused(outside, "not an ONNX file that can be run .*b.data")
    for name, said in (("c.xml", "c.bin is missing"), ("d.torchscript", "not a TorchScript file")):
        (tmp_path / name).write_text("<net/>")
        check_refused(tmp_path / name, said)
    (tmp_path / "c.bin").write_bytes(b"")
    check_refused(tmp_path / "c.xml", "not a model that OpenVINO can run")


def check_refused(path, said):
    with pytest.raises(FacedetError, match=rf"{path.name}: .*{said}|{path.name}: {said}") as caught:
        facedet.load(path)
    assert "\n" not in str(caught.value)


def test_commands_that_need_weights_say_so(cli, onnx_file):
    cli("benchmark", "network", "--weights", onnx_file, "--runs", 1).check_error(
        1, "is an exported network, expected weights"
    )
