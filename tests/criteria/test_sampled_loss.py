"""SmallHardFace's losses: without faces, by hand, and against the values of the release."""

import math

import numpy as np
import pytest
import torch

from facedet.box_coder import FasterRcnnBoxCoder
from facedet.criteria.matchers import BACKGROUND, NEITHER, IoUMatcher, TwoThresholdMatcher
from facedet.criteria.miners import OnlineHardExamples
from facedet.criteria.sampled import SampledLoss
from facedet.errors import UsageError
from facedet.models.anchors import ThreeScaleAnchors
from facedet.structures import NO_POSITIVE, Predictions, Target

# Six anchors of 16 px, far apart; coordinates are those of the first and the last pixel.
ANCHORS = torch.tensor([[x, 0.0, x + 15, 15] for x in (0.0, 100, 200, 300, 400, 500)])
SIZE = (16, 516)
# On anchor 0: 12 of 16 rows, IoU 0.75. Its code: dy = (6 - 8) / 16 = -0.125, dh = ln(12 / 16).
FACE = (0.0, 0, 15, 11)
# Each above 1 / 9, so that 1 / 18 is taken off: 0.069444 + 0.232126.
FACE_LOSS = (0.125 - 1 / 18) + (math.log(16 / 12) - 1 / 18)
# On anchor 1: 6 of 16 rows, IoU 0.375: neither. dy = (3 - 8) / 16, dh = ln(6 / 16).
HALF = (100.0, 0, 115, 5)
HALF_LOSS = (5 / 16 - 1 / 18) + (math.log(16 / 6) - 1 / 18)


def target(*boxes, ignore=None, size=SIZE):
    ignored = torch.zeros(len(boxes), dtype=torch.bool) if ignore is None else torch.tensor(ignore)
    subsets = torch.zeros(len(boxes), 0, dtype=torch.bool)
    return Target(torch.tensor(boxes).reshape(-1, 4), ignored, subsets, 0, size)


def criterion(count=256, share=0.25, **settings):
    matcher = settings.pop("matcher", TwoThresholdMatcher())
    return SampledLoss(matcher, OnlineHardExamples(count, share), FasterRcnnBoxCoder(), **settings)


def predict(scores=None, deltas=None, images=1, levels=(), anchors=ANCHORS):
    """Predictions with these face scores, one half by default."""
    count = len(anchors)
    scores = torch.full((images, count), 0.5) if scores is None else torch.tensor(scores)
    # softmax of (0, ln(p / (1 - p))) gives p for the face.
    logits = torch.stack([torch.zeros_like(scores), (scores / (1 - scores)).log()], dim=2)
    deltas = torch.zeros(images, count, 4) if deltas is None else deltas
    return Predictions(logits.requires_grad_(), deltas.requires_grad_(), anchors, levels)


# Images without a face


@pytest.mark.parametrize("levels", [(), (600, 400)])
def test_an_image_without_any_face(levels):
    anchors = ANCHORS[:1].repeat(1000, 1)
    predictions = predict(anchors=anchors, levels=levels)
    losses = criterion()(predictions, [target()])
    (losses.classification + losses.box).backward()
    assert losses.box.item() == 0.0
    # ln 2 of each of 256 negatives, averaged, at each level.
    parts = max(1, len(levels))
    assert losses.classification.item() == pytest.approx(parts * math.log(2))
    assert predictions.logits.grad[0, :, 1].count_nonzero() == parts * 256
    # Zero, not nothing: every parameter has its gradient on every rank.
    assert predictions.deltas.grad.count_nonzero() == 0
    assert losses.hardest_positive.tolist() == [NO_POSITIVE]


def test_an_image_with_a_face_that_no_anchor_reaches():
    # 5 x 5 of 16 x 16 pixels: IoU 0.098.
    losses = criterion()(predict(), [target((2.0, 2, 6, 6))])
    assert (losses.box.item(), losses.hardest_positive.tolist()) == (0.0, [NO_POSITIVE])
    assert losses.classification.item() == pytest.approx(math.log(2))


# By hand


def test_losses_by_hand():
    # Scores 1/4 on the face, 1/5 on the background; anchor 1 is neither, whatever it says.
    losses = criterion()(predict([[0.25, 0.9, 0.2, 0.2, 0.2, 0.2]]), [target(FACE, HALF)])
    # One positive, four negatives: (ln 4 + 4 ln(5 / 4)) / 5.
    expected = (math.log(4) + 4 * math.log(5 / 4)) / 5
    assert losses.classification.item() == pytest.approx(expected, rel=1e-5)
    # Anchor 1 learns its box all the same.
    assert losses.box.item() == pytest.approx((FACE_LOSS + HALF_LOSS) / 2, rel=1e-5)
    assert losses.hardest_positive.tolist() == pytest.approx([0.25])
    assert not losses.hardest_positive.requires_grad


