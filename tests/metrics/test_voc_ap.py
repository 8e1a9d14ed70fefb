"""The protocol of AFW and Pascal Faces: matching, refinement and AP by hand, and the stored set."""

import json

import numpy as np
import pytest
import torch

from facedet.errors import UsageError
from facedet.metrics.functional import average_precision
from facedet.metrics.voc import (
    VocAP,
    eleven_point_precision,
    match_faces,
    rank_pictures,
    refine_boxes,
)
from facedet.structures import Detections, Target


def rows(*values):
    return torch.tensor(values, dtype=torch.float64).reshape(-1, 4)


def match(boxes, faces, **options):
    return match_faces(rows(*boxes), rows(*faces), **options).tolist()


FACE, THIN = (0, 0, 9, 9), (0, 0, 0, 9)


def test_matching_by_hand():
    # 10 x 5 of 10 x 10 px is 0.5, which is not above 0.5; 10 x 6 is.
    assert match([(0, 0, 9, 4), (0, 0, 9, 5)], [FACE]) == [-1, 0]
    assert match([(0, 0, 9, 4)], [FACE], threshold=0.49) == [0]
    # Of equal overlaps the last.
    assert match([FACE], [FACE, FACE, (20, 0, 29, 9)]) == [1]
    # Boxes without an area share nothing; with whole pixels they would share a column of 10.
    assert match([THIN], [THIN], threshold=0.1) == [-1]
    assert match([(0, 0, 1, 9)], [(0, 0, 1, 9)], threshold=0.1) == [0]
    assert match([], [FACE]) == []
    assert match([FACE], []) == [-1]


def rank(scores, matched, counts):
    scores, counts = torch.tensor(scores, dtype=torch.float64), torch.tensor(counts)
    return rank_pictures(scores, torch.tensor(matched, dtype=torch.long), counts[:, None])


def test_curve_by_hand():
    # Faces: 0 and 1 count, 2 is to be ignored. In order of the scores: face 0; none; face 2, which
    # does not count; face 0 again, a false positive; face 1.
    curve, found = rank([0.9, 0.5, 0.8, 0.6, 0.7], [0, 1, -1, 0, 2], [True, True, False])
    assert found.tolist() == [True, True, False, False, False]
    assert curve.faces == 2
    assert curve.threshold.tolist() == [0.9, 0.8, 0.6, 0.5]
    np.testing.assert_allclose(curve.precision, [1, 1 / 2, 1 / 3, 2 / 4])
    np.testing.assert_allclose(curve.recall, [1 / 2, 1 / 2, 1 / 2, 1])
    # Half of the recall at precision 1, half at 1/2.
    assert average_precision(curve.precision, curve.recall).item() == 0.75
    # Recalls 0 … 0.5 at 1, 0.6 … 1 at 1/2: (6 + 5 / 2) / 11.
    assert eleven_point_precision(curve.precision, curve.recall).item() == pytest.approx(8.5 / 11)
    # Equal scores count in the order of the rows.
    for order, precision in (([0, -1], [1, 1 / 2]), ([-1, 0], [0, 1 / 2]), ([], [])):
        curve, _ = rank([0.5] * len(order), order, [True])
        assert curve.precision.tolist() == precision
    assert eleven_point_precision(curve.precision, curve.recall).item() == 0.0


def test_refinement_by_hand():
    # The one match: 10 x 20 px at (5, 10), the face 20 x 30 px at (8, 12).
    own, face = rows((0, 0, 10, 20)), rows((-2, -3, 18, 27))
    # d = (3 / 10, 2 / 20), f = (2, 1.5). A box of 20 x 20 px at (30, 40) moves by (6, 2) and
    # becomes 40 x 30 px.
    moved = refine_boxes(rows((20, 30, 40, 50)), own, face)
    np.testing.assert_allclose(moved, [[16, 27, 56, 57]])
    # The mean of two matches; without any nothing moves.
    own = rows((0, 0, 10, 10), (0, 0, 20, 20))
    faces = rows((1, 0, 11, 10), (6, 0, 26, 20))  # d = 0.1 and 0.3, same sizes
    np.testing.assert_allclose(refine_boxes(own, own, faces)[0], [2, 0, 12, 10])
    assert refine_boxes(own, own[:0], faces[:0]) is own


