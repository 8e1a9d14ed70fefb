"""Passes and their merging, with a detector that finds white boxes exactly."""

import numpy as np
import pytest
import torch

from facedet.inference.postprocess import NmsMerge, VoteMerge
from facedet.inference.pyramid import Pyramid
from facedet.inference.scales import ExtdScales, FixedScales, Pass
from reference.bright_faces import Echo, always, check_boxes, find_bright, picture, pyramid


class Recorder:
    """A merge that keeps everything and counts its calls."""

    keep = 750

    def __init__(self, raw=False):
        self.raw = raw
        self.calls = 0

    def __call__(self, found):
        self.calls += 1
        return found


# One pass


def test_plain_pass_is_not_merged():
    merge = Recorder()
    found = pyramid(merge=merge)(picture(60, 100, (10, 5, 30, 25), (50, 20, 90, 50)))
    check_boxes(found, (50, 20, 90, 50), (10, 5, 30, 25))
    assert (merge.calls, found.note) == (0, "")


def test_a_single_pass_of_raw_candidates_is_merged():
    merge = Recorder(raw=True)
    check_boxes(pyramid(merge=merge)(picture(60, 100, (10, 5, 30, 25))), (10, 5, 30, 25))
    assert merge.calls == 1


def test_nothing_in_the_picture():
    for one in (
        pyramid(),
        pyramid((0.5, 1.0), flip=True),
        pyramid(pixel_budget=100, on_large="shrink"),
    ):
        found = one(picture(60, 100))
        assert (found.boxes.shape, found.scores.shape) == ((0, 4), (0,))


@pytest.mark.parametrize("scale", [0.5, 2.0, 1.3])
def test_a_scaled_pass_gives_pixels_of_the_picture(scale):
    found = pyramid((scale,))(picture(120, 200, (20, 40, 60, 100)))
    # A border can move by a pixel of the network.
    check_boxes(found, (20, 40, 60, 100), tolerance=1 / scale)


@pytest.mark.parametrize("scale", [1.0, 0.5])
def test_a_mirrored_pass_gives_pixels_of_the_picture(scale):
    passes = [Pass(scale, flip=True)]
    found = pyramid(passes=passes)(picture(60, 100, (10, 4, 30, 24)))
    check_boxes(found, (10, 4, 30, 24))


def test_mirroring_uses_the_width_of_the_network():
    net = Echo()
    one = Pyramid(net, always((10.0, 5, 30, 25)), lambda size: [Pass(0.5, flip=True)], NmsMerge())
    # Mirrored in 50 px: 50 - 30 and 50 - 10; twice that in the file's pixels.
    check_boxes(one(picture(60, 101)), (40, 10, 80, 50))
    assert net.batches == [(1, 3, 30, 50)]


def test_size_filters_are_strict_and_count_whole_pixels_of_the_file():
    rows = [
        (0.0, 0, 29, 5),  # max(30, 6) is not above 30
        (0.0, 40, 5, 70),  # max(6, 31) is
        (100.0, 0, 199, 150),  # min(100, 151) is not below 100
        (300.0, 0, 398, 150),  # min(99, 151) is
    ]

    def kept(**limits):
        # At scale 0.5 the network's pixels are half those of the file.
        half = always(*[tuple(value / 2 for value in row) for row in rows])
        one = Pyramid(Echo(), half, lambda size: [Pass(0.5, **limits)], NmsMerge())
        found = one(picture(160, 400)).boxes.tolist()
        return [index for index, row in enumerate(rows) if list(row) in found]

    assert kept() == [0, 1, 2, 3]
    assert kept(larger_than=30.0) == [1, 2, 3]
    assert kept(smaller_than=100.0) == [0, 1, 3]


@pytest.mark.parametrize("size", [(1, 1), (1, 50), (33, 47), (2, 3)])
def test_tiny_pictures_go_through_every_pass(size):
    # Half of one pixel is still one.
    found = Pyramid(Echo(), find_bright, ExtdScales(area=10_000), NmsMerge())(picture(*size))
    assert found.boxes.shape == (0, 4)


def test_detections_may_be_changed_in_place():
    found = pyramid()(picture(60, 100, (10, 5, 30, 25)))
    found.boxes.clamp_(max=20)
    check_boxes(found, (10, 5, 20, 20))


# Several passes


def test_passes_are_merged_once():
    merge = Recorder()
    found = pyramid((1.0, 0.5), flip=True, merge=merge)(picture(60, 100, (10, 4, 30, 24)))
    check_boxes(found, *[(10, 4, 30, 24)] * 4)
    assert merge.calls == 1


def test_passes_are_merged_by_suppression():
    boxes = [(50, 20, 90, 50), (10, 4, 30, 24)]
    check_boxes(pyramid((1.0, 0.5), flip=True)(picture(60, 100, *boxes)), *boxes)


def test_what_one_pass_saw_is_voted_out():
    # The small box is below 128 after shrinking: only the plain pass sees it.
    image = picture(200, 200, (20, 20, 100, 100), (150, 150, 151, 151))
    assert len(pyramid((1.0, 0.25))(image).boxes) == 2
    check_boxes(pyramid((1.0, 0.25), merge=VoteMerge())(image), (20, 20, 100, 100))


# Several pictures


def test_pictures_of_one_size_go_together_and_keep_their_order():
    one = pyramid()
    pictures = [
        picture(60, 100, (0, 0, 10, 10)),
        picture(100, 60, (5, 5, 25, 25)),
        picture(60, 100, (40, 20, 80, 40)),
        picture(60, 100),
    ]
    together = one.detect_many(pictures)
    assert one.net.batches == [(3, 3, 60, 100), (1, 3, 100, 60)]
    for found, image in zip(together, pictures, strict=True):
        alone = one(image)
        assert torch.equal(found.boxes, alone.boxes)
        assert torch.equal(found.scores, alone.scores)
    assert one.detect_many([]) == []


def test_the_budget_limits_the_batch():
    pictures = [picture(100, 100, (0, 0, 10, 10 + i)) for i in range(5)]
    # 25,000 px hold two pictures of 10,000.
    one = pyramid(pixel_budget=25_000, on_large="shrink")
    found = one.detect_many(pictures)
    assert [batch[0] for batch in one.net.batches] == [2, 2, 1]
    assert [result.boxes[0, 3].item() for result in found] == [10, 11, 12, 13, 14]
    # The largest pass counts: at scale 1.5 they have 22,500.
    one = pyramid((1.0, 1.5), pixel_budget=25_000, on_large="shrink")
    one.detect_many(pictures)
    assert {batch[0] for batch in one.net.batches} == {1}


def test_a_real_network_sees_each_picture_of_a_batch_alone(build_detector):
    from facedet.box_coder import SsdBoxCoder
    from facedet.inference.postprocess import NmsPostprocess

    rng = np.random.default_rng(0)
    pictures = [rng.integers(0, 256, (70, 90, 3), dtype=np.uint8) for _ in range(3)]
    decode = NmsPostprocess(SsdBoxCoder(), score=0.3)
    one = Pyramid(build_detector().eval(), decode, FixedScales(), NmsMerge())
    for found, image in zip(one.detect_many(pictures), pictures, strict=True):
        alone = one(image)
        assert len(found.boxes) > 0
        torch.testing.assert_close(found.boxes, alone.boxes, rtol=0, atol=1e-3)
        torch.testing.assert_close(found.scores, alone.scores, rtol=0, atol=1e-5)
