"""`facedet export`: what it prints and writes; `export` has the formats."""

import json

import pytest

from facedet.profiling.latency import noise
from reference.one_face import save_picture


@pytest.fixture(autouse=True)
def _few_pictures(monkeypatch):
    monkeypatch.setattr("facedet.export.writing.embedded_pictures", lambda *_: [noise((96, 80))])


def test_exported_and_used(cli, weights, tmp_path):
    picture = save_picture(tmp_path / "a.png")
    result = cli("export", weights, "--end-to-end")
    assert (result.code, result.err) == (0, "")
    lines = result.out.splitlines()
    assert lines[0].startswith("one face.onnx: end-to-end, fp32, ")
    assert lines[2].startswith("  out  boxes [faces, 4], scores [faces], picture [faces];")
    assert "compared with PyTorch on 2 pictures: " in lines[3]
    found = [
        json.loads(cli("predict", picture, "--json", "-w", given).out)["images"][0]["faces"]
        for given in ("one face.onnx", weights)
    ]
    assert found[0] == found[1] != []


def test_calibration_is_reported(cli, weights, monkeypatch):
    monkeypatch.setattr("facedet.export.writing.quantize_onnx", lambda model, _: model)
    result = cli("export", weights, "--precision", "int8", "-o", "b.onnx")
    assert result.code == 0
    assert result.out.startswith("calibrated on embedded pictures; --calibrate DIR takes")
    assert result.err == ""


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--size", "640"], 2, "640: expected HxW, as 480x640, or dynamic"),
        (["--batch", "0"], 2, "--batch"),
        (["--raw", "--decoded"], 2, "not allowed with argument"),
        (["--format", "tflite"], 2, "--format"),
        (["-o", "a.xml"], 2, "a.xml: expected a name that ends in .onnx (onnx)"),
        (["--precision", "int8", "--calibrate", "/nowhere"], 1, "/nowhere: no such folder"),
    ],
)
def test_complaints(cli, weights, words, code, said):
    cli("export", weights, *words).check_error(code, said)
