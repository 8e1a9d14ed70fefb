"""A network as an ONNX graph: pictures in, predictions, boxes or faces out."""

import tempfile
import warnings
from pathlib import Path
from typing import Any

import onnx
import torch
from onnx import TensorProto, helper
from torch import Tensor, nn
from torch.onnx import symbolic_helper

from facedet.errors import FacedetError
from facedet.inference.engines.exported import INPUT, OUTPUTS, Description
from facedet.models.folding import fold

# Read by ONNX Runtime since 1.13 and by its JavaScript build.
_OPSET = 17
MAX_FACES = 5000  # of a picture, at end-to-end
# Traced is a small picture, of sides that no stride divides: nothing depends on it.
_TRACED_SIZE = (75, 107)
_TYPES = {"fp16": torch.float16, "bf16": torch.bfloat16}
_AXES = {
    INPUT: {0: "batch", 1: "height", 2: "width"},
    "logits": {0: "batch", 1: "anchors"},
    "deltas": {0: "batch", 1: "anchors"},
    "anchors": {0: "anchors"},
    "boxes": {0: "batch", 1: "anchors"},
    "scores": {0: "batch", 1: "anchors"},
}

_LENGTHS = {"logits": 2, "deltas": 4, "anchors": 4, "boxes": 4}


@symbolic_helper.parse_args("v", "v", "fs")
def _nearest_exact(graph: Any, image: Any, _: Any, factors: list[float]) -> Any:  # noqa: ANN401
    """The filter of `Detector.enlarge` as an ONNX node: the exporter has none for it."""
    return graph.op(
        "Resize",
        image,
        graph.op("Constant", value_t=torch.tensor([])),  # no region
        graph.op("Constant", value_t=torch.tensor([1.0, 1.0, *factors])),
        coordinate_transformation_mode_s="half_pixel",
        mode_s="nearest",
        nearest_mode_s="round_prefer_ceil",
    )


torch.onnx.register_custom_op_symbolic("aten::_upsample_nearest_exact2d", _nearest_exact, _OPSET)


class Graph(nn.Module):
    """What is exported: pictures uint8 [B, H, W, 3] to the outputs of a form.

    Args:
        net: a `Detector`; it is copied and folded.
        box_coder: decodes its deltas.
        form: raw, or decoded, which end-to-end begins with.
        precision: of the layers; input, decoding and outputs stay in float32.
    """

    def __init__(
        self,
        net: nn.Module,
        box_coder: Any,  # noqa: ANN401
        form: str,
        precision: str = "fp32",
    ) -> None:
        super().__init__()
        self.net = fold(net)
        self.box_coder = box_coder
        self.form = form
        if (dtype := _TYPES.get(precision)) is not None:
            for name in ("backbone", "neck", "head"):
                self.net.get_submodule(name).to(dtype)
            self.net.get_submodule("backbone").register_forward_pre_hook(
                lambda _, inputs: (inputs[0].to(dtype),)
            )

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Outputs as `OUTPUTS` names them."""
        logits, deltas, anchors, *_ = self.net(images.permute(0, 3, 1, 2))
        if self.form == "raw":
            return logits, deltas, anchors
        return self.box_coder.decode(deltas, anchors), logits.softmax(dim=2)[..., 1]

    def example(self, size: tuple[int, int] | None, batch: int | None) -> Tensor:
        """A picture to trace the graph with."""
        height, width = size or _TRACED_SIZE
        pixels = torch.arange(height * width * 3).remainder(251).to(torch.uint8)
        return pixels.reshape(1, height, width, 3).repeat(batch or 1, 1, 1, 1)


def to_onnx(net: nn.Module, box_coder: Any, description: Description) -> onnx.ModelProto:  # noqa: ANN401
    """The ONNX model of a `Detector` in evaluation mode; `int8` is quantized later.

    Raises:
        FacedetError: an operation of the network has no ONNX counterpart.
    """
    form = "decoded" if description.form == "end-to-end" else description.form
    graph = Graph(net, box_coder, form, description.precision)
    names = (INPUT, *OUTPUTS[form])
    # Of pictures of one size the number of anchors is known too.
    is_open = dict.fromkeys(("height", "width", "anchors"), description.size is None)
    is_open["batch"] = description.batch is None
    axes = {
        name: {axis: word for axis, word in _AXES[name].items() if is_open[word]} for name in names
    }
    try:
        with (
            warnings.catch_warnings(),
            torch.no_grad(),
            tempfile.TemporaryDirectory() as folder,
        ):
            # Of the tracer: sizes that become constants (they do not), and of its own age.
            warnings.simplefilter("ignore")
            torch.onnx.export(
                graph,
                (graph.example(description.size, description.batch),),
                path := Path(folder, "graph.onnx"),
                input_names=[INPUT],
                output_names=list(OUTPUTS[form]),
                dynamic_axes={name: named for name, named in axes.items() if named},
                opset_version=_OPSET,
                dynamo=False,
            )
            model = onnx.load(path)
    except Exception as error:  # of an operation that somebody's network has: anything
        reason = " ".join(str(error).split())[:300]
        raise FacedetError(f"{description.weights}: cannot be exported ({reason})") from error
    for output in model.graph.output:  # the exporter invents a name for this length
        if length := _LENGTHS.get(output.name):
            output.type.tensor_type.shape.dim[-1].dim_value = length
    if description.form == "end-to-end":
        _add_nms(model, description)
    describe(model, description)
    return model


def describe(model: onnx.ModelProto, description: Description) -> None:
    """Writes the description into the model's metadata, in place of what is there."""
    del model.metadata_props[:]
    helper.set_model_props(model, description.to_metadata())
    model.producer_name = "facedet"


