"""The augmentations: composition, randomness, and samples against resizing the whole picture."""

import os
import pickle
import subprocess
import sys

import cv2
import numpy as np
import pytest
from PIL import Image

from facedet.data.augmentation.distortion import Distortion, distort, draw_steps
from facedet.data.augmentation.extd import (
    FILTERS,
    A,
    DataAnchorSampling,
    PillowResize,
    SquareCrop,
    resize_filtered,
)
from facedet.data.augmentation.pipeline import (
    Augmentation,
    ExtdAugmentation,
    KeepImage,
    SmallHardFaceAugmentation,
)
from facedet.data.augmentation.rotation import Rotation
from facedet.data.augmentation.windows import PADDING, cut_window
from facedet.data.readers.wider import read_wider
from facedet.errors import UsageError
from reference import whole_resize as reference
from reference.whole_resize import difference


@pytest.mark.parametrize("name", FILTERS)
@pytest.mark.parametrize("shape", [(100, 160), (400, 512), (256, 256)])
def test_filters_are_pillows(picture, name, shape):
    image = picture[: shape[0], : shape[1]]
    expected = Image.fromarray(image).resize((256, 256), Image.Resampling[name.upper()])
    apart = difference(resize_filtered(image, 256, name), expected)
    assert apart.max() <= 2
    assert apart.mean() < 0.05


def run(steps, image, boxes, seed=0, ignore=None):
    ignore = np.zeros(len(boxes), dtype=bool) if ignore is None else ignore
    return Augmentation(steps)(image, boxes, ignore, seed)


def test_boxes_beyond_the_picture_survive_exactly(picture):
    boxes = np.array([[-30.5, -7.25, 600.125, 450], [511, 399, 700, 900], [5, 6, 5, 6]], np.float32)
    done = run([], picture, boxes)
    np.testing.assert_array_equal(done.boxes, boxes)
    assert done.rows.tolist() == [0, 1, 2]
    assert done.image is picture
    # Mirrored at 512: x1' = 512 - x2.
    mirrored = run([A.HorizontalFlip(p=1)], picture, boxes).boxes
    np.testing.assert_array_equal(mirrored[:, [2, 0]], 512 - boxes[:, [0, 2]])
    # Resized to 256 x 256: x by a half, y by 0.64.
    resized = run([PillowResize(256)], picture, boxes).boxes
    np.testing.assert_allclose(resized, boxes * [0.5, 0.64, 0.5, 0.64], rtol=1e-6)


def test_no_faces(picture):
    for transform in (ExtdAugmentation(96), KeepImage()):
        done = transform(picture, np.zeros((0, 4), np.float32), np.zeros(0, bool), 3)
        assert done.boxes.shape == (0, 4)
        assert done.boxes.dtype == np.float32
        assert done.rows.shape == (0,)
        if not isinstance(transform, KeepImage):
            assert done.image.shape == (96, 96, 3)


def test_no_crop_is_chosen_for_ignored_faces():
    # The ignored face fills the left half; every crop must hold the small one at the right.
    image = np.zeros((200, 400, 3), dtype=np.uint8)
    boxes = np.array([[0.0, 0, 180, 180], [300.0, 100, 330, 130]])
    ignore = np.array([True, False])
    augmentation = ExtdAugmentation(128)
    for seed in range(60):
        assert 1 in augmentation(image, boxes, ignore, seed).rows
    only = ExtdAugmentation(128)(image, boxes, np.array([True, True]), 0)
    assert only.rows.tolist() == [0, 1]


@pytest.mark.parametrize("crop", [DataAnchorSampling, SquareCrop])
def test_distortion_inside_the_crop_is_the_one_before_it(picture, crop):
    boxes = np.array([[220.0, 90.0, 280.0, 160.0]])
    distorted = 0
    for seed in range(25):
        done = run([crop(256, distortion=Distortion(draw_steps, distort))], picture, boxes, seed)
        draws = dict(done.applied)[crop.__name__]
        before = cut_window(distort(picture, draws["steps"], picture), draws["window"])
        assert difference(done.image, before).mean() < 1
        distorted += bool(draws["steps"])
    assert distorted > 15


@pytest.mark.parametrize("seed", range(12))
def test_a_turned_face_has_the_box_of_its_turned_oval(seed):
    """Faces are white ovals; corners that the picture leaves empty are padded."""
    image = np.zeros((300, 400, 3), dtype=np.uint8)
    boxes = np.array([[40.0, 30, 80, 90], [330, 200, 390, 290], [200, 2, 216, 26]])
    for x1, y1, x2, y2 in boxes:
        axes = ((x2 - x1) / 2 - 0.5, (y2 - y1) / 2 - 0.5)
        centre = ((x1 + x2) / 2 - 0.5, (y1 + y2) / 2 - 0.5)
        cv2.ellipse(image, (centre, (2 * axes[0], 2 * axes[1]), 0), (255, 255, 255), -1)
    done = run([Rotation(30)], image, boxes, seed)
    assert done.rows.tolist() == [0, 1, 2]
    assert (done.image[0, 0] == PADDING).all()
    [(_, draws)] = done.applied
    cos, sin = np.abs(draws["turn"][0])
    # The canvas holds the turned picture.
    beyond = np.array(done.image.shape[:2]) - (300 * cos + 400 * sin, 400 * cos + 300 * sin)
    assert ((beyond >= 0) & (beyond < 1)).all()
    for box, before in zip(done.boxes, boxes, strict=True):
        wide, high = (before[2:] - before[:2]) / 2
        half = np.hypot(wide * cos, high * sin), np.hypot(wide * sin, high * cos)
        np.testing.assert_allclose((box[2:] - box[:2]) / 2, half, atol=0.05)
        low = np.floor(box[:2]).astype(int) - 3
        high = np.ceil(box[2:]).astype(int) + 3
        y, x = (done.image[low[1] : high[1], low[0] : high[0]].min(axis=-1) > 128).nonzero()
        seen = low + 0.5 + (x.mean(), y.mean())
        np.testing.assert_allclose(seen, (box[:2] + box[2:]) / 2, atol=0.3)


