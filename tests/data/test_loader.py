import itertools
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch.utils.data import Dataset

from facedet.data import loader as module
from facedet.data.difficulty import DifficultyRule, DifficultyTable
from facedet.data.loader import ResumableLoader, explain_lost_worker, fitting_workers, init_worker
from facedet.data.samplers import DifficultySampler, ShuffleSampler


class Echo(Dataset):
    def __len__(self):
        return 10

    def __getitem__(self, draw):
        return torch.tensor([draw.epoch, draw.index])


def make(workers=0):
    return ResumableLoader(Echo(), ShuffleSampler(10), 3, num_workers=workers)


def batches(loader, epoch):
    loader.batch_sampler.sampler.set_epoch(epoch)
    return [batch.tolist() for batch in loader]


@pytest.mark.parametrize("workers", [0, 2])
def test_goes_on_where_it_was(workers):
    whole = [batches(make(), 0), batches(make(), 1)]
    assert [len(epoch) for epoch in whole] == [3, 3]  # 10 images, batches of 3, the rest dropped

    loader = make(workers)
    first = iter(loader)
    assert [next(first).tolist(), next(first).tolist()] == whole[0][:2]
    state = loader.state_dict()
    assert state == {"images": 6}

    restored = make(workers)
    restored.load_state_dict(state)
    assert restored.state_dict() == state  # before the first batch as well
    assert batches(restored, 0) == whole[0][2:]
    assert batches(restored, 1) == whole[1]


def test_skipped_batches_are_not_read():
    class Strict(Echo):
        def __getitem__(self, draw):
            assert draw.index not in unread
            return super().__getitem__(draw)

    order = [draw.index for draw in ShuffleSampler(10)]
    unread = set(order[:3])
    loader = ResumableLoader(Strict(), ShuffleSampler(10), 3)
    loader.load_state_dict({"images": 3})
    assert len(batches(loader, 0)) == 2


def test_the_last_batch_exhausts_the_epoch_before_the_iterator_ends():
    # Lightning asks for no further batch; the sampler is set to the next epoch after that.
    loader = make()
    iterator = iter(loader)
    told = []
    for _ in range(3):
        next(iterator)
        told.append((loader.is_exhausted, loader.state_dict()["images"]))
    assert told == [(False, 3), (False, 6), (True, 0)]
    loader.batch_sampler.sampler.set_epoch(1)
    assert loader.state_dict() == {"images": 0}
    next(iter(loader))
    assert not loader.is_exhausted
    assert loader.state_dict() == {"images": 3}