def _add_nms(model: onnx.ModelProto, description: Description) -> None:
    """Turns boxes and scores of all anchors into those of faces, and of whose picture they are."""
    graph = model.graph
    for node in graph.node:
        for position, name in enumerate(node.output):
            if name in ("boxes", "scores"):
                node.output[position] = f"all_{name}"
        for position, name in enumerate(node.input):
            if name in ("boxes", "scores"):
                node.input[position] = f"all_{name}"
    del graph.output[:]
    integer, number = TensorProto.INT64, TensorProto.FLOAT
    graph.initializer.extend(
        [
            helper.make_tensor("nms_most", integer, [1], [MAX_FACES]),
            helper.make_tensor("nms_iou", number, [1], [description.iou]),
            helper.make_tensor("nms_cut", number, [1], [description.score]),
            helper.make_tensor("nms_one", integer, [1], [1]),
            helper.make_tensor("nms_ends", integer, [2], [0, 2]),
            helper.make_tensor("nms_first", integer, [1], [0]),
        ]
    )
    graph.node.extend(
        [
            helper.make_node("Unsqueeze", ["all_scores", "nms_one"], ["nms_scores"]),
            helper.make_node(
                "NonMaxSuppression",
                ["all_boxes", "nms_scores", "nms_most", "nms_iou", "nms_cut"],
                ["nms_found"],  # [N, 3]: picture, class, anchor
            ),
            helper.make_node("Gather", ["nms_found", "nms_ends"], ["nms_places"], axis=1),
            helper.make_node("GatherND", ["all_boxes", "nms_places"], ["boxes"]),
            helper.make_node("GatherND", ["all_scores", "nms_places"], ["scores"]),
            helper.make_node("Gather", ["nms_found", "nms_first"], ["nms_column"], axis=1),
            helper.make_node("Squeeze", ["nms_column", "nms_one"], ["picture"]),
        ]
    )
    graph.output.extend(
        [
            helper.make_tensor_value_info("boxes", number, ["faces", 4]),
            helper.make_tensor_value_info("scores", number, ["faces"]),
            helper.make_tensor_value_info("picture", integer, ["faces"]),
        ]
    )
