"""The shipped weights on photographs that are no training data: scikit-image's."""

import cv2
import numpy as np
import pytest
import torch
from skimage import data as pictures

import facedet
from facedet.boxes import iou
from facedet.weights.zoo import NAMED

NAMES = [named.name for named in NAMED.values() if named.url is None]
# From chin to hairline and from ear to ear, read off the picture.
ASTRONAUT = (178.0, 50.0, 268.0, 175.0)


@pytest.fixture(scope="module", params=NAMES)
def detector(request):
    return facedet.load(request.param)


def check_found(found, box):
    """The best box is the face's."""
    assert len(found.boxes)
    assert iou(torch.tensor([box]), found.boxes[:1]).item() > 0.5


@pytest.mark.parametrize("factor", [0.25, 0.5, 1.0, 2.0])
def test_a_face_is_found_at_any_size(detector, factor):
    rgb = cv2.resize(pictures.astronaut(), None, fx=factor, fy=factor)
    found = detector.detect(rgb)
    check_found(found, [side * factor for side in ASTRONAUT])


@pytest.mark.slow
@pytest.mark.parametrize("factor", [1, 2, 3, 4])
def test_a_face_that_fills_the_picture_is_found(detector, factor):
    # Its height is 125 to 500 px, in a picture of 200 to 800.
    rgb = cv2.resize(pictures.astronaut()[20:220, 130:330], None, fx=factor, fy=factor)
    x1, y1, x2, y2 = ASTRONAUT
    corners = (x1 - 130, y1 - 20, x2 - 130, y2 - 20)
    check_found(detector.detect(rgb), [factor * corner for corner in corners])


def test_a_picture_without_a_face_has_none(detector):
    for rgb in (pictures.rocket(), np.zeros((300, 400, 3), np.uint8)):
        assert not len(detector.detect(rgb).boxes)