def test_small_errors_count_squared():
    # 0.1 and 0.05 away: 0.5 * 9 * (0.01 + 0.0025); the others exact.
    deltas = torch.zeros(1, 6, 4)
    deltas[0, 0] = torch.tensor([0.1, -0.125, -0.05, math.log(12 / 16)])
    losses = criterion()(predict(deltas=deltas), [target(FACE)])
    assert losses.box.item() == pytest.approx(4.5 * 0.0125, rel=1e-4)
    # Sigma 1: 0.5 * (0.01 + 0.0025).
    losses = criterion(sigma=1.0)(predict(deltas=deltas), [target(FACE)])
    assert losses.box.item() == pytest.approx(0.5 * 0.0125, rel=1e-4)


@pytest.mark.parametrize("sigma", [0.0, -3.0])
def test_a_sigma_out_of_range(sigma):
    with pytest.raises(UsageError, match=f"criterion.sigma={sigma}"):
        criterion(sigma=sigma)


def test_weight_and_threshold_of_the_boxes():
    targets = [target(FACE, HALF)]
    losses = criterion(box_weight=3.0)(predict(), targets)
    assert losses.box.item() == pytest.approx(1.5 * (FACE_LOSS + HALF_LOSS), rel=1e-5)
    # IoU 0.375 itself is enough.
    losses = criterion(box_threshold=0.375)(predict(), targets)
    assert losses.box.item() == pytest.approx((FACE_LOSS + HALF_LOSS) / 2, rel=1e-5)
    losses = criterion(box_threshold=0.376)(predict(), targets)
    assert losses.box.item() == pytest.approx(FACE_LOSS, rel=1e-5)


def test_the_sampled_anchors_only():
    # Two anchors, half of them positive: of two faces the one of score 0.3, and of the background
    # the face score 0.9.
    second = (100.0, 0, 115, 11)
    predictions = predict([[0.6, 0.3, 0.2, 0.9, 0.1, 0.8]])
    losses = criterion(2, 0.5)(predictions, [target(FACE, second)])
    losses.classification.backward()
    expected = (-math.log(0.3) - math.log(0.1)) / 2
    assert losses.classification.item() == pytest.approx(expected, rel=1e-5)
    # d/dx of the cross-entropy is p - 1 on a face and p on the background.
    gradient = [0, -0.7 / 2, 0, 0.9 / 2, 0, 0]
    assert predictions.logits.grad[0, :, 1].tolist() == pytest.approx(gradient)
    # The boxes of both faces are learned, and the score of the unsampled one counts as well.
    assert losses.box.item() == pytest.approx(FACE_LOSS, rel=1e-5)
    losses = criterion(2, 0.0)(predictions, [target(FACE, second)])
    assert losses.hardest_positive.tolist() == pytest.approx([0.3])


# Which anchors take part


def assigned(one, levels=(6,), anchors=ANCHORS, **settings):
    classified, boxed = criterion(**settings).assign(anchors, levels, one)
    return classified.tolist(), boxed.tolist()


def test_anchors_beyond_the_image_take_no_part():
    # x2 = 515 of the last anchor is not below 515; a batch may be padded to more.
    classified, boxed = assigned(target(FACE, size=(16, 515)))
    assert classified == [0, *[BACKGROUND] * 4, NEITHER]
    assert boxed == [0, *[NEITHER] * 5]
    # One row less, and no anchor lies inside: then all do.
    assert assigned(target(FACE, size=(15, 515)))[0] == [0, *[BACKGROUND] * 5]


def test_every_border_counts():
    moved = torch.tensor([[-1.0, 0, 14, 15], [0, -1, 15, 14], [1, 0, 16, 15], [0, 1, 15, 16]])
    anchors = torch.cat([ANCHORS[:1], moved])
    classified, _ = assigned(target(size=(16, 16)), (5,), anchors)
    assert classified == [BACKGROUND, *[NEITHER] * 4]


def test_all_anchors_of_a_level_if_none_is_inside():
    # 130 px wide: anchors 0 and 1 are inside, and of the second level none.
    classified, _ = assigned(target(FACE, size=(16, 130)), (3, 3))
    assert classified == [0, BACKGROUND, NEITHER, *[BACKGROUND] * 3]