def detections(*values):
    values = torch.tensor(values, dtype=torch.float64).reshape(-1, 5)
    return Detections(values[:, :4], values[:, 4])


def target(faces, index=0, ignore=None):
    faces = rows(*faces)
    flags = torch.zeros(len(faces), dtype=torch.bool) if ignore is None else torch.tensor(ignore)
    return Target(faces, flags, torch.zeros(len(faces), 0, dtype=torch.bool), index, (0, 0))


def test_a_common_bias_is_forgiven():
    # Both detections are half as wide as the face and miss it by a hair: 51 x 101 of 101 x 101 px
    # is 0.505, 50 x 101 would be 0.495. The first one matches and widens the second.
    metric, plain = VocAP("x"), VocAP("x", rounds=1)
    for one in (metric, plain):
        one.update([detections((0, 0, 50, 100, 0.9))], [target([(0, 0, 100, 100)])])
        one.update([detections((0, 0, 49, 100, 0.8))], [target([(0, 0, 100, 100)], 1)])
    values = {name: value.item() for name, value in metric.compute().items()}
    assert values == {"x/ap": 1.0, "x/ap_11": 1.0, "x/ap_unrefined": 0.5}
    assert plain.compute()["x/ap"].item() == 0.5


def test_small_faces_and_detections_do_not_count():
    # 29 px is small for a face, 21 px for a detection.
    faces = [(0, 0, 29, 40), (50, 50, 80, 80)]
    found = [(50, 50, 80, 80, 0.5), (0, 0, 29, 40, 0.9), (90, 0, 111, 21, 0.99)]
    metric = VocAP("x")
    metric.update([detections(*found)], [target(faces)])
    assert metric.compute()["x/ap"].item() == 1.0
    assert (metric.images, metric.detections, metric.curves()[0].faces) == (1, 3, 1)
    # 22 px are enough in one direction, and then it is a false positive before the face.
    wide = VocAP("x")
    wide.update([detections(*found[:2], (90, 0, 112, 5, 0.99))], [target(faces)])
    assert wide.compute()["x/ap"].item() == 0.5
    # A large face to ignore is neither to be found nor false.
    ignored = VocAP("x")
    ignored.update([detections(found[0])], [target(faces, ignore=[False, True])])
    assert (ignored.curves()[-1].faces, len(ignored.curves()[-1].precision)) == (0, 0)


def test_pictures_without_anything():
    metric = VocAP("x")
    metric.update([detections()], [target([])])
    assert {value.item() for value in metric.compute().values()} == {0.0}
    with pytest.raises(UsageError, match="rounds=0"):
        VocAP(rounds=0)


@pytest.mark.data
def test_stored_set(golden):
    expected = json.loads((golden / "marcopede_expected.json").read_text())
    stored = np.load(golden / "marcopede_synth.npz")
    values = {}
    for rounds in (1, 2, 5):
        metric = VocAP("x", rounds=rounds)
        for index in range(20):
            faces = torch.from_numpy(stored["gt"][stored["gt"][:, 0] == index])
            found = torch.from_numpy(stored["det"][stored["det"][:, 0] == index])
            subsets = torch.zeros(len(faces), 0, dtype=torch.bool)
            metric.update(
                [Detections(found[:, 2:], found[:, 1])],
                [Target(faces[:, 1:5], faces[:, 5] > 0, subsets, index, (0, 0))],
            )
        values[rounds] = metric.compute()
    assert (metric.detections, metric.curves()[0].faces) == (expected["n_det"], expected["tot_gt"])
    for rounds, key in ((1, "ap_iter1"), (2, "ap_iter2"), (5, "ap_iter5")):
        assert values[rounds]["x/ap"].item() == pytest.approx(expected[key], abs=1e-12)
    assert values[5]["x/ap_unrefined"].item() == pytest.approx(
        expected["ap_no_refinement"], abs=1e-12
    )
    assert values[1]["x/ap_11"].item() == pytest.approx(expected["ap11_no_refinement"], abs=1e-12)
