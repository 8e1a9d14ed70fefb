"""What an exported network must share with PyTorch's, and what rounding may change."""

from types import SimpleNamespace

import pytest
import torch

from facedet.box_coder import DecodedBoxes
from facedet.errors import FacedetError
from facedet.export import agreement, writing
from facedet.export.agreement import require_agreement
from facedet.export.pictures import embedded_pictures
from facedet.export.writing import export
from facedet.profiling.latency import noise
from facedet.structures import Predictions

# IoU of A and B: 160 / 240; of B and C: 120 / 280; of A and C: 80 / 320, below an NMS at 0.3.
A, B, C = [0.0, 0, 10, 20], [0.0, 4, 10, 24], [0.0, 12, 10, 32]


def predictions(*candidates):
    boxes = torch.tensor([box for box, _ in candidates]).reshape(-1, 4)
    scores = torch.tensor([score for _, score in candidates])
    logits = torch.stack([(1 - scores).log(), scores.log()], dim=1)
    return Predictions(logits[None], boxes[None], boxes)


def compare(expected, given, form="end-to-end", iou=0.3):
    class Exported:
        description = SimpleNamespace(form=form, precision="fp32", score=0.5, iou=iou)

        def __call__(self, _):
            return predictions(*given)

    def net(_):
        return predictions(*expected)

    return require_agreement(net, DecodedBoxes(), Exported(), [noise((8, 8))], "a.onnx")


def test_of_two_nearly_equal_candidates_either_may_be_kept():
    found = compare([(A, 0.6), (B, 0.5999), (C, 0.55)], [(B, 0.6)])
    # A and C here, B there: A and C are what B suppresses.
    assert (found.faces, found.matched) == (3, 3)
    assert found.score == pytest.approx(1e-4, rel=1e-2)
    assert found.pixels == 0


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ([(B, 0.55)], "2 of 3 faces are found by both"),  # a worse one suppressed a better one
        ([(A, 0.6)], "2 of 3 faces are found by both"),  # C is missing
        ([(A, 0.6), (C, 0.53)], "scores differ by up to 0.02"),
        ([(A, 0.6), ([0.0, 12, 10, 33], 0.55)], "corners by up to 1 px"),
        ([(A, 0.6), (C, 0.55), ([50.0, 50, 60, 60], 0.9)], "4 of 5 faces are found by both"),
        ([], "0 of 2 faces are found by both"),
    ],
)
def test_what_rounding_does_not_explain(given, said):
    with pytest.raises(FacedetError, match=said):
        compare([(A, 0.6), (B, 0.55), (C, 0.55)], given)


def test_the_suppression_is_that_of_the_file():
    assert compare([(A, 0.6), (C, 0.55)], [(A, 0.6)], iou=0.2).matched == 2
    with pytest.raises(FacedetError, match="2 of 3 faces"):
        compare([(A, 0.6), (C, 0.55)], [(A, 0.6)], iou=0.3)


def test_the_end_of_a_full_list_is_decided_by_rounding(monkeypatch):
    monkeypatch.setattr(agreement, "MAX_FACES", 2)
    apart = [[100.0 * place, 0, 100.0 * place + 10, 10] for place in range(3)]
    expected = list(zip(apart, (0.9, 0.8, 0.7999), strict=True))
    found = compare(expected, [(apart[0], 0.9), (apart[2], 0.8)])
    assert (found.faces, found.matched) == (2, 2)


def test_all_candidates_are_compared_where_there_is_no_suppression():
    assert compare([(A, 0.6), (B, 0.1)], [(A, 0.6), (B, 0.1)], form="decoded").score == 0
    with pytest.raises(FacedetError, match="scores differ by up to 0.1"):
        compare([(A, 0.6), (B, 0.1)], [(A, 0.6), (B, 0.2)], form="decoded")


@pytest.mark.slow  # 34,000 candidates are suppressed three times: seconds
def test_nearly_all_candidates_above_the_cut(tmp_path, monkeypatch):
    crowd = embedded_pictures("val", 1, 640)
    pictures = {writing._COMPARED: [noise((96, 80))], 1: crowd}
    monkeypatch.setattr(writing, "embedded_pictures", lambda _, count, *__: pictures[count])
    path = tmp_path / "a.onnx"
    written = export("extd-plain-32", path, "onnx", form="end-to-end", score=0.05)
    assert written.agreement.matched == written.agreement.faces > 2 * 4000
    assert written.agreement.pixels < 0.01