def test_no_face_takes_an_anchor_beyond_the_image():
    # The best anchor is forced to the face by this matcher; it may only choose inside.
    near_the_end = (480.0, 0, 515, 15)
    classified, _ = assigned(target(near_the_end, size=(16, 515)), matcher=IoUMatcher())
    assert classified[-1] == NEITHER


def test_a_face_to_ignore_is_neither_found_nor_a_false_alarm():
    classified, boxed = assigned(target(FACE, HALF, ignore=[True, False]))
    assert classified == [NEITHER, NEITHER, *[BACKGROUND] * 4]
    assert boxed == [NEITHER, 1, *[NEITHER] * 4]
    # The other way round anchor 1 is left out for the ignored face's sake: 0.375 is above 0.3.
    classified, boxed = assigned(target(HALF, FACE, ignore=[True, False]))
    assert classified == [1, NEITHER, *[BACKGROUND] * 4]
    assert boxed == [1, *[NEITHER] * 5]
    # A face in the same place has the anchor.
    classified, _ = assigned(target(FACE, (0.0, 0, 15, 15), ignore=[True, False]))
    assert classified == [1, *[BACKGROUND] * 5]


def test_only_faces_to_ignore():
    losses = criterion()(predict(), [target(FACE, ignore=[True])])
    assert (losses.box.item(), losses.hardest_positive.tolist()) == (0.0, [NO_POSITIVE])
    assert losses.classification.item() == pytest.approx(math.log(2))


def test_the_difficulty_counts_whole_pixels():
    # 8 of 16 rows: IoU 0.5; without counting whole pixels it were 7 * 15 / (15 * 15) = 0.47.
    half = target((0.0, 0, 15, 7))
    assert criterion()(predict([[0.25, *[0.5] * 5]]), [half]).hardest_positive.item() == 0.25
    # Where the matcher is looser than the difficulty, its other positives do not count.
    loose = criterion(matcher=TwoThresholdMatcher(positive=0.3))
    losses = loose(predict([[0.75, 0.25, *[0.5] * 4]]), [target(FACE, HALF)])
    assert losses.hardest_positive.item() == pytest.approx(0.75)


# Levels and batches


def test_each_level_by_itself_and_summed():
    scores = [[0.25, 0.5, 0.2, 0.1, 0.4, 0.3]]
    one = target(FACE, (400.0, 0, 415, 11), HALF)
    losses = criterion(2, 0.5)(predict(scores, levels=(3, 2, 1)), [one])
    # Level 0: the face (1/4) and anchor 2 (0.2), anchor 1 being neither. Level 1: the face on
    # anchor 4 (0.4) and anchor 3 (0.1). Level 2: the one negative there is (0.3).
    expected = (-math.log(0.25) - math.log(0.8)) / 2 + (-math.log(0.4) - math.log(0.9)) / 2
    expected -= math.log(0.7)
    assert losses.classification.item() == pytest.approx(expected, rel=1e-5)
    # Level 0: two boxes, level 1: one, level 2: none.
    boxes = (FACE_LOSS + HALF_LOSS) / 2 + FACE_LOSS
    assert losses.box.item() == pytest.approx(boxes, rel=1e-5)
    # Easy only if it is at all levels.
    assert losses.hardest_positive.tolist() == pytest.approx([0.25])


@pytest.mark.parametrize("levels", [(), (4, 2)])
def test_a_batch_is_the_mean_of_its_images(levels):
    generator = torch.Generator().manual_seed(3)
    scores = torch.rand(3, 6, generator=generator).tolist()
    deltas = torch.randn(3, 6, 4, generator=generator)
    # With two faces, with one and one between, and with none: the numbers of anchors differ.
    targets = [target(FACE, (200.0, 0, 215, 15)), target((300.0, 1, 315, 14), HALF), target()]
    loss = criterion(4, 0.5)
    together = loss(predict(scores, deltas.clone(), 3, levels), targets)
    alone = [
        loss(predict([scores[i]], deltas[i : i + 1].clone(), 1, levels), [targets[i]])
        for i in range(3)
    ]
    for name in ("classification", "box"):
        mean = torch.stack([getattr(one, name) for one in alone]).mean()
        torch.testing.assert_close(getattr(together, name), mean)
    hardest = torch.cat([one.hardest_positive for one in alone])
    assert torch.equal(together.hardest_positive, hardest)


