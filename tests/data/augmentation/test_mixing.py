"""Crops made of several: whatever moves, a face's box moves with its pixels."""

from itertools import combinations

import numpy as np
import pytest

from facedet.data.augmentation.mixing import Mixing, Sample, join_four, paste_faces

SIZE = 80


def crop(ground, *faces, ignore=(), size=SIZE):
    """A crop of one grey level; face n is a rectangle (left, top, right, bottom) of 200 + n."""
    image = np.full((size, size, 3), ground, dtype=np.uint8)
    boxes = np.array(faces, dtype=np.float32).reshape(-1, 4)
    for number, (left, top, right, bottom) in enumerate(boxes.astype(int)):
        image[max(0, top) : bottom, max(0, left) : right] = 200 + number
    flags = np.isin(np.arange(len(boxes)), ignore)
    return Sample(image, boxes, flags, np.arange(len(boxes))[:, None] % 2 == [0, 1])


def extent(image, level):
    """The box around the pixels of a grey level."""
    y, x = (image[..., 0] == level).nonzero()
    return [x.min(), y.min(), x.max() + 1, y.max() + 1]


@pytest.mark.parametrize("seed", range(30))
def test_four_crops_meet_in_the_middle_half(seed):
    mosaic = join_four([crop(level) for level in range(4)], np.random.default_rng(seed))
    assert mosaic.image.shape == (SIZE, SIZE, 3)
    left, top, right, bottom = extent(mosaic.image, 0)
    assert (left, top) == (0, 0)
    assert SIZE / 4 <= right <= SIZE * 3 / 4
    assert SIZE / 4 <= bottom <= SIZE * 3 / 4
    assert extent(mosaic.image, 1) == [right, 0, SIZE, bottom]
    assert extent(mosaic.image, 2) == [0, bottom, right, SIZE]
    assert extent(mosaic.image, 3) == [right, bottom, SIZE, SIZE]
    assert [len(part) for part in mosaic[1:]] == [0, 0, 0]


@pytest.mark.parametrize("seed", range(30))
def test_boxes_of_a_mosaic_lie_on_their_pixels(seed):
    """One face in each crop: each is there, clipped to its window."""
    faces = [(8, 8, 24, 30), (40, 50, 70, 78), (60, 2, 78, 20), (0, 40, 20, 70)]
    crops = []
    for number, face in enumerate(faces):
        one = crop(number, face)
        one.image[one.image == 200] = 200 + number
        crops.append(one)
    mosaic = join_four(crops, np.random.default_rng(seed))
    assert mosaic.boxes.dtype == np.float32
    assert mosaic.boxes.tolist() == [extent(mosaic.image, 200 + n) for n in range(4)]
    assert mosaic.subsets.tolist() == [[True, False]] * 4


def test_a_window_keeps_faces_by_their_centres():
    """Half pixels, so that centres lie on window edges too; the pixel (x, y) is (x, y, 0)."""
    faces = [(4.5 * n, 3.5 * n, 4.5 * n + 11, 3.5 * n + 9) for n in range(16)]
    marked = crop(0, *faces, ignore=range(3, 16))
    y, x = np.mgrid[:SIZE, :SIZE]
    marked.image[:] = np.stack([x, y, 0 * x], axis=-1)
    seen = []
    for seed in range(400):
        mosaic = join_four([marked, *[crop(255)] * 3], np.random.default_rng(seed))
        left, top = mosaic.image[0, 0, :2].astype(int)
        _, _, width, height = extent(mosaic.image[..., 2:], 0)
        expected = {}
        for number, (x1, y1, x2, y2) in enumerate(faces):
            inside = left < (x1 + x2) / 2 < left + width and top < (y1 + y2) / 2 < top + height
            x1, x2 = (min(max(v - left, 0), width) for v in (x1, x2))
            y1, y2 = (min(max(v - top, 0), height) for v in (y1, y2))
            if inside and (x2 - x1) * (y2 - y1) > 36:
                expected[number] = [x1, y1, x2, y2]
        assert mosaic.boxes.tolist() == list(expected.values())
        assert mosaic.ignore.tolist() == [number >= 3 for number in expected]
        # The window was chosen for one of the first three, but for where it is cut too small.
        seen.append(not mosaic.ignore.all())
    assert sum(seen) >= 350


