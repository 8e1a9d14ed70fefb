import itertools

import numpy as np
import pytest
import torch

from facedet.data.difficulty import DifficultyRule, DifficultyTable
from facedet.data.loader import StepBatchSampler
from facedet.data.samplers import DifficultySampler, Draw, PerRankSampler, ShuffleSampler, rank_seed


def drawn(num_images, epoch, seed=0, rank=0, world=1):
    sampler = ShuffleSampler(num_images, seed, rank, world)
    sampler.set_epoch(epoch)
    return list(sampler)


def test_every_image_once_per_epoch_and_the_epoch_goes_along():
    draws = drawn(7, epoch=3)
    assert sorted(draw.index for draw in draws) == list(range(7))
    assert {draw.epoch for draw in draws} == {3}
    assert isinstance(draws[0], Draw)


def test_the_order_of_a_seed_stays_what_it_was():
    # Users' seeds: the first images of seed 5, epoch 7 of 20, as every version has drawn them.
    generator = torch.Generator().manual_seed(5 * 1_000_003 + 7)
    expected = torch.randperm(20, generator=generator).tolist()
    assert [draw.index for draw in drawn(20, 7, seed=5)] == expected
    assert [draw.index for draw in drawn(20, 7, seed=5, rank=1, world=2)] == expected[1::2]


def sampled(sampler, epoch):
    sampler.set_epoch(epoch)
    return [draw.index for draw in sampler]


def steps_of(make, epoch, world, batch_size):
    """The images of each step, of all ranks together, as sets."""
    shares = [sampled(make(rank, world, batch_size), epoch) for rank in range(world)]
    assert len({len(share) for share in shares}) == 1
    starts = range(0, len(shares[0]) - batch_size + 1, batch_size)
    steps = [[share[k : k + batch_size] for share in shares] for k in starts]
    return [frozenset(itertools.chain(*step)) for step in steps]


WIDE = np.random.default_rng(1).random(61) < 0.7


def scored(num_images=61, share=0.5, **rule):
    """A table in which a share of the entries, drawn at random, is easy."""
    table = DifficultyTable(num_images, DifficultyRule(**rule))
    scores = torch.rand(num_images, generator=torch.Generator().manual_seed(2))
    table.record(torch.arange(num_images), (scores < share).float())
    return table


def shuffle(rank, world, batch_size):
    return ShuffleSampler(61, 4, rank, world, batch_size)


def shuffle_by_aspect(rank, world, batch_size):
    return ShuffleSampler(61, 4, rank, world, batch_size, WIDE)


def mined(rank, world, batch_size):
    return DifficultySampler(scored(), 4, rank, world, batch_size)


def mined_by_aspect(rank, world, batch_size):
    return DifficultySampler(scored(), 4, rank, world, batch_size, WIDE)


@pytest.mark.parametrize("make", [shuffle, shuffle_by_aspect, mined, mined_by_aspect])
@pytest.mark.parametrize("epoch", [0, 3])
def test_more_processes_with_smaller_batches_see_the_same_steps(make, epoch):
    alone = steps_of(make, epoch, 1, 12)
    assert alone
    for world, batch_size in ((2, 6), (3, 4), (6, 2)):
        assert steps_of(make, epoch, world, batch_size) == alone
    images = list(itertools.chain(*alone))
    assert len(set(images)) == len(images)


@pytest.mark.parametrize("make", [shuffle_by_aspect, mined_by_aspect])
@pytest.mark.parametrize(("world", "batch_size"), [(1, 2), (1, 5), (2, 4), (3, 2)])
def test_wide_and_tall_images_share_no_step(make, world, batch_size):
    seen = set()
    for epoch in range(8):
        steps = steps_of(make, epoch, world, batch_size)
        kinds = [{bool(WIDE[index]) for index in step} for step in steps]
        assert all(len(kind) == 1 for kind in kinds)
        assert all(len(step) == world * batch_size for step in steps)
        seen |= set(itertools.chain(*steps))
        # Wide and tall steps are mixed, not one kind after the other.
        if len(steps) > 8:
            wide = [kind == {True} for kind in kinds]
            assert wide not in (sorted(wide), sorted(wide, reverse=True))
    assert len(seen) > 45


def test_batches_of_one_are_not_grouped():
    assert sampled(ShuffleSampler(61, 4, wide=WIDE), 2) == sampled(ShuffleSampler(61, 4), 2)


