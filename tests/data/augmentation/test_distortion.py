"""The photometric distortion against Pillow's enhancers and by hand."""

import cv2
import numpy as np
import pytest
from PIL import Image

from facedet.data.augmentation.distortion import PhotometricDistortion, Step, distort, mean_grey
from reference import whole_resize as reference
from reference.whole_resize import difference


@pytest.mark.parametrize(
    ("kind", "factors", "limit"),
    [
        ("brightness", [0.875, 1.0, 1.125], 0),
        ("contrast", [0.5, 0.8, 1.3, 1.5], 1),
        ("saturation", [0.5, 0.9, 1.2, 1.5], 1),
    ],
)
def test_factors_are_pillows(picture, kind, factors, limit):
    large = cv2.resize(picture, (1500, 1000), interpolation=cv2.INTER_CUBIC)
    for factor in factors:
        steps = (Step(kind, factor),)
        for image in (picture, large):
            expected = reference.distort_whole(Image.fromarray(image), steps)
            assert difference(distort(image, steps, image), expected).max() <= limit


def test_contrast_by_hand():
    # Half 0, half 200: the mean is 100. At factor 1.5, 0 becomes 100 - 150 < 0 and 200 becomes 250.
    image = np.zeros((2, 4, 3), dtype=np.uint8)
    image[1] = 200
    assert mean_grey(image) == 100
    out = distort(image, (Step("contrast", 1.5),), image)
    assert out[0, 0].tolist() == [0, 0, 0]
    assert out[1, 0].tolist() == [250, 250, 250]
    # The mean is that of the whole picture where only a part of it is needed, and of the picture
    # as brightness has left it: 0 and 100, mean 50; 100 becomes 50 + 1.5 * 50.
    steps = (Step("brightness", 0.5), Step("contrast", 1.5))
    assert distort(image[1:], steps, image)[0, 0].tolist() == [125, 125, 125]


@pytest.mark.parametrize("shift", [-17.9, -1.0, -0.4, 0.4, 7.0, 17.9])
def test_hue_is_pillows(picture, shift):
    noise = np.random.default_rng(0).integers(0, 256, (200, 200, 3), dtype=np.uint8)
    for image in (picture, noise):
        steps = (Step("hue", shift),)
        expected = reference.distort_whole(Image.fromarray(image), steps)
        apart = difference(distort(image, steps, image), expected)
        assert apart.mean() < 0.05
        # Where float rounding decides between two hues of 255, they are up to six levels apart.
        assert (apart > 2).mean() < 1e-3
        assert apart.max() <= 6


def test_hue_by_hand():
    # Red has hue 0; 17.9 more is cut off to 17 of 255: 17 * 6 / 255 = 0.4 of the way to yellow, so
    # green is 0.4 * 255 = 102. 17.9 less is -17, which is 239 (mod 256): 239 * 6 / 255 = 5.6235,
    # so blue falls from 255 by 0.6235: 96.
    red = np.zeros((1, 1, 3), dtype=np.uint8)
    red[..., 0] = 255
    assert distort(red, (Step("hue", 17.9),), red).tolist() == [[[255, 102, 0]]]
    assert distort(red, (Step("hue", -17.9),), red).tolist() == [[[255, 0, 96]]]
    assert distort(red, (Step("hue", -0.9),), red).tolist() == [[[255, 0, 0]]]
    grey = np.full((3, 3, 3), 90, dtype=np.uint8)
    assert (distort(grey, (Step("hue", 9.0),), grey) == 90).all()


@pytest.mark.parametrize("late", [False, True])
def test_combinations_are_pillows(picture, late):
    contrast = [Step("contrast", 0.6)]
    rest = [Step("saturation", 1.4), Step("hue", 11.5)]
    steps = (Step("brightness", 1.1), *(rest + contrast if late else contrast + rest))
    expected = reference.distort_whole(Image.fromarray(picture), steps)
    apart = difference(distort(picture, steps, picture), expected)
    assert apart.mean() < 0.6
    assert np.quantile(apart, 0.999) <= 3


def test_draws_of_the_distortion():
    rng, distortion = np.random.default_rng(5), PhotometricDistortion()
    drawn = [distortion.draw(rng) for _ in range(4000)]
    ranges = {
        "brightness": (0.875, 1.125),
        "contrast": (0.5, 1.5),
        "saturation": (0.5, 1.5),
        "hue": (-18, 18),
    }
    for kind, (low, high) in ranges.items():
        amounts = [step.amount for steps in drawn for step in steps if step.kind == kind]
        # p = 0.5 of 4000: the standard deviation is 32.
        assert abs(len(amounts) - 2000) < 130
        assert low <= min(amounts) < low + 0.01 * (high - low)
        assert high - 0.01 * (high - low) < max(amounts) <= high
    full = [tuple(step.kind for step in steps) for steps in drawn if len(steps) == 4]
    early = ("brightness", "contrast", "saturation", "hue")
    late = ("brightness", "saturation", "hue", "contrast")
    assert set(full) == {early, late}
    assert 0.35 < full.count(early) / len(full) < 0.65