def test_pictures_are_turned_where_it_is_asked_for(picture):
    boxes, ignore = np.array([[220.0, 90.0, 280.0, 160.0]]), np.zeros(1, dtype=bool)
    plain = ExtdAugmentation(96)(picture, boxes, ignore, 3)
    assert "Rotation" not in dict(plain.applied)
    sines = []
    for seed in range(40):
        done = ExtdAugmentation(96, rotation=30)(picture, boxes, ignore, seed)
        sines.append(dict(done.applied)["Rotation"]["turn"][1, 0])
    assert -0.5 <= min(sines) < -0.4
    assert 0.4 < max(sines) <= 0.5


def test_squares_clip_and_drop_by_hand():
    # A square around the first face: the second reaches out of it or in, the third is 1 px^2.
    boxes = np.array([[0.0, 0.0, 40.0, 40.0], [30.0, 30.0, 90.0, 90.0], [5.0, 5.0, 6.0, 6.0]])
    table = np.column_stack([boxes / 100, np.arange(3), np.zeros(3)])
    step = SquareCrop(size=100)
    step.set_random_seed(3)
    out = step(image=np.zeros((100, 100, 3), dtype=np.uint8), bboxes=table)
    assert out["bboxes"][:, :4].min() >= 0
    assert out["bboxes"][:, :4].max() <= 1
    # 1 px^2 in a square of at least 40 is at most (100 / 40)^2 = 6.25 px^2 at 100.
    assert 2 not in out["bboxes"][:, 4]


def test_the_steps_do_not_share_their_numbers(picture):
    flips = [A.HorizontalFlip(p=0.5), A.VerticalFlip(p=0.5)]
    names = [tuple(n for n, _ in run(flips, picture, [], seed).applied) for seed in range(400)]
    both = ("HorizontalFlip", "VerticalFlip")
    for applied in ((), both[:1], both[1:], both):
        assert 60 < names.count(applied) < 140  # 100 expected, standard deviation 9


@pytest.mark.parametrize(
    "augmentation",
    [
        pytest.param(ExtdAugmentation(96), id="extd"),
        pytest.param(ExtdAugmentation(96, rotation=15), id="turned"),
        pytest.param(SmallHardFaceAugmentation(scales=(200, 300), flip=0.5), id="smallhardface"),
    ],
)
def test_a_sample_is_a_function_of_its_seed(picture, augmentation):
    boxes = np.array([[220.0, 90.0, 280.0, 160.0], [30.0, 40.0, 60.0, 80.0]])
    ignore = np.zeros(2, dtype=bool)
    first = [augmentation(picture, boxes, ignore, seed) for seed in range(8)]
    np.random.seed(5)  # noqa: NPY002
    other = pickle.loads(pickle.dumps(augmentation))
    for seed in reversed(range(8)):
        again = other(picture, boxes, ignore, seed)
        for one, two in zip(again[:3], first[seed][:3], strict=True):
            np.testing.assert_array_equal(one, two)
    assert len({done.image.tobytes() for done in first}) == 8


def test_arguments_are_checked():
    said = r"augmentation.size=8: sides \[16, 32\] must ascend from one of at most size 8"
    with pytest.raises(UsageError, match=said):
        DataAnchorSampling(8, sides=(16, 32))
    with pytest.raises(UsageError, match="must ascend"):
        ExtdAugmentation(640, sides=(32, 16))
    with pytest.raises(UsageError, match=r"anchor_sampling=1\.5: expected a probability"):
        ExtdAugmentation(anchor_sampling=1.5)
    with pytest.raises(UsageError, match=r"mosaic=2: expected a probability"):
        ExtdAugmentation(mosaic=2)
    with pytest.raises(UsageError, match=r"paste=-1: expected a probability"):
        ExtdAugmentation(paste=-1)
    with pytest.raises(UsageError, match=r"augmentation\.rotation=-5: expected degrees in 0 … 180"):
        ExtdAugmentation(rotation=-5)


def test_importing_asks_no_network():
    code = (
        "import urllib.request\n"
        "def refuse(*a, **k): raise SystemExit('network')\n"
        "urllib.request.OpenerDirector.open = refuse\n"
        "import facedet.data.augmentation.pipeline"
    )
    environment = {k: v for k, v in os.environ.items() if k != "NO_ALBUMENTATIONS_UPDATE"}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)


@pytest.mark.slow  # resizes pictures to up to 144 million pixels
@pytest.mark.data
def test_samples_are_those_of_the_whole_resize(shared):
    records = read_wider(shared / "data" / "wider", "train", images="present").records
    augmentation, rng = ExtdAugmentation(640), np.random.default_rng(11)
    for index in rng.integers(len(records), size=12).tolist():
        record = records[index]
        image = np.asarray(Image.open(record.path).convert("RGB"))
        done = augmentation(image, record.boxes, record.ignore, index)
        expected, boxes = reference.whole_resize(record.path, record.boxes, done.applied, 640)
        np.testing.assert_allclose(done.boxes, boxes, atol=1e-3)
        assert difference(done.image, expected).mean() < 1.5
