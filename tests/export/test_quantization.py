"""OpenVINO and NNCF, in a process of their own: NNCF switches its telemetry off under pytest."""

import os
import subprocess
import sys

import pytest

SWITCHES = ("CI", "NNCF_CI", "NNCF_DEV", "TF_BUILD", "JENKINS_URL")
# Whatever NNCF reports goes through these methods; here it goes no further.
CODE = """
import os, sys
import openvino_telemetry.backend.backend_ga4 as ga4
from openvino_telemetry.utils.sender import TelemetrySender
sent = []
TelemetrySender.send = lambda self, backend, message: sent.append(message)
ga4.GA4Backend.send = lambda self, message: sent.append(message)
from pathlib import Path
import numpy as np
from facedet.inference.engines.openvino import openvino
from onnx import TensorProto, helper
from facedet.export import quantization
value = helper.make_tensor_value_info
weights = helper.make_tensor("w", TensorProto.FLOAT, [3, 3, 1, 1], np.ones(9))
node = helper.make_node("Conv", ["images", "w"], ["out"], name="/net/backbone/x/Conv")
graph = helper.make_graph([node], "g", [value("images", TensorProto.FLOAT, [1, 3, 8, 8])],
                          [value("out", TensorProto.FLOAT, [1, 3, 8, 8])], [weights])
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
model = openvino.Core().read_model(model=model.SerializeToString())
pictures = [np.random.default_rng(0).random((1, 3, 8, 8), dtype=np.float32)]
quantization.quantize_openvino(model, pictures)
assert "nncf" in sys.modules and "pytest" not in sys.modules
print(len(sent), sorted(one.name for one in Path.home().rglob("*")), os.environ.get("CI"))
"""


@pytest.mark.slow  # NNCF alone takes seconds to be imported
def test_nothing_is_reported_to_anyone(tmp_path):
    for module in ("nncf", "openvino_telemetry"):
        pytest.importorskip(module)
    kept = {name: value for name, value in os.environ.items() if name not in SWITCHES}
    done = subprocess.run(
        [sys.executable, "-c", CODE], env=kept | {"HOME": str(tmp_path)}, capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "0 [] None"
