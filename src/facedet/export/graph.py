"""A network as an ONNX graph: pictures in, predictions, boxes or faces out."""

import tempfile
import warnings
from pathlib import Path
from typing import Any

import onnx.parser
import torch
from onnx import helper
from torch import Tensor, nn
from torch.onnx import symbolic_helper

from facedet.errors import FacedetError, one_line
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
    is_whole = description.form == "end-to-end"
    form = "decoded" if is_whole else description.form
    graph = Graph(net, box_coder, form, description.precision)
    # What goes into the NMS leaves its names to what comes out of it.
    outputs = {f"all_{name}" if is_whole else name: _AXES[name] for name in OUTPUTS[form]}
    # Of pictures of one size the number of anchors is known too.
    is_open = dict.fromkeys(("height", "width", "anchors"), description.size is None)
    is_open["batch"] = description.batch is None
    axes = {
        name: {axis: word for axis, word in words.items() if is_open[word]}
        for name, words in {INPUT: _AXES[INPUT], **outputs}.items()
    }
    try:
        with warnings.catch_warnings(), torch.no_grad(), tempfile.TemporaryDirectory() as folder:
            # Of the tracer: sizes that become constants (they do not), and of its own age.
            warnings.simplefilter("ignore")
            torch.onnx.export(
                graph,
                (graph.example(description.size, description.batch),),
                path := Path(folder, "graph.onnx"),
                input_names=[INPUT],
                output_names=list(outputs),
                dynamic_axes={name: named for name, named in axes.items() if named},
                opset_version=_OPSET,
                dynamo=False,
            )
            model = onnx.load(path)
    except Exception as error:  # of an operation that somebody's network has: anything
        reason = one_line(error)[:300]
        raise FacedetError(f"{description.weights}: cannot be exported ({reason})") from error
    for output in model.graph.output:  # the exporter invents a name for this length
        if length := _LENGTHS.get(output.name):
            output.type.tensor_type.shape.dim[-1].dim_value = length
    if is_whole:
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
    score, iou = float(description.score), float(description.iou)
    # What the NMS finds has three columns: picture, class, anchor.
    nms = onnx.parser.parse_graph(f"""
        nms (float[batch, anchors, 4] all_boxes, float[batch, anchors] all_scores)
        => (float[faces, 4] boxes, float[faces] scores, int64[faces] picture)
        <
            int64[1] nms_most = {{{MAX_FACES}}},
            float[1] nms_iou = {{{iou}}}, float[1] nms_cut = {{{score}}},
            int64[1] nms_one = {{1}}, int64[2] nms_ends = {{0, 2}}, int64[1] nms_first = {{0}}
        >
        {{
            nms_scores = Unsqueeze (all_scores, nms_one)
            nms_found = NonMaxSuppression (all_boxes, nms_scores, nms_most, nms_iou, nms_cut)
            nms_places = Gather <axis = 1> (nms_found, nms_ends)
            boxes = GatherND (all_boxes, nms_places)
            scores = GatherND (all_scores, nms_places)
            nms_column = Gather <axis = 1> (nms_found, nms_first)
            picture = Squeeze (nms_column, nms_one)
        }}
    """)
    del model.graph.output[:]
    model.graph.initializer.extend(nms.initializer)
    model.graph.node.extend(nms.node)
    model.graph.output.extend(nms.output)