def test_images_of_different_sizes_in_one_batch():
    # The second image is narrower than the batch: its last four anchors take no part.
    predictions = predict(images=2)
    loss = criterion()(predictions, [target(FACE), target(FACE, size=(16, 130))])
    loss.classification.backward()
    taking_part = (predictions.logits.grad[..., 1] != 0).sum(dim=1)
    assert taking_part.tolist() == [6, 2]


def test_losses_are_computed_in_float32():
    generator = torch.Generator().manual_seed(4)
    logits = torch.randn(1, 6, 2, generator=generator).bfloat16()
    deltas = torch.randn(1, 6, 4, generator=generator).bfloat16()
    expected = criterion()(Predictions(logits.float(), deltas.float(), ANCHORS), [target(FACE)])
    with torch.autocast("cpu", torch.bfloat16):
        losses = criterion()(Predictions(logits, deltas, ANCHORS), [target(FACE)])
    assert losses.classification.dtype == losses.box.dtype == torch.float32
    for value, wanted in zip(losses, expected, strict=True):
        assert torch.equal(value, wanted)


# The values of the release


@pytest.mark.data
@pytest.mark.parametrize("case", ["easy", "hard", "crowd", "nopos"])
def test_targets_and_sampling_of_the_release(golden, case):
    with np.load(golden / "shf_anchor_target.npz") as file:
        stored = {key: file[f"{case}_{key}"] for key in (
            "gt", "hw", "seed", "fgshift", "labels", "targets_nz", "outw_idx", "outw_val", "wpas",
            "flag_prob")}  # fmt: skip
    size = tuple(stored["hw"].tolist())
    height, width = (math.ceil(side / 16) * 2 for side in size)
    anchors = ThreeScaleAnchors([8])([(height, width)], torch.device("cpu"))
    # Scores are drawn as [background of three anchors, face of three anchors, row, column].
    random = np.random.RandomState(int(stored["seed"]))
    raw = random.randn(1, 6, height, width).astype(np.float32)
    raw[:, 3:] += stored["fgshift"]
    logits = torch.from_numpy(raw.reshape(2, 3, height, width).transpose(2, 3, 1, 0).copy())
    predictions = Predictions(
        logits.reshape(1, -1, 2).requires_grad_(),
        torch.zeros(1, len(anchors), 4, requires_grad=True),
        anchors,
        (len(anchors),),
    )
    losses = criterion()(predictions, [target(*stored["gt"][:, :4].tolist(), size=size)])
    (losses.classification + losses.box).backward()

    # Labels: where the cross-entropy has a gradient, p - label over the number of anchors.
    labels = stored["labels"].reshape(3, height, width).transpose(1, 2, 0).reshape(-1)
    scores = predictions.logits.detach()[0].softmax(dim=1)[:, 1].numpy()
    expected = np.where(labels >= 0, (scores - labels) / 256, 0)
    np.testing.assert_allclose(predictions.logits.grad[0, :, 1], expected, rtol=1e-4, atol=1e-9)
    assert ((labels == 1).sum(), (labels == 0).sum()) == {
        "easy": (32, 224), "hard": (32, 224), "crowd": (64, 192), "nopos": (0, 256)
    }[case]  # fmt: skip

    # Boxes: the gradient at a code of zero is -9 t, at most 1, times the weight.
    channel, row, column = np.unravel_index(stored["outw_idx"], (12, height, width))
    gradient = np.zeros((len(anchors), 4))
    place = (row * width + column) * 3 + channel // 4
    gradient[place, channel % 4] = np.clip(-9 * stored["targets_nz"], -1, 1) * stored["outw_val"]
    np.testing.assert_allclose(predictions.deltas.grad[0], gradient, rtol=1e-4, atol=1e-8)
    _, boxed = criterion().assign(anchors, [len(anchors)], target(
        *stored["gt"][:, :4].tolist(), size=size))  # fmt: skip
    assert sorted(set(place.tolist())) == (boxed >= 0).nonzero().flatten().tolist()
    error = np.abs(stored["targets_nz"])
    error = np.where(error < 1 / 9, 4.5 * error**2, error - 1 / 18).sum() * stored["outw_val"]
    assert losses.box.item() == pytest.approx(float(error), rel=1e-4)

    # The worst positive anchor; the release flags images as easy from 0.85 on.
    wpas = float(stored["wpas"])
    hardest = losses.hardest_positive.item()
    assert hardest == pytest.approx(wpas if wpas >= 0 else NO_POSITIVE, rel=1e-5)
    assert (hardest >= 0.85) == (float(stored["flag_prob"]) == 0.7)
