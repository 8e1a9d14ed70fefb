"""Files that are written, opened again and compared, and those that are not kept."""

import onnx
import pytest
import torch

import facedet
from facedet.errors import FacedetError, UsageError
from facedet.export import writing
from facedet.export.graph import to_onnx
from facedet.export.pictures import embedded_pictures
from facedet.export.writing import export
from facedet.inference.engines.exported import FORMAT
from facedet.profiling.latency import noise
from reference.one_face import BOX, SCORE, save_picture


@pytest.fixture(autouse=True)
def _small_pictures(monkeypatch):
    monkeypatch.setattr(writing, "_CALIBRATED", 2)
    monkeypatch.setattr(writing, "_COMPARED", 2)
    monkeypatch.setattr(
        writing, "embedded_pictures", lambda _, count, *__: [noise((96, 80)) for _ in range(count)]
    )


def test_embedded_pictures_are_the_same_every_time():
    first, second = (embedded_pictures("val", 1, 128) for _ in range(2))
    assert first[0].shape == (128, 128, 3)
    assert (first[0] == second[0]).all()
    assert first[0].std() > 10


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("a.onnx", {}),
        ("a.onnx", {"form": "raw", "precision": "fp16"}),
        ("a.onnx", {"form": "end-to-end", "precision": "int8"}),
        ("a.onnx", {"size": (64, 96), "batch": 2}),
        ("a.xml", {"form": "end-to-end"}),
        ("a.xml", {"precision": "bf16", "form": "raw"}),
        # NNCF alone takes seconds to be imported.
        pytest.param("a.xml", {"precision": "int8"}, marks=pytest.mark.slow),
        ("a.torchscript", {"precision": "bf16"}),
    ],
)
def test_a_file_is_used_like_its_weights(weights, tmp_path, name, changes):
    path = tmp_path / "new" / name
    kind = {".onnx": "onnx", ".xml": "openvino"}.get(path.suffix, "torchscript")
    written = export(weights, path, kind, **changes)
    files = sorted(path.parent.iterdir())
    assert [file.name for file in files] == (["a.bin", name] if kind == "openvino" else [name])
    assert written.size == sum(file.stat().st_size for file in files)
    assert written.agreement.pictures == 3
    detector = facedet.load(path, clip=False)
    pictures = [save_picture(tmp_path / f"{seed}.png", (96, 64), seed) for seed in range(3)]
    for found in detector.detect(pictures):
        # An eighth of a bfloat16's last digit at 320 px, and what 8 bits leave.
        torch.testing.assert_close(found.boxes, torch.tensor([BOX]), rtol=0, atol=1)
        assert found.scores.tolist() == pytest.approx([SCORE], abs=0.01)
    assert detector.info["file"] == name
    assert detector.info["source"] == "made by hand"
    assert detector.info["precision"] == changes.get("precision", "fp32")
    assert facedet.load(weights).info["sha256"] == detector.info["weights_sha256"]


def test_metadata_say_what_is_in_the_file(weights, tmp_path):
    export(weights, tmp_path / "a.onnx", "onnx", score=0.25)
    model = onnx.load(tmp_path / "a.onnx")
    said = {one.key: one.value for one in model.metadata_props}
    assert (said["format"], said["weights"], said["score"]) == (
        FORMAT,
        "one face.safetensors",
        "0.25",
    )
    assert (
        said["input"] == "images uint8 [batch, height, width, 3], RGB, 0 … 255, normalised inside"
    )
    assert facedet.load(tmp_path / "a.onnx").score == 0.25


def test_a_file_that_does_not_agree_is_not_kept(weights, tmp_path, monkeypatch):
    def worse(net, coder, description):
        net.head.levels[5].score.bias[1] += 0.01
        return to_onnx(net, coder, description)

    path = tmp_path / "a.onnx"
    path.write_text("an earlier file")
    with torch.no_grad():
        monkeypatch.setattr(writing, "to_onnx", lambda net, *rest: worse(_copy(net), *rest))
        with pytest.raises(FacedetError, match=r"a.onnx: does not agree with PyTorch: .* not kept"):
            export(weights, path, "onnx")
    assert [one.read_text() for one in tmp_path.iterdir()] == ["an earlier file"]


def _copy(net):
    import copy

    return copy.deepcopy(net)


def test_one_size_takes_one_size(weights, tmp_path):
    export(weights, tmp_path / "a.onnx", "onnx", size=(64, 96), batch=2)
    detector = facedet.load(tmp_path / "a.onnx")
    with pytest.raises(UsageError, match="takes pictures of 96 x 64 pixels, not 64 x 96"):
        detector.detect(save_picture(tmp_path / "a.png", (64, 96)))


def test_a_cut_inside_the_file_is_the_lowest(weights, tmp_path):
    export(weights, tmp_path / "a.onnx", "onnx", form="end-to-end")
    with pytest.raises(UsageError, match="leaves out faces below 0.5 itself"):
        facedet.load(tmp_path / "a.onnx", score=0.4)
    assert facedet.load(tmp_path / "a.onnx", score=0.9).detect(
        save_picture(tmp_path / "a.png")
    ).scores.tolist() == []  # fmt: skip


def test_calibrated_on_the_users_pictures(weights, tmp_path, monkeypatch):
    seen = []
    quantize = writing.quantize_onnx
    monkeypatch.setattr(
        writing, "quantize_onnx", lambda *given: seen.extend(given[1]) or quantize(*given)
    )
    for seed in range(3):
        save_picture(tmp_path / "photos" / f"{seed}.png", (1280, 64), seed)
    export(weights, tmp_path / "a.onnx", "onnx", tmp_path / "photos", precision="int8")
    assert [one.shape for one in seen] == [(1, 32, 640, 3)] * 2


@pytest.mark.parametrize(
    ("path", "kind", "changes", "said"),
    [
        ("a.safetensors", "onnx", {}, r"expected a name that ends in \.onnx"),
        ("a.onnx", "onnx", {"precision": "bf16"}, "onnx files are fp32, fp16, int8"),
        ("a.torchscript", "torchscript", {"precision": "int8"}, "torchscript files are fp32"),
        ("a.torchscript", "torchscript", {"form": "end-to-end"}, "no NMS of its own"),
        ("a.onnx", "onnx", {"calibrate": "photos"}, "is for precision=int8, not fp32"),
    ],
)
def test_what_a_format_cannot_hold(weights, path, kind, changes, said, tmp_path):
    with pytest.raises(UsageError, match=said):
        export(weights, tmp_path / path, kind, **changes)
    assert list(tmp_path.iterdir()) == []
