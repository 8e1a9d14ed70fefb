"""The data set: samples by drawing, replacement, errors, and batches."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader

from facedet.data.augmentation.pipeline import ExtdAugmentation, KeepImage, Transformed
from facedet.data.dataset import FaceDataset, collate, mirror
from facedet.data.samplers import Draw, ShuffleSampler
from facedet.errors import UsageError
from facedet.structures import Record, Target
from reference.refused_weights import complaint


def record(folder, name, boxes, size=(48, 64), ignore=None, tags=None):
    """A record of a picture whose pixel (x, y) is (x, y, number of the file)."""
    height, width = size
    y, x = np.mgrid[:height, :width]
    number = np.full_like(x, int(name))
    path = folder / f"{name}.png"
    Image.fromarray(np.stack([x, y, number], axis=-1).astype(np.uint8)).save(path)
    boxes = np.array(boxes, dtype=np.float32).reshape(-1, 4)
    ignore = np.zeros(len(boxes), bool) if ignore is None else np.array(ignore)
    return Record(name, path, boxes, ignore, tags or {})


@pytest.fixture
def records(tmp_path):
    return [record(tmp_path, str(n), [[10, 8, 30, 28], [40, 20, 60, 40]]) for n in range(6)]


class TakeRows:
    """Keeps given faces of given pictures; tells picture and seed of every call."""

    def __init__(self, rows, needs_faces=True):
        self.rows = rows
        self.needs_faces = needs_faces
        self.calls = []

    def __call__(self, image, boxes, ignore, seed):
        number = int(image[0, 0, 2])
        self.calls.append((number, seed))
        rows = np.array(self.rows.get(number, []), dtype=np.int64)
        return Transformed(image, boxes[rows], rows, [])


def equal(a, b):
    (image_a, target_a), (image_b, target_b) = a, b
    return (
        torch.equal(image_a, image_b)
        and torch.equal(target_a.boxes, target_b.boxes)
        and target_a.index == target_b.index
    )


def test_a_sample_by_hand(tmp_path):
    subsets = np.array([[True, False, True], [False, False, True]])
    tags = {"subsets": subsets}
    boxes = [[1, 2, 3, 4], [-5, -6, 70, 80]]
    entry = record(tmp_path, "7", boxes, ignore=[False, True], tags=tags)
    image, target = FaceDataset([entry], KeepImage())[0]
    assert image.shape == (3, 48, 64)
    assert image.dtype == torch.uint8
    assert image[:, 5, 9].tolist() == [9, 5, 7]
    assert target.boxes.tolist() == boxes
    assert target.boxes.dtype == torch.float32
    assert target.ignore.tolist() == [False, True]
    assert target.subsets.tolist() == subsets.tolist()
    assert (target.index, target.size) == (0, (48, 64))


def test_pictures_without_faces_and_without_subsets(tmp_path):
    image, target = FaceDataset([record(tmp_path, "0", [])], KeepImage())[0]
    assert image.shape == (3, 48, 64)
    assert [tuple(part.shape) for part in target[:3]] == [(0, 4), (0,), (0, 0)]
    assert target.ignore.dtype == target.subsets.dtype == torch.bool


def test_rows_choose_ignore_and_subsets(tmp_path):
    tags = {"subsets": np.array([[True], [False], [True]])}
    entry = record(tmp_path, "0", np.zeros((3, 4)), ignore=[True, False, False], tags=tags)
    target = FaceDataset([entry], TakeRows({0: [2, 0]}))[0][1]
    assert target.ignore.tolist() == [False, True]
    assert target.subsets.tolist() == [[True], [True]]


def test_a_sample_is_a_function_of_seed_epoch_and_index(records):
    def drawn(seed, draws):
        dataset = FaceDataset(records, ExtdAugmentation(32), seed)
        return [dataset[draw] for draw in draws]

    draws = [Draw(epoch, index) for epoch in range(2) for index in range(6)]
    first = drawn(3, draws)
    for again, before in zip(drawn(3, draws[::-1])[::-1], first, strict=True):
        assert equal(again, before)
    assert equal(drawn(3, [4])[0], first[4])  # an index alone is of epoch 0
    assert not any(equal(first[n], first[n + 6]) for n in range(6))
    assert not any(equal(a, b) for a, b in zip(drawn(4, draws), first, strict=True))


class Shows:
    """Mixing that notes the crops it is given, and gives the first of them."""

    def __init__(self):
        self.given = []

    def __call__(self, sample, another, rng):
        samples = [sample, another(), another()]
        self.given.append(([int(one.image[0, 0, 2]) for one in samples], rng.random()))
        return sample


def test_mixing_is_given_the_sample_and_random_others(records):
    transform = KeepImage()
    transform.mixing = Shows()
    dataset, draws = (
        FaceDataset(records, transform, 5),
        [Draw(e, i) for e in range(20) for i in (2, 4)],
    )
    for draw in draws:
        assert dataset[draw][1].index == draw.index
    first = list(transform.mixing.given)
    assert [numbers[0] for numbers, _ in first] == [2, 4] * 20
    assert {number for numbers, _ in first for number in numbers[1:]} == set(range(6))
    assert len({number for _, number in first}) == 40  # of their own for each drawing
    transform.mixing.given.clear()
    for draw in draws[::-1]:
        FaceDataset(records, transform, 5)[draw]
    assert transform.mixing.given == first[::-1]


def test_others_without_faces_are_replaced_too(records):
    transform = TakeRows({0: [0], 3: [1]})
    transform.mixing = Shows()
    dataset = FaceDataset(records, transform)
    for epoch in range(10):
        dataset[Draw(epoch, 0)]
    shown = [numbers for numbers, _ in transform.mixing.given]
    assert {numbers[0] for numbers in shown} == {0}
    assert {number for numbers in shown for number in numbers} == {0, 3}
    # Every crop has draws of its own.
    assert len(set(transform.calls)) == len(transform.calls)


@pytest.mark.parametrize(("mosaic", "paste"), [(0.5, 0), (0, 0.5), (0.5, 0.5)])
def test_mixed_samples_are_a_function_of_seed_epoch_and_index(tmp_path, mosaic, paste):
    faces = [[10, 8, 18, 18], [40, 20, 48, 30]]
    records = [record(tmp_path, str(n), faces) for n in range(6)]
    plain = FaceDataset(records, ExtdAugmentation(64), 3)
    mixed = FaceDataset(records, ExtdAugmentation(64, mosaic=mosaic, paste=paste), 3)
    draws = [Draw(epoch, index) for epoch in range(4) for index in range(6)]
    first = [mixed[draw] for draw in draws]
    for draw, before in list(zip(draws, first, strict=True))[::-1]:
        assert equal(mixed[draw], before)
    # Some stay as they are: the crop's own draws are the same.
    same = sum(equal(plain[draw], one) for draw, one in zip(draws, first, strict=True))
    assert 1 <= same <= 20


# A spawned worker imports everything anew, which takes seconds.
@pytest.mark.parametrize(("method", "workers"), [("fork", 2), ("spawn", 1)])
def test_workers_give_the_same(records, method, workers):
    dataset = FaceDataset(records, ExtdAugmentation(32), seed=1)
    sampler = ShuffleSampler(len(records), seed=1)
    alone = [collate([dataset[draw]]) for draw in sampler]
    loader = DataLoader(
        dataset,
        1,
        sampler=sampler,
        num_workers=workers,
        collate_fn=collate,
        multiprocessing_context=method,
    )
    for (images, targets), (expected, others) in zip(loader, alone, strict=True):
        assert torch.equal(images, expected)
        assert targets[0].index == others[0].index
        assert torch.equal(targets[0].boxes, others[0].boxes)


def test_a_sample_without_faces_is_replaced(records):
    # Only picture 3 keeps a face, so every drawing ends there.
    transform = TakeRows({3: [1]})
    dataset = FaceDataset(records, transform, seed=2)
    for index in range(6):
        transform.calls.clear()
        image, target = dataset[Draw(1, index)]
        assert target.index == 3
        assert image[2, 0, 0] == 3
        assert transform.calls[0][0] == index
        first = list(transform.calls)
        # Each attempt has a seed of its own, and the same ones the next time.
        assert len({seed for _, seed in first}) == len(first)
        transform.calls.clear()
        dataset[Draw(1, index)]
        assert transform.calls == first


def test_ignored_faces_do_not_keep_a_sample(tmp_path):
    boxes = [[1, 1, 9, 9]]
    records = [record(tmp_path, "0", boxes, ignore=[True]), record(tmp_path, "1", boxes)]
    assert FaceDataset(records, TakeRows({0: [0], 1: [0]}))[0][1].index == 1


def test_training_replaces_pictures_whose_faces_are_too_small(tmp_path):
    # A face of a third of a pixel stays below 36 px^2 after all but the largest enlargement.
    tiny = record(tmp_path, "0", [[20, 20, 20.3, 20.3]])
    dataset = FaceDataset([tiny, record(tmp_path, "1", [[5, 5, 40, 40]])], ExtdAugmentation(32))
    shown = [dataset[Draw(epoch, 0)][1] for epoch in range(20)]
    assert all(len(target.boxes) for target in shown)
    assert sum(target.index for target in shown) > 10


def test_replacement_is_for_transforms_that_ask_for_it(records):
    image, target = FaceDataset(records, TakeRows({3: [1]}, needs_faces=False))[2]
    assert target.index == 2
    assert target.boxes.shape == (0, 4)
    assert image[2, 0, 0] == 2


def test_an_error_ends_the_search(records):
    transform = TakeRows({})
    complaint(FaceDataset(records, transform).__getitem__, 2, words=["2.png: no face was left"])
    assert len(transform.calls) == 50


def test_indices_and_seeds_are_checked(records):
    dataset = FaceDataset(records, KeepImage())
    assert len(dataset) == 6
    assert len(list(dataset)) == 6
    with pytest.raises(IndexError, match="index 6 of 6"):
        dataset[6]
    with pytest.raises(IndexError):
        dataset[Draw(0, -1)]
    with pytest.raises(UsageError, match="seed=-1"):
        FaceDataset(records, KeepImage(), seed=-1)


def test_mirroring_by_hand():
    # 64 wide: x1' = 64 - x2 - 1, x2' = 64 - x1 - 1. The second touches the right side, -1 becomes
    # 0; the third reaches beyond both sides and is first cut off to 0 … 64.
    image = np.tile(np.arange(64, dtype=np.uint8)[None, :, None], (3, 1, 3))
    boxes = np.array([[10, 8, 30, 28], [40, 20, 64, 40], [-5, -6, 70, 80]], np.float32)
    flipped, moved = mirror(image, boxes)
    assert moved.tolist() == [[33, 8, 53, 28], [0, 20, 23, 40], [0, -6, 63, 80]]
    assert moved.dtype == np.float32
    assert flipped[1, :, 0].tolist() == list(range(63, -1, -1))
    assert boxes[0].tolist() == [10, 8, 30, 28]
    empty = mirror(image, np.zeros((0, 4), np.float32))[1]
    assert empty.shape == (0, 4)


def test_mirrored_copies_are_entries_of_their_own(records):
    plain = FaceDataset(records, KeepImage())
    both = FaceDataset(records, KeepImage(), mirrored_copies=True)
    assert (len(plain), len(both)) == (6, 12)
    for entry in range(6):
        assert equal(both[entry], plain[entry])
        image, target = both[6 + entry]
        assert target.index == 6 + entry
        assert torch.equal(image, plain[entry][0].flip(-1))
        assert target.boxes.tolist() == [[33, 8, 53, 28], [3, 20, 23, 40]]
    assert (both.name_of(4), both.name_of(10)) == ("4", "4 (mirrored)")
    assert both.record_of(10) == (records[4], True)
    assert both.record_of(4)[1] is False
    with pytest.raises(IndexError, match="index 12 of 12"):
        both[12]


def test_a_mirrored_entry_has_draws_of_its_own(records):
    both = FaceDataset(records, ExtdAugmentation(32), seed=3, mirrored_copies=True)
    plain = FaceDataset(records, ExtdAugmentation(32), seed=3)
    for entry in range(6):
        assert equal(both[entry], plain[entry])
        assert not torch.equal(both[6 + entry][0], both[entry][0].flip(-1))


def test_any_entry_may_replace_one_without_faces(records):
    transform = TakeRows({3: [1]})
    dataset = FaceDataset(records, transform, seed=2, mirrored_copies=True)
    shown = {dataset[Draw(epoch, 1)][1].index for epoch in range(30)}
    assert shown == {3, 9}


def sample(height, width, value):
    none = torch.zeros(0, dtype=torch.bool)
    target = Target(torch.zeros((0, 4)), none, none[:, None], value, (height, width))
    return torch.full((3, height, width), value, dtype=torch.uint8), target


def test_batches_are_padded_at_the_right_and_the_bottom():
    images, targets = collate([sample(4, 6, 1), sample(4, 6, 2)])
    assert images.shape == (2, 3, 4, 6)
    assert images.is_contiguous(memory_format=torch.channels_last)
    assert [image.unique().tolist() for image in images] == [[1], [2]]
    assert [target.index for target in targets] == [1, 2]
    images, targets = collate([sample(4, 3, 1), sample(2, 6, 2)])
    assert images.shape == (2, 3, 4, 6)
    assert (images[0, :, :, :3] == 1).all()
    assert (images[1, :, :2] == 2).all()
    mean = torch.tensor([123, 117, 104]).view(3, 1, 1)
    assert (images[0, :, :, 3:] == mean).all()
    assert (images[1, :, 2:] == mean).all()
    assert [target.size for target in targets] == [(4, 3), (2, 6)]
