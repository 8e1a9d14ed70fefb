"""The float distortion by hand, and against a slow one that goes pixel by pixel."""

import colorsys
import itertools

import numpy as np
import pytest
from skimage import data as pictures

from facedet.data.augmentation.hsv_distortion import HsvDistortion, Tone, retouch


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


def difference(a, b):
    return np.abs(a.astype(int) - b.astype(int)).max()


@pytest.mark.parametrize("brightness", [0.0, -31.7, 20.3])
@pytest.mark.parametrize("hue", [0.0, -17.9, 17.9])
@pytest.mark.parametrize("last", [False, True])
def test_within_one_level_of_the_slow_one_in_either_order(image, brightness, hue, last):
    for contrast, saturation in itertools.product([1.0, 0.5, 1.5], [1.0, 0.5, 1.5]):
        tone = Tone(brightness, contrast, saturation, hue, last)
        assert difference(retouch(image, tone), slow(image, tone)) <= 1


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
def test_by_hand(levels, tone, expected):
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


def test_draws():
    rng, distortion = np.random.default_rng(5), HsvDistortion()
    drawn = np.array([distortion.draw(rng) for _ in range(4000)])
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
    assert HsvDistortion(p=0.0).draw_or_not(rng) == Tone()
