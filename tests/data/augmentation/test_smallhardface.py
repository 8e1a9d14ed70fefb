"""SmallHardFace's augmentation: samples against the whole picture resized, and its invariants."""

import cv2
import numpy as np
import pytest

from facedet.data.augmentation.distortion import Tone, retouch
from facedet.data.augmentation.pipeline import SmallHardFaceAugmentation
from facedet.errors import UsageError
from reference.whole_resize import difference

BOXES = np.array([[220.0, 90.0, 280.0, 160.0], [30.0, 40.0, 60.0, 80.0]], np.float32)


def run(augmentation, picture, boxes=BOXES, seed=0, ignore=None):
    ignore = np.zeros(len(boxes), dtype=bool) if ignore is None else np.array(ignore)
    return augmentation(picture, np.asarray(boxes, np.float32), ignore, seed)


def drawn(done):
    return dict(done.applied)["ShortSideCrop"]


def whole_resize(picture, draws):
    """The sample's pixels in the order of the release: distorted, resized whole, then cut."""
    window = draws["window"]
    whole = cv2.resize(retouch(picture, draws["steps"]), window.resized[::-1])
    return whole[window.top : window.top + window.height, window.left : window.left + window.width]


def test_boxes_by_hand(picture):
    # 400 x 512 at short side 200: a half. Nothing is cropped; the last face is clipped to 512 and
    # 400 and then 0, and one beside the picture is dropped.
    boxes = [[220, 90, 280, 160], [500, 390, 600, 450], [-40, 5, 0.5, 9], [1, 2, 2, 40]]
    done = run(SmallHardFaceAugmentation(scales=(200,), crop=0.0), picture, boxes)
    assert done.image.shape == (200, 256, 3)
    assert done.boxes.tolist() == [[110, 45, 140, 80], [250, 195, 256, 200]]
    assert done.rows.tolist() == [0, 1]
    assert done.boxes.dtype == np.float32


@pytest.mark.parametrize("scale", [150, 400, 700])
def test_samples_are_those_of_the_whole_resize(picture, scale):
    augmentation = SmallHardFaceAugmentation(scales=(scale,))
    cropped = 0
    for seed in range(20):
        done = run(augmentation, picture, seed=seed)
        draws = drawn(done)
        window = draws["window"]
        assert done.image.shape == (window.height, window.width, 3)
        # Where the picture shrinks, rounding and cutting off come after the resizing.
        assert difference(done.image, whole_resize(picture, draws)).mean() < 1
        cropped += (window.height, window.width) != window.resized
        factor = np.array([window.resized[1] / 512, window.resized[0] / 400] * 2)
        moved = BOXES[done.rows] * factor - [window.left, window.top] * 2
        limit = [window.width, window.height] * 2
        np.testing.assert_allclose(done.boxes, moved.clip(0, limit), atol=1e-3)
    assert 4 < cropped < 16


def test_without_resizing_the_pixels_are_exact(picture):
    augmentation = SmallHardFaceAugmentation(scales=(400,))
    for seed in range(12):
        done = run(augmentation, picture, seed=seed)
        np.testing.assert_array_equal(done.image, whole_resize(picture, drawn(done)))


def test_mirroring_is_left_to_the_data_set_unless_asked_for(picture):
    plain = SmallHardFaceAugmentation(scales=(200,), crop=0.0, distortion=0.0)
    flipped = SmallHardFaceAugmentation(scales=(200,), crop=0.0, distortion=0.0, flip=1.0)
    images = [run(plain, picture, seed=seed).image for seed in range(5)]
    assert all(np.array_equal(image, images[0]) for image in images)
    done = run(flipped, picture)
    np.testing.assert_array_equal(done.image, images[0][:, ::-1])
    # 256 wide: 256 - 140 and 256 - 110.
    assert done.boxes[0].tolist() == [116, 45, 146, 80]


def test_the_distortion_can_be_left_out(picture):
    for share, expected in ((0.0, 0), (1.0, 1)):
        augmentation = SmallHardFaceAugmentation(scales=(50,), distortion=share)
        tones = [drawn(run(augmentation, picture, seed=seed))["steps"] for seed in range(40)]
        # One in sixteen distortions is none of the four: 37.5 of 40 expected.
        assert 30 * expected <= sum(tone != Tone() for tone in tones) <= 40 * expected


def test_pictures_without_faces_are_background(picture):
    augmentation = SmallHardFaceAugmentation(scales=(200,))
    assert not augmentation.needs_faces
    for seed in range(6):
        done = run(augmentation, picture, np.zeros((0, 4)), seed)
        assert done.image.shape == (200, 256, 3)
        assert done.boxes.shape == (0, 4)
        assert done.boxes.dtype == np.float32
    # Faces to be ignored stay, without a crop for them.
    for seed in range(6):
        done = run(augmentation, picture, BOXES, seed, ignore=[True, True])
        assert done.image.shape == (200, 256, 3)
        assert done.rows.tolist() == [0, 1]


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"scales": ()}, r"scales=\[\], .*: expected sides from 1 to long_limit=2000"),
        ({"scales": (400, 0)}, r"scales=\[400, 0\]"),
        ({"scales": (400,), "long_limit": 300}, r"scales=\[400\], .*long_limit=300"),
        ({"min_ratio": 0.0}, r"min_ratio=0\.0"),
        ({"tries": 0}, "tries=0"),
        ({"crop": 1.5}, r"crop=1\.5: expected a probability"),
        ({"distortion": -1}, "distortion=-1: expected a probability"),
        ({"flip": 2}, "flip=2: expected a probability"),
    ],
)
def test_arguments_are_checked(wrong, told):
    with pytest.raises(UsageError, match=told):
        SmallHardFaceAugmentation(**wrong)
