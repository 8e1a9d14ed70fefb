"""The exported graph against the network that it was made of."""

import numpy as np
import onnx
import pytest
import torch

from facedet.config import build, compose
from facedet.export.graph import to_onnx
from facedet.export.opening import describe_weights
from facedet.inference.engines.onnxruntime import OnnxRuntimeNetwork
from facedet.inference.engines.openvino import OpenVinoNetwork
from facedet.inference.postprocess import NmsPostprocess
from facedet.weights.store import Weights, build_coder, build_net, read_weights
from reference.one_face import BOX, SCORE

# Less than a stride, odd, no multiple of one, and very long.
SIZES = [(1, 1), (2, 3), (97, 33), (64, 96), (31, 1000)]


def images(size, count=1):
    rng = np.random.default_rng(0)
    return torch.from_numpy(rng.integers(0, 256, (count, 3, *size), dtype=np.uint8))


def opened(path):
    read = read_weights(path)
    return build_net(read, path), build_coder(read, path), read


def exported(path, **changes):
    net, coder, read = opened(path)
    return to_onnx(net, coder, describe_weights(read, path, **changes)), net, coder


def run(model):
    return OnnxRuntimeNetwork(model.SerializeToString(), "model")


def close(found, expected, tolerance=1e-3):
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=tolerance)


@torch.no_grad()
def test_raw_outputs_are_the_networks_at_every_size(seeing):
    model, net, _ = exported(seeing, form="raw")
    onnx.checker.check_model(model, full_check=True)
    # A fused leaky ReLU is what makes ONNX Runtime quick.
    assert not {"PRelu", "BatchNormalization"} & {node.op_type for node in model.graph.node}
    engines = [run(model), OpenVinoNetwork(
        model.SerializeToString(), "model", description=run(model).description)]  # fmt: skip
    for size in SIZES:
        for count in (1, 3):
            expected = net(images(size, count))
            for engine in engines:
                found = engine(images(size, count))
                close(found.logits, expected.logits)
                close(found.deltas, expected.deltas)
                assert torch.equal(found.anchors, expected.anchors)
                assert found.size == size


def test_one_face_by_hand(weights):
    net = run(exported(weights, form="end-to-end")[0])
    for size in ((48, 64), (128, 97)):
        for count in (1, 3):
            found = net(images(size, count))
            close(found.deltas, torch.tensor([[BOX]] * count))
            close(found.logits.softmax(dim=2)[..., 1], torch.full((count, 1), SCORE), 1e-4)


@torch.no_grad()
def test_decoded_boxes_and_faces_are_those_of_the_postprocessing(seeing):
    decoded, net, coder = exported(seeing, form="decoded")
    expected = net(images((97, 64), 2))
    found = run(decoded)(images((97, 64), 2))
    close(found.deltas, coder.decode(expected.deltas, expected.anchors), 1e-2)
    close(found.logits.softmax(dim=2), expected.logits.softmax(dim=2))
    cut = float(expected.logits.softmax(dim=2)[..., 1].flatten().quantile(0.8))
    whole = run(exported(seeing, form="end-to-end", score=cut, iou=0.4)[0])
    faces = NmsPostprocess(coder, score=cut, iou=0.4, keep=None)(expected)
    found = whole(images((97, 64), 2))
    for place, one in enumerate(faces):
        # The one with fewer faces is filled up with boxes of score 0.
        scores = found.logits[place].softmax(dim=1)[:, 1]
        assert int((scores > 0).sum()) == len(one.scores) > 3
        close(scores[: len(one.scores)], one.scores)
        close(found.deltas[place, : len(one.scores)], one.boxes, 1e-2)


@torch.no_grad()
def test_outputs_name_the_picture_of_a_face(seeing):
    model, _, _ = exported(seeing, form="end-to-end", score=0.0)
    pictures = images((33, 40), 2).permute(0, 2, 3, 1).numpy()
    boxes, scores, picture = run(model).run(pictures)
    assert set(picture.tolist()) == {0, 1}
    assert len(boxes) == len(scores) == len(picture)
    for place in (0, 1):
        alone = run(model).run(pictures[place : place + 1])
        close(torch.from_numpy(boxes[picture == place]), torch.from_numpy(alone[0]), 1e-2)


def test_names_and_shapes_that_are_open(weights):
    for form, shapes in (
        ("raw", [["batch", "anchors", 2], ["batch", "anchors", 4], ["anchors", 4]]),
        ("decoded", [["batch", "anchors", 4], ["batch", "anchors"]]),
        ("end-to-end", [["faces", 4], ["faces"], ["faces"]]),
    ):
        graph = exported(weights, form=form)[0].graph
        assert [shape(one) for one in graph.input] == [["batch", "height", "width", 3]]
        assert [shape(one) for one in graph.output] == shapes
    # A picture at a time may still be of any size.
    graph = exported(weights, form="raw", batch=1)[0].graph
    assert [shape(one)[-2] for one in graph.output] == ["anchors"] * 3
    graph = exported(weights, form="decoded", size=(64, 96), batch=2)[0].graph
    assert [shape(one) for one in graph.input] == [[2, 64, 96, 3]]
    # Cells at strides 4 … 128: 16 x 24 + 8 x 12 + 4 x 6 + 2 x 3 + 1 x 2 + 1 x 1.
    assert [shape(one) for one in graph.output] == [[2, 513, 4], [2, 513]]


def shape(value):
    return [axis.dim_param or axis.dim_value for axis in value.type.tensor_type.shape.dim]


@pytest.mark.parametrize(
    "choices",
    [
        ["preset=extd_plain_32"],
        ["preset=extd_plain_32", "variant=norm_per_pass"],
        ["preset=extd_plain_32", "variant=first_stride_8"],
        ["preset=extd_plain_32", "variant=enlarged"],
        # Here the middles of pixels fall between two of the small picture's.
        ["preset=extd_plain_32", "model.net.enlarge=1.5"],
        ["preset=s3fd_mobilefacenet"],
        # VGG-16 with its padding, and three anchors per cell: 15 million weights.
        pytest.param(["preset=smallhardface"], marks=pytest.mark.slow),
    ],
)
@torch.no_grad()
def test_networks_of_other_families(choices):
    torch.manual_seed(0)
    config = compose("train", [*choices, "data.root=/nowhere"])
    net, coder = build(config.model.net).eval(), build(config.box_coder)
    read = Weights({}, {}, {"sha256": "a", "file": "own"})
    found = run(to_onnx(net, coder, describe_weights(read, "own")))
    for size in ((1, 1), (33, 50)):
        expected, other = net(images(size)), found(images(size))
        close(other.logits, expected.logits)
        close(other.deltas, expected.deltas)
        assert torch.equal(other.anchors, expected.anchors)
