"""SmallHardFace's protocol as it is configured, with a stand-in for the network."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from facedet.box_coder import FasterRcnnBoxCoder
from facedet.config import build, compose
from facedet.evaluation.detect import detect_records
from facedet.evaluation.detection_files import read_detections
from facedet.evaluation.detection_writers import EventFiles
from facedet.inference.pyramid import Pyramid
from facedet.structures import Predictions, Record
from reference.bright_faces import find_in_one, picture


class SureOfBright(nn.Module):
    """Each bright spot of an image is an anchor with these face scores, its code zero.

    Args:
        scores: of as many anchors in the same place.
        noise: score of an anchor in the upper left corner.
    """

    def __init__(self, scores=(0.9, 0.8), noise=0.001):
        super().__init__()
        self.parameter = nn.Parameter(torch.zeros(1))
        self.scores = scores
        self.noise = noise
        self.sizes = []

    def forward(self, images):
        (image,) = images
        self.sizes.append(tuple(image.shape[1:]))
        # x2 and y2 of a spot are the pixel behind its last, of an anchor they are the last.
        boxes = find_in_one(image).boxes - torch.tensor([0.0, 0, 1, 1])
        anchors = torch.cat([boxes.repeat(len(self.scores), 1), torch.tensor([[0.0, 0, 7, 7]])])
        scores = torch.tensor(self.scores).repeat_interleave(len(boxes))
        scores = torch.cat([scores, torch.tensor([self.noise])])
        logits = torch.stack([torch.zeros_like(scores), (scores / (1 - scores)).log()], dim=1)
        return Predictions(
            logits[None], torch.zeros(1, len(anchors), 4), anchors, (len(anchors),), self.sizes[-1]
        )


def protocol(*overrides):
    return compose("evaluate", ["protocol=wider_shf", "weights=none", *overrides]).protocol


def make_pyramid(net, config):
    return Pyramid(
        net,
        build(config.postprocess)(box_coder=FasterRcnnBoxCoder()),
        build(config.scales),
        build(config.merge),
        config.pixel_budget,
        config.on_large,
    )


def test_the_published_numbers():
    config = protocol()
    assert list(config.scales.sides) == [100, 300, 600, 1000, 1400]
    assert (config.scales.base, config.scales.long, config.scales.flip) == (800, 1200, True)
    decode = config.postprocess
    assert (decode.score, decode.top_k, decode.iou, decode.keep) == (0.002, 10_000, None, None)
    assert (decode.clip, decode.at_least) == (True, 1)
    merge = config.merge
    assert (merge.iou, merge.score, merge.keep) == (0.4, 0.05, None)
    assert (merge.singletons, merge.raw) == ("keep_last", True)


def test_from_a_picture_to_the_result_file(tmp_path):
    # 80 x 100 px at the sides of 100 to 1400: base is 800 / 80 = 10, so that S px are S / 80.
    net = SureOfBright()
    config = protocol()
    path = tmp_path / "b.png"
    Image.fromarray(picture(80, 100, (20, 30, 40, 60))).save(path)
    record = Record("a/b", path, np.zeros((0, 4), np.float32), np.zeros(0, bool), {})
    writer = EventFiles(tmp_path / "out", **config.files)
    detect_records(make_pyramid(net, config), [record], writer)
    # 100 / 80 * 100 = 125 px wide, and so on; each size twice, plain and mirrored.
    assert net.sizes == [
        (side, side * 5 // 4) for side in (100, 300, 600, 1000, 1400) for _ in range(2)
    ]
    text = (tmp_path / "out" / "a" / "b.txt").read_text().splitlines()
    assert text[:2] == ["b", "1"]
    # Whole pixels of the decoded face, which is the spot again: 20, 30, 20 wide and 30 high, but
    # for a border between two pixels of the file; the best of its scores.
    *box, score = text[2].split()
    assert all(value.isdecimal() for value in box)
    np.testing.assert_allclose([int(value) for value in box], [20, 30, 20, 30], atol=1)
    assert float(score) == pytest.approx(0.9, abs=1e-6)
    assert len(score) == len("0.90000000")
    assert read_detections(tmp_path / "out")["a/b"].shape == (1, 5)


def test_nothing_found_stays_nothing():
    # Each pass keeps its best box, of score 0.001; none of them votes.
    found = make_pyramid(SureOfBright(), protocol())(picture(60, 60))
    assert found.boxes.shape == (0, 4)


def test_the_corner_votes_from_the_score_of_the_protocol():
    small = ["protocol.scales.sides=[400,800]", "protocol.scales.base=800"]
    for noise, expected in ((0.04, 0), (0.06, 1)):
        found = make_pyramid(SureOfBright((), noise), protocol(*small))(picture(60, 60))
        # The corner and its mirror image lie apart: at each side of the picture two passes vote.
        assert len(found.boxes) == 2 * expected
    # 8 px of 400 and of 800, mirrored: 60 - 8 * 60 / 400 … 60 of the picture.
    assert found.boxes[:, 2].max() == pytest.approx(60, abs=0.2)


def test_one_pass_is_voted_on_as_well():
    # Two boxes in the same place become one; in the release's manner also without a pyramid.
    one = ["protocol.scales.sides=[60]", "protocol.scales.base=60", "protocol.scales.flip=false"]
    net = SureOfBright((0.9, 0.5))
    found = make_pyramid(net, protocol(*one))(picture(60, 80, (10, 10, 30, 30)))
    assert net.sizes == [(60, 80)]
    assert found.boxes.tolist() == [[10, 10, 30, 30]]
    assert found.scores.tolist() == pytest.approx([0.9])
