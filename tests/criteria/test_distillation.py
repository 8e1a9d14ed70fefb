"""The distance to a teacher's answers, by numbers worked out by hand."""

import math

import pytest
import torch

from facedet.box_coder import SsdBoxCoder
from facedet.criteria.distillation import coarser, distillation_losses
from facedet.models.anchors import AnchorGenerator
from facedet.structures import Predictions

ANCHORS = torch.zeros(3, 4)


def answers(scores, deltas):
    """Predictions of face scores [A] and first code values [A] for one image."""
    scores = torch.tensor([scores])
    code = torch.zeros(1, len(deltas), 4)
    code[0, :, 0] = torch.tensor(deltas)
    # Any constant added to both logits leaves the scores alone.
    logits = torch.stack([(1 - scores).log() + 3, scores.log() + 3], dim=2)
    return Predictions(logits.requires_grad_(), code.requires_grad_(), ANCHORS)


def test_scores_count_by_their_distance_and_boxes_where_the_teacher_is_confident():
    student = answers([0.5, 0.2, 0.3], [0.0, 0.0, 0.0])
    teacher = answers([0.9, 0.2, 0.1], [2.0, 7.0, 7.0])
    losses = distillation_losses(student, teacher)
    first = 0.4 * (0.9 * math.log(0.9 / 0.5) + 0.1 * math.log(0.1 / 0.5))
    third = 0.2 * (0.1 * math.log(0.1 / 0.3) + 0.9 * math.log(0.9 / 0.7))
    assert losses.classification.item() == pytest.approx(first + third, rel=1e-5)
    assert losses.box.item() == pytest.approx(1.5)  # |2| - 0.5, of the one confident anchor


def test_both_are_divided_by_the_confident_anchors():
    student, teacher = answers([0.5, 0.5, 0.5], [0.0] * 3), answers([0.9, 0.9, 0.5], [2.0] * 3)
    single = answers([0.5, 0.5, 0.5], [0.0] * 3), answers([0.9, 0.5, 0.5], [2.0] * 3)
    two, one = distillation_losses(student, teacher, 0.6), distillation_losses(*single, 0.6)
    torch.testing.assert_close(two[:2], one[:2])
    assert (two.total, one.total) == (2, 1)


def test_who_agrees_has_no_loss_and_nobody_confident_divides_by_nothing():
    one, other = answers([0.3, 0.4, 0.1], [1.0] * 3), answers([0.3, 0.4, 0.1], [5.0] * 3)
    losses = distillation_losses(one, other)
    assert losses.classification.item() == pytest.approx(0, abs=1e-7)
    assert losses.box.item() == 0
    (losses.classification + losses.box).backward()
    assert one.logits.grad.abs().max() < 1e-6


def test_a_step_against_the_gradient_comes_nearer():
    student, teacher = answers([0.2, 0.7, 0.3], [0.0] * 3), answers([0.9, 0.1, 0.3], [1.0] * 3)
    losses = distillation_losses(student, teacher)
    (losses.classification + losses.box).backward()
    face, gradient = student.logits[..., 1], student.logits.grad[..., 1]
    assert (face.shape, gradient[0, 0] < 0, gradient[0, 1] > 0) == ((1, 3), True, True)
    assert student.deltas.grad[0, :, 0].tolist() == [-1.0, 0.0, 0.0]
    # The factor is no way to a smaller loss: only the divergence has a gradient.
    p, q = 0.2, 0.9
    assert gradient[0, 0].item() == pytest.approx((q - p) * (p - q), rel=1e-5)


def test_half_precision_is_compared_in_full():
    student, teacher = answers([0.5, 0.2, 0.3], [0.0] * 3), answers([0.9, 0.2, 0.1], [2.0] * 3)
    half = [one._replace(logits=one.logits.bfloat16(), deltas=one.deltas.bfloat16())
            for one in (student, teacher)]  # fmt: skip
    assert distillation_losses(*half).classification.dtype == torch.float32


def test_four_cells_of_a_finer_teacher_are_one_of_the_student():
    sizes = [(4, 6), (2, 3)]  # of an image of 16 x 24 px; the second level is left out
    anchors = AnchorGenerator([4, 8], 4.0)(sizes, torch.device("cpu"))
    coder = SsdBoxCoder(0.1, 0.2)
    box = torch.tensor([3.0, 2.0, 20.0, 15.0])
    code = coder.encode(box.expand(len(anchors), 4), anchors)
    numbers = torch.arange(30.0)
    logits = torch.stack([numbers, -numbers], dim=1)
    taught = coarser(Predictions(logits[None], code[None], anchors, (24, 6)), 1)
    # Cells 0, 1, 6 and 7 of rows of six are the first.
    assert taught.logits[0, :, 0].tolist() == [3.5, 5.5, 7.5, 15.5, 17.5, 19.5]
    assert (taught.logits[..., 1] == -taught.logits[..., 0]).all()
    wanted = AnchorGenerator([8], 2.0)([(2, 3)], torch.device("cpu"))
    assert torch.equal(taught.anchors, wanted)
    # All four see the same box, and so does their mean.
    torch.testing.assert_close(coder.decode(taught.deltas[0], wanted), box.expand(6, 4))
