"""Programs that run a network: PyTorch's own modules, ONNX Runtime, OpenVINO, TorchScript.

An engine is called with pictures and returns predictions, whatever runs behind it. The network of
PyTorch is one by itself; the others run what `facedet.export` writes.
"""

import os

# Read when ONNX Runtime is imported: its wheels of 1.32 have telemetry, which is on by default.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

# What weights run in: words of `--engine`. `auto` takes the first of these that is installed.
ENGINES = ("onnxruntime", "openvino", "torch")
