"""Matching and curves, with values worked out by hand."""

import pytest
import torch

from facedet.metrics.functional import (
    average_precision,
    judge_detections,
    match_detections,
    normalise_scores,
    precision_recall,
)

BOX = (0, 0, 9, 9)  # 10 x 10 px


def match(boxes, faces, **options):
    boxes, faces = (torch.tensor(some).double().reshape(-1, 4) for some in (boxes, faces))
    return match_detections(boxes, faces, **options).tolist()


def test_matching_by_hand():
    assert match([], [BOX]) == []
    assert match([BOX], []) == [-1]
    # 0..9 is 10 pixels: IoU = 10 * 5 / (100 + 50 - 50) = 0.5 reaches the threshold;
    # without the +1 it would be 9 * 4 / 81 = 0.44. 0..3 is 4 pixels: 10 * 4 / 100 = 0.4.
    assert match([BOX], [(0, 0, 9, 4)]) == [0]
    assert match([BOX], [(0, 0, 9, 3)]) == [-1]
    # Equal overlaps take the first face.
    assert match([BOX], [(30, 0, 39, 9), BOX, BOX]) == [1]


def test_quirk_takes_the_first_face_that_reaches_one_half():
    # Face 0 has 60 / 100 = 0.6, face 1 has 90 / 100 = 0.9.
    faces = [(0, 0, 9, 5), (0, 0, 9, 8)]
    assert match([BOX], faces) == [1]
    assert match([BOX], faces, integer_quirk=True) == [0]
    # 50 / 100 = 0.5 exactly is rounded upwards; round() would make it 0.
    assert match([BOX], [(0, 0, 9, 4)], integer_quirk=True) == [0]


def test_a_face_is_recalled_once_by_its_best_detection():
    # Face 0 is kept in both subsets, face 1 in the second only.
    kept = torch.tensor([[True, True], [False, True]])
    scores = torch.tensor([0.3, 0.8, 0.5, 0.9])
    proposals, recalls = judge_detections(torch.tensor([0, 0, 1, -1]), scores, kept)
    # In the first subset the detection of face 1 is discarded; the weaker one of face 0 stays.
    assert proposals.tolist() == [[True, True], [True, True], [False, True], [True, True]]
    assert recalls.tolist() == [[False, False], [True, True], [False, True], [False, False]]
    # Without a face.
    proposals, recalls = judge_detections(torch.tensor([-1]), scores[:1], kept[:0])
    assert (proposals.tolist(), recalls.tolist()) == ([[True, True]], [[False, False]])


def test_normalised_scores_span_zero_to_one():
    assert normalise_scores(torch.tensor([2.0, 4.0, 3.0])).tolist() == [0.0, 1.0, 0.5]
    assert normalise_scores(torch.tensor([0.7, 0.7])).tolist() == [1.0, 1.0]
    assert normalise_scores(torch.zeros(0)).tolist() == []
    scores = torch.tensor([0.0, 1e-12, 1.0], dtype=torch.float64)
    assert normalise_scores(scores)[1].item() == 1e-12


def test_curve_and_area_by_hand():
    # T = 4: thresholds 0.75, 0.5, 0.25, 0. Four faces.
    scores = torch.tensor([1.0, 0.75, 0.6, 0.3, 0.0], dtype=torch.float64)
    proposals = torch.tensor([True, True, False, True, True])
    recalls = torch.tensor([True, False, False, True, True])
    precision, recall = precision_recall(scores, proposals, recalls, faces=4, thresholds=4)
    # >= 0.75: 1 of 2; >= 0.5: the same, as the third is discarded; >= 0.25: 2 of 3; >= 0: 3 of 4.
    assert precision.tolist() == [1 / 2, 1 / 2, 2 / 3, 3 / 4]
    assert recall.tolist() == [1 / 4, 1 / 4, 2 / 4, 3 / 4]
    # Every precision is raised to the best at a higher recall, 3/4, up to recall 3/4; 0 beyond.
    assert average_precision(precision, recall).item() == pytest.approx(9 / 16, abs=1e-15)
    # Falling precision is not raised: 1/2 * 1 + (1 - 1/2) * 1/2.
    assert average_precision(torch.tensor([1.0, 0.5]), torch.tensor([0.5, 1.0])).item() == 0.75