@pytest.mark.parametrize("seed", range(30))
def test_pasted_faces_lie_on_free_ground(seed):
    target = crop(50, (20, 20, 60, 70), (0, 50, 12, 80), ignore=[1])
    source = crop(90, (10, 10, 20, 20), (40, 12, 56, 30), (20, 60, 32, 74), (50, 50, 62, 64))
    before = [target.image.copy(), source.image.copy()]
    mixed = paste_faces(target, source, np.random.default_rng(seed))
    np.testing.assert_array_equal(target.image, before[0])
    np.testing.assert_array_equal(source.image, before[1])
    np.testing.assert_array_equal(mixed.boxes[:2], target.boxes)
    assert mixed.ignore.tolist() == [False, True] + [False] * (len(mixed.boxes) - 2)
    for box, subsets in zip(mixed.boxes[2:], mixed.subsets[2:], strict=True):
        x, y = ((box[:2] + box[2:]) / 2).astype(int)
        level = int(mixed.image[y, x, 0])  # says which face it is
        face = source.boxes[level - 200]
        assert (box[2:] - box[:2]).tolist() == (face[2:] - face[:2]).tolist()
        assert subsets.tolist() == source.subsets[level - 200].tolist()
    # What was there before shows everywhere in its boxes.
    for box in target.boxes.astype(int):
        inside = np.s_[box[1] : box[3], box[0] : box[2]]
        np.testing.assert_array_equal(mixed.image[inside], target.image[inside])
    for one, two in combinations(mixed.boxes, 2):
        assert (one[:2] >= two[2:]).any() or (two[:2] >= one[2:]).any()


def test_one_to_four_faces_are_pasted():
    source = crop(90, *[(10 + 14 * n, 10, 18 + 14 * n, 18) for n in range(5)])
    counts = [
        len(paste_faces(crop(50), source, np.random.default_rng(seed)).boxes) for seed in range(40)
    ]
    assert set(counts) == {1, 2, 3, 4}


def test_what_is_not_pasted():
    """At the crop's edge, to be ignored, above a quarter of the crop, of 36 px^2."""
    source = crop(
        90, (1, 30, 13, 42), (20, 20, 32, 32), (40, 40, 61, 50), (20, 60, 26, 66), ignore=[1]
    )
    for seed in range(20):
        mixed = paste_faces(crop(50), source, np.random.default_rng(seed))
        assert len(mixed.boxes) == 0
        assert (mixed.image == 50).all()
    full = crop(50, (0, 0, SIZE, SIZE))
    mixed = paste_faces(full, crop(90, (20, 20, 32, 32)), np.random.default_rng(0))
    np.testing.assert_array_equal(mixed.boxes, full.boxes)
    np.testing.assert_array_equal(mixed.image, full.image)


def test_a_pasted_face_by_hand():
    """A face of 10 px with 2 px around it: an oval of 14 px that fades out."""
    source = crop(200, (22, 22, 32, 32))
    mixed = paste_faces(crop(0), source, np.random.default_rng(0))
    [(left, top, right, bottom)] = mixed.boxes.astype(int).tolist()
    assert (right - left, bottom - top) == (10, 10)
    oval = mixed.image[top - 2 : bottom + 2, left - 2 : right + 2, 0]
    # The first pixel of the seventh row has the radius hypot(13, 1) / 14 = .9313 of the oval's, so
    # its opacity is (1 - .9313) / .15 = .4579; the corner's radius is above 1.
    assert oval[6, 0] == 92  # .4579 * 200 = 91.6
    assert oval[0, 0] == 0
    assert (oval[4:10, 4:10] == 200).all()
    mixed.image[top - 2 : bottom + 2, left - 2 : right + 2] = 0
    assert not mixed.image.any()


@pytest.mark.parametrize(
    ("mosaic", "paste", "others"), [(1, 0, 3), (0, 1, 1), (1, 1, 4), (0, 0, 0)]
)
def test_how_many_crops_are_asked_for(mosaic, paste, others):
    asked = []

    def another():
        asked.append(1)
        return crop(7, (20, 20, 32, 32))

    one = crop(5, (30, 30, 40, 40))
    mixed = Mixing(mosaic, paste)(one, another, np.random.default_rng(1))
    assert len(asked) == others
    assert (mixed is one) == (others == 0)


def test_the_shares_are_those_asked_for():
    one, rng, mixing = crop(5, (30, 30, 40, 40)), np.random.default_rng(2), Mixing(0.25, 0.0)
    mixed = sum(mixing(one, lambda: one, rng) is not one for _ in range(400))
    assert 70 < mixed < 130  # 100 expected, standard deviation 9
