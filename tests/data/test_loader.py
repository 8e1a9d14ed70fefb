import pytest
import torch
from torch.utils.data import Dataset

from facedet.data.loader import ResumableLoader
from facedet.data.samplers import ShuffleSampler


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
    assert state == {"batches": 2}

    restored = make(workers)
    restored.load_state_dict(state)
    assert batches(restored, 0) == whole[0][2:]
    assert batches(restored, 1) == whole[1]


def test_a_finished_epoch_starts_over():
    loader = make()
    batches(loader, 0)
    state = loader.state_dict()
    restored = make()
    restored.load_state_dict(state)
    assert batches(restored, 1) == batches(make(), 1)


def test_skipped_batches_are_not_read():
    class Strict(Echo):
        def __getitem__(self, draw):
            assert draw.index not in unread
            return super().__getitem__(draw)

    order = [draw.index for draw in ShuffleSampler(10)]
    unread = set(order[:3])
    loader = ResumableLoader(Strict(), ShuffleSampler(10), 3)
    loader.load_state_dict({"batches": 1})
    assert len(batches(loader, 0)) == 2
