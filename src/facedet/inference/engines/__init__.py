"""Programs that run a network: PyTorch's own modules, ONNX Runtime, OpenVINO, TorchScript.

An engine is called with pictures and returns predictions, whatever runs behind it. The network of
PyTorch is one by itself; the others run what `facedet.export` writes.
"""

# What weights run in: words of `--engine`. `auto` takes the first of these that is installed.
ENGINES = ("onnxruntime", "openvino", "torch")