def test_without_easy_images_mining_draws_what_the_shuffle_draws():
    table = DifficultyTable(50, DifficultyRule())
    for epoch in range(3):
        expected = sampled(ShuffleSampler(50, 9), epoch)
        assert sampled(DifficultySampler(table, 9), epoch) == expected
    # Certain to be left out, but nothing is easy.
    certain = DifficultyTable(50, DifficultyRule(probability=1))
    certain.record(torch.arange(50), torch.full((50,), 0.84))
    assert len(sampled(DifficultySampler(certain, 9), 3)) == 50


def test_hard_images_are_drawn_more_often():
    # 100 hard of 1,000; easy ones stay with 0.3: 0.1 / (0.1 + 0.9 * 0.3) = 0.27 of the drawings.
    table = DifficultyTable(1000, DifficultyRule())
    sampler = DifficultySampler(table, seed=1)
    scores = torch.ones(1000)
    scores[:100] = 0.5
    assert len(sampled(sampler, 0)) == 1000
    table.record(torch.arange(1000), scores)
    epochs = 60
    times = np.zeros(1000, dtype=int)
    for epoch in range(1, epochs + 1):
        images = sampled(sampler, epoch)
        assert len(set(images)) == len(images) == len(sampler)
        assert sampler.left_out == 1000 - len(images)
        times[images] += 1
        table.record(torch.tensor(images), scores[images])
    assert (times[:100] == epochs).all()
    # Binomial of 900 * 60 = 54,000 with 0.3: mean 16,200, deviation sqrt(54,000 * 0.21) = 106.5.
    easy = int(times[100:].sum())
    assert abs(easy - 16_200) < 4 * 106.5
    assert 6000 / (6000 + easy) == pytest.approx(0.27, abs=0.006)
    # Each image by itself: 18 of 60, deviation sqrt(60 * 0.21) = 3.5; none is left out for good.
    assert times[100:].min() >= 4
    assert times[100:].std() == pytest.approx(3.55, abs=0.4)


def test_what_is_left_out_says_nothing_of_the_order():
    # Of the places that an ordinary shuffle gives, those left out lie evenly in both halves.
    table = DifficultyTable(2000, DifficultyRule(probability=0.5))
    table.record(torch.arange(2000), torch.ones(2000))
    drawings = sampled(DifficultySampler(table, 7), 5)
    shuffles = torch.Generator().manual_seed(7 * 1_000_003 + 5)
    alike = torch.rand(2000, generator=shuffles).ge(0.5).nonzero().flatten()
    assert set(drawings) != set(alike.tolist())
    places = {image: place for place, image in enumerate(sampled(ShuffleSampler(2000, 7), 5))}
    first = sum(places[image] < 1000 for image in drawings)
    assert abs(first - 500) < 4 * 15.8  # binomial of 1,000 with 0.5


def test_the_table_is_read_at_the_start_of_an_epoch_only():
    table = scored()
    sampler = DifficultySampler(table, 4)
    before = sampled(sampler, 2)
    table.record(torch.arange(61), torch.zeros(61))
    assert [draw.index for draw in sampler] == before
    assert len(sampler) == len(before)
    assert len(sampled(sampler, 3)) == 61


@pytest.mark.parametrize(("world", "batch_size"), [(1, 1), (1, 8), (2, 4), (3, 3)])
@pytest.mark.parametrize("hard", [0, 1, 5])
def test_one_batch_per_rank_remains_where_all_would_be_left_out(world, batch_size, hard):
    table = DifficultyTable(61, DifficultyRule(probability=1))
    scores = torch.ones(61)
    scores[:hard] = 0
    table.record(torch.arange(61), scores)
    step = world * batch_size
    filled = set()
    for epoch in range(12):
        samplers = [DifficultySampler(table, 0, r, world, batch_size) for r in range(world)]
        images = list(itertools.chain(*(sampled(sampler, epoch) for sampler in samplers)))
        whole = hard // step * step
        assert len(set(images)) == len(images) == max(step, whole)
        if hard < step:
            assert set(range(hard)) <= set(images)
            assert {sampler.filled_up for sampler in samplers} == {step - hard}
            assert {sampler.left_out for sampler in samplers} == {61 - step}
            filled |= set(images) - set(range(hard))
        else:
            assert samplers[0].filled_up == 0
    assert len(filled) > 5 or hard >= step


