"""EXTD's distortion against Pillow's enhancers and by hand; SmallHardFace's against a slow one."""

import colorsys
import itertools

import cv2
import numpy as np
import pytest
from PIL import Image
from skimage import data as pictures

from facedet.data.augmentation.distortion import (
    Step,
    Tone,
    distort,
    draw_steps,
    draw_tone,
    mean_grey,
    retouch,
)
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


def test_draws_of_steps():
    rng = np.random.default_rng(5)
    drawn = [draw_steps(rng) for _ in range(4000)]
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


def slow(image, tone):
    """The distortion in Python floats, step by step."""

    def contrasted(levels):
        return [min(v * tone.contrast, 255) for v in levels]

    out = np.empty_like(image)
    for place in np.ndindex(image.shape[:2]):
        levels = [min(max(float(v) + tone.brightness, 0), 255) for v in image[place]]
        if not tone.contrast_last:
            levels = contrasted(levels)
        hue, saturation, value = colorsys.rgb_to_hsv(*levels)
        hue = (hue * 360 + tone.hue) % 360
        saturation = min(saturation * tone.saturation, 1)
        levels = colorsys.hsv_to_rgb(hue / 360, saturation, value)
        if tone.contrast_last:
            levels = contrasted(levels)
        out[place] = [round(v) for v in levels]
    return out


@pytest.fixture(scope="module")
def image():
    """A piece of a photograph above noise, 40 x 30, with black, white and full colours."""
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (20, 30, 3), dtype=np.uint8)
    image = np.vstack([pictures.astronaut()[100:120, 200:230], noise])
    corners = [(0, 0, 0), (255, 255, 255), (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0)]
    image[0, :6] = corners
    return image


@pytest.mark.parametrize("brightness", [0.0, -31.7, 20.3])
@pytest.mark.parametrize("hue", [0.0, -17.9, 17.9])
@pytest.mark.parametrize("last", [False, True])
def test_tones_are_within_one_level_of_the_slow_one_in_either_order(image, brightness, hue, last):
    for contrast, saturation in itertools.product([1.0, 0.5, 1.5], [1.0, 0.5, 1.5]):
        tone = Tone(brightness, contrast, saturation, hue, last)
        assert difference(retouch(image, tone), slow(image, tone)).max() <= 1


def one(*levels):
    return np.array([[levels]], dtype=np.uint8)


@pytest.mark.parametrize(
    ("levels", "tone", "expected"),
    [
        # Added levels end at 0 and 255, before anything is multiplied: 255 * 0.5 = 127.5 is even.
        ((250, 10, 100), Tone(brightness=10), (255, 20, 110)),
        ((250, 10, 100), Tone(brightness=-20.4), (230, 0, 80)),
        ((250, 0, 100), Tone(brightness=20, contrast=0.5), (128, 10, 60)),
        ((240, 4, 100), Tone(contrast=1.5), (255, 6, 150)),
        # V = 200, S = 1 becomes 0.5: the lowest is 100, the middle 200 - 0.5 * 100 = 150.
        ((200, 100, 0), Tone(saturation=0.5), (200, 150, 100)),
        # S = 0.8 becomes 1.2, which ends at 1: the lowest is 0, the middle 200 - 100 / 0.8 = 75.
        ((200, 100, 40), Tone(saturation=1.5), (200, 75, 0)),
        # Red turned by 12 of 60 degrees towards yellow: 255 * 12 / 60 = 51; back: towards magenta.
        ((255, 0, 0), Tone(hue=12), (255, 51, 0)),
        ((255, 0, 0), Tone(hue=-12), (255, 0, 51)),
        # Contrast cuts off at 255: (360, 180, 0) is (255, 180, 0), at 0.6 of the saturation
        # (255, 255 - 0.6 * 75, 255 - 0.6 * 255).
        ((240, 120, 0), Tone(contrast=1.5, saturation=0.6), (255, 210, 102)),
        # After the HSV part: (240, 168, 96) times 1.5.
        ((240, 120, 0), Tone(0, 1.5, 0.6, 0, contrast_last=True), (255, 252, 144)),
        ((90, 90, 90), Tone(saturation=1.5, hue=18), (90, 90, 90)),
        ((0, 0, 0), Tone(contrast=1.5, saturation=1.5, hue=18), (0, 0, 0)),
    ],
)
def test_tones_by_hand(levels, tone, expected):
    assert tuple(retouch(one(*levels), tone)[0, 0].tolist()) == expected


def test_nothing_drawn_is_nothing_done(image):
    assert retouch(image, Tone()) is image
    assert retouch(image, Tone(contrast_last=True)) is image
    before = image.copy()
    retouch(image, Tone(10, 1.2, 1.3, 5))
    np.testing.assert_array_equal(image, before)


def test_every_pixel_goes_by_itself():
    # Strips and parts of a picture come out as in the whole of it.
    image = np.random.default_rng(1).integers(0, 256, (300, 200, 3), dtype=np.uint8)
    tone = Tone(-12.0, 1.2, 0.7, 9.0)
    whole = retouch(image, tone)
    np.testing.assert_array_equal(retouch(image[150:260, 31:99], tone), whole[150:260, 31:99])
    assert retouch(image[:, :1], tone).shape == (300, 1, 3)


def test_draws_of_tones():
    rng = np.random.default_rng(5)
    drawn = np.array([draw_tone(rng) for _ in range(4000)])
    limits = [(-32, 32), (0.5, 1.5), (0.5, 1.5), (-18, 18)]
    coin = drawn[:, 4]
    assert abs(coin.sum() - 2000) < 130
    for column, neutral, (low, high) in zip(drawn.T[:4], Tone()[:4], limits, strict=True):
        happened = column[column != neutral]
        # p = 0.5 of 4000: the standard deviation is 32.
        assert abs(len(happened) - 2000) < 130
        assert low <= happened.min() < low + 0.01 * (high - low)
        assert high - 0.01 * (high - low) < happened.max() <= high
        assert happened.mean() == pytest.approx((low + high) / 2, abs=0.03 * (high - low))
    # Each of the four by itself, and the coin.
    happens = drawn != np.array(Tone())
    assert np.abs(np.corrcoef(happens.T) - np.eye(5)).max() < 0.08
    assert draw_tone(rng, p=0.0) == Tone()