@pytest.mark.parametrize(
    ("batch_size", "world", "skipped"),
    # 6 of the epoch's images were seen. Steps of 1, 2, 6: none is lost; of 4: the next step begins
    # at 8, of 5 at 10.
    [(1, 1, 6), (2, 1, 6), (3, 2, 6), (2, 2, 8), (4, 1, 8), (5, 1, 10)],
)
def test_another_batch_size_or_number_of_processes_goes_on(batch_size, world, skipped, caplog):
    order = [draw.index for draw in ShuffleSampler(10)]
    shares = []
    for rank in range(world):
        sampler = ShuffleSampler(10, rank=rank, world=world)
        loader = ResumableLoader(Echo(), sampler, batch_size, world=world)
        loader.load_state_dict({"images": 6})
        shares += [index for batch in batches(loader, 0) for _, index in batch]
    step = batch_size * world
    assert set(shares) == set(order[skipped : 10 // step * step])
    told = f"{skipped - 6} images are skipped"
    assert (told in caplog.text) == (skipped > 6)
    assert len(caplog.records) == world * (skipped > 6)


def test_a_state_that_counts_batches_is_understood():
    loader = make()
    loader.load_state_dict({"batches": 2})
    assert batches(loader, 0) == batches(make(), 0)[2:]


class Mined:
    """A training of 40 images with mining, whose scores depend on epoch and image alone."""

    def __init__(self, workers=0):
        self.table = DifficultyTable(40, DifficultyRule(threshold=0.5))
        sampler = DifficultySampler(self.table, 7, batch_size=2)
        self.loader = ResumableLoader(Echo(), sampler, 2, num_workers=workers)
        self.visits = []

    def run(self, start, stop):
        """Yields (epoch, images) of every step; records where an epoch ends."""
        for epoch in range(start, stop):
            self.loader.batch_sampler.sampler.set_epoch(epoch)
            for batch in self.loader:
                self.visits += batch[:, 1].tolist()
                if self.loader.is_exhausted:
                    scores = [np.random.default_rng([epoch, i]).random() for i in self.visits]
                    self.table.record(torch.tensor(self.visits), torch.tensor(scores))
                    self.visits = []
                yield epoch, batch[:, 1].tolist()

    def state(self):
        return self.table.state_dict(), self.loader.state_dict(), list(self.visits)

    def load(self, state):
        self.table.load_state_dict(state[0])
        self.loader.load_state_dict(state[1])
        self.visits = list(state[2])


def test_changing_lists_go_on_in_the_middle_of_an_epoch():
    whole = Mined()
    steps, states = [], []
    for step in whole.run(0, 5):
        steps.append(step)
        states.append(whole.state())
    lengths = [sum(epoch == e for e, _ in steps) for epoch in range(5)]
    assert lengths[0] == 20
    assert len(set(lengths)) > 2
    for done in range(1, len(steps)):
        part = Mined()
        part.load(states[done - 1])
        # After an epoch's last batch the run goes on with the next one.
        epoch = steps[done][0]
        assert list(part.run(epoch, 5)) == steps[done:]
        assert torch.equal(part.table.easy, whole.table.easy)


def test_a_finished_epoch_stays_finished_when_the_next_one_is_longer():
    training = Mined()
    lengths, told = [], []
    for epoch, _ in training.run(0, 6):
        if training.loader.is_exhausted:
            lengths.append(len(training.loader))
            training.loader.batch_sampler.sampler.set_epoch(epoch + 1)
            told.append(training.loader.state_dict()["images"])
    assert told == [0] * 6
    assert any(after > before for before, after in itertools.pairwise(lengths))


def test_loading_processes_need_room_for_their_batches(monkeypatch, caplog):
    """A sample: 3 x 100 x 100 bytes and pages of 4,096 for the image and each of 2 tensors.

    Of batches of 4 images two processes hold 2 each, and two more are on their way: 24 images.
    """
    dataset = [(torch.zeros(3, 100, 100, dtype=torch.uint8), (torch.zeros(1), torch.zeros(1)))]
    needed = 24 * (30_000 + 3 * 4096)
    free = [needed]
    monkeypatch.setattr(module.shutil, "disk_usage", lambda path: SimpleNamespace(free=free[0]))
    assert fitting_workers(dataset, 4, 2) == 2
    free[0] -= 1
    assert fitting_workers(dataset, 4, 2) == 0
    assert fitting_workers(dataset, 4, 0) == 0
    (message,) = caplog.messages
    assert "/dev/shm has 1.0 MB free, batches of 2 loading processes need 1.0 MB" in message
    assert "--shm-size" in message
    monkeypatch.setattr(module, "_SHARED_MEMORY", module.Path("/nowhere"))
    assert fitting_workers(dataset, 4, 2) == 2


class Unsendable(Echo):
    def __getitem__(self, draw):
        return lambda: None  # cannot be pickled, as a batch that finds no shared memory


def test_a_batch_that_cannot_be_handed_over_ends_the_loading_and_is_explained():
    loader = ResumableLoader(
        Unsendable(), ShuffleSampler(10), 3, num_workers=1,
        collate_fn=lambda batch: batch[0], worker_init_fn=init_worker, timeout=60,
    )  # fmt: skip
    with pytest.raises(RuntimeError) as caught:
        next(iter(loader))
    said = explain_lost_worker(caught.value)
    assert "exited unexpectedly: " in said
    assert "data.num_workers=0" in said
    assert explain_lost_worker(RuntimeError("something else")) is None
    assert explain_lost_worker(RuntimeError()) is None