def test_filling_up_keeps_to_one_kind():
    # 40 wide and 21 tall, all easy and left out but three tall ones: the step of 8 is tall.
    wide = np.arange(61) < 40
    table = DifficultyTable(61, DifficultyRule(probability=1))
    scores = torch.ones(61)
    scores[-3:] = 0
    table.record(torch.arange(61), scores)
    sampler = DifficultySampler(table, batch_size=8, wide=wide)
    images = sampled(sampler, 1)
    assert len(images) == 8
    assert {58, 59, 60} <= set(images)
    assert not wide[images].any()
    assert (sampler.filled_up, sampler.left_out) == (5, 53)
    # Where the kind with the most fills no step at all, the other has to.
    few = np.arange(61) < 56
    images = sampled(DifficultySampler(table, batch_size=8, wide=few), 1)
    assert len(images) == 8
    assert few[images].all()


def tail_of(num_images, world, batch_size, accumulated, make=ShuffleSampler, epoch=1):
    """Each rank's batches, as a loader makes them of a sampler that keeps the last step."""
    batches = []
    for rank in range(world):
        sampler = make(num_images, 4, rank, world, batch_size, None, accumulated, drop_last=False)
        sampler.set_epoch(epoch)
        own = StepBatchSampler(sampler, batch_size, False, accumulated)
        batches.append([[draw.index for draw in batch] for batch in own])
        assert len(own) == len(batches[-1])
    return batches


def mined_table(num_images, *place, **settings):
    return DifficultySampler(DifficultyTable(num_images, DifficultyRule()), *place, **settings)


@pytest.mark.parametrize("make", [ShuffleSampler, mined_table])
@pytest.mark.parametrize(
    ("world", "batch_size", "accumulated"), [(1, 8, 1), (2, 4, 1), (1, 4, 2), (2, 2, 2)]
)
@pytest.mark.parametrize("num_images", [16, 20, 21, 23])
def test_a_smaller_last_step_has_the_same_images_however_it_is_dealt_out(
    make, num_images, world, batch_size, accumulated
):
    # 16 images are two steps of eight, 20 leave four: one for each batch of 2 x 2.
    shares = tail_of(num_images, world, batch_size, accumulated, make)
    numbers = {len(batches) for batches in shares}
    assert numbers == {-(-num_images // 8) * accumulated}
    assert all(batch for batches in shares for batch in batches)
    steps = [
        {i for own in shares for batch in own[k : k + accumulated] for i in batch}
        for k in range(0, numbers.pop(), accumulated)
    ]
    order = sampled(ShuffleSampler(num_images, 4), 1)
    assert steps == [set(order[k : k + 8]) for k in range(0, num_images, 8)]


def test_a_last_step_with_an_empty_batch_is_left_out():
    # Three images are left of 19, and four batches want one each.
    assert [len(batches) for batches in tail_of(19, 2, 2, 2)] == [4, 4]
    assert sum(map(len, tail_of(19, 1, 4, 2)[0])) == 19


def test_each_process_with_a_table_of_its_own_draws_all_images():
    tables = [DifficultyTable(60, DifficultyRule()) for _ in range(3)]
    samplers = [PerRankSampler(tables, 4, rank, batch_size=2) for rank in range(3)]
    drawn = [sampled(sampler, 2) for sampler in samplers]
    assert [sorted(one) for one in drawn] == [list(range(60))] * 3
    assert len({tuple(one) for one in drawn}) == 3
    # The second process finds half of the images easy, the third none of these.
    tables[1].record(torch.arange(30), torch.ones(30))
    tables[2].record(torch.arange(60), torch.zeros(60))
    drawn = [sampled(sampler, 3) for sampler in samplers]
    alone = DifficultySampler(tables[1], rank_seed(4, 1, 3), batch_size=2)
    expected = sampled(alone, 3)
    assert 15 <= alone.left_out <= 27  # 0.7 of 30: 21, deviation 2.5
    # An epoch ends for all with the process that has the fewest.
    assert drawn[1] == expected
    assert {len(one) for one in drawn} == {len(one) for one in samplers} == {len(expected)}
    assert {one.left_out for one in samplers} == {alone.left_out}
