import itertools

import pytest

from facedet.data.samplers import Draw, ShuffleSampler


def drawn(num_images, epoch, seed=0, rank=0, world=1):
    sampler = ShuffleSampler(num_images, seed, rank, world)
    sampler.set_epoch(epoch)
    return list(sampler)


def test_every_image_once_per_epoch_and_the_epoch_goes_along():
    draws = drawn(7, epoch=3)
    assert sorted(draw.index for draw in draws) == list(range(7))
    assert {draw.epoch for draw in draws} == {3}
    assert isinstance(draws[0], Draw)


def test_order_depends_on_seed_and_epoch_alone():
    assert drawn(50, 2, seed=1) == drawn(50, 2, seed=1)
    orders = [
        tuple(draw.index for draw in drawn(50, epoch, seed))
        for seed, epoch in itertools.product(range(3), range(3))
    ]
    assert len(set(orders)) == 9


@pytest.mark.parametrize(("num_images", "world"), [(8, 2), (9, 2), (10, 3), (2, 3)])
def test_ranks_share_the_images_without_repeats_and_evenly(num_images, world):
    shares = [
        [draw.index for draw in drawn(num_images, 1, 0, rank, world)] for rank in range(world)
    ]
    together = list(itertools.chain(*shares))
    assert len(set(together)) == len(together) == num_images // world * world
    assert {len(share) for share in shares} == {num_images // world}
    assert all(len(ShuffleSampler(num_images, 0, r, world)) == len(s) for r, s in enumerate(shares))
    whole = [draw.index for draw in drawn(num_images, 1)]
    assert set(together) == set(whole[: len(together)])


def test_what_is_left_out_differs_from_epoch_to_epoch():
    left_out = {
        frozenset(range(5)) - {draw.index for rank in (0, 1) for draw in drawn(5, e, 0, rank, 2)}
        for e in range(12)
    }
    assert len(left_out) > 1
