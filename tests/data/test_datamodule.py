from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from test_picture_checks import TURNED

from facedet.data.augmentation.pipeline import ExtdAugmentation, KeepImage
from facedet.data.datamodule import FaceDataModule
from facedet.data.difficulty import DifficultyRule
from facedet.data.samplers import DifficultySampler
from facedet.errors import FacedetError, UsageError
from facedet.structures import Reading, Record


@pytest.fixture
def reader(tmp_path):
    def read(root, split, *, images, zero_size, faceless):
        calls.append((split, images, zero_size, faceless))
        records = []
        for number in range(5):
            path = tmp_path / f"{split}{number}.png"
            # The first three training pictures are tall, the other two wide.
            size = (64, 48) if split == "train" and number < 3 else (64, 80)
            shade = np.full((*size, 3), 40 * number, np.uint8)
            Image.fromarray(shade).save(path)
            box = np.array([[10, 12, 34, 40]], np.float32)
            tags = {"subsets": np.ones((1, 3), bool)}
            records.append(Record(path.stem, path, box, np.zeros(1, bool), tags))
        return Reading(records, {"images": 5, "faces": 5})

    calls = []
    return SimpleNamespace(read=read, calls=calls)


def make(reader, tmp_path, rank=0, world=1, epoch=0, accumulated=1, **changes):
    settings = {"images": "all", "augmentation": ExtdAugmentation(32), "batch_size": 2, "seed": 3}
    data = FaceDataModule(reader.read, tmp_path, **{**settings, **changes})
    data.trainer = SimpleNamespace(
        global_rank=rank,
        world_size=world,
        current_epoch=epoch,
        accumulate_grad_batches=accumulated,
        limit_train_batches=1.0,
    )
    return data


def test_training_batches_are_crops_and_validation_pictures_stay_as_they_are(reader, tmp_path):
    data = make(reader, tmp_path)
    data.setup("fit")
    images, targets = next(iter(data.train_dataloader()))
    assert images.shape == (2, 3, 32, 32)
    assert len(targets) == 2
    pictures = list(data.val_dataloader())
    assert [image.shape for image, _ in pictures] == [(1, 3, 64, 80)] * 5
    assert [target[0].index for _, target in pictures] == list(range(5))
    assert pictures[0][1][0].boxes.tolist() == [[10, 12, 34, 40]]


def test_training_drops_what_teaches_nothing_and_validation_keeps_everything(reader, tmp_path):
    for faceless in ("drop", "keep"):
        make(reader, tmp_path, images="present", faceless=faceless).setup("fit")
        calls = [("train", "present", "drop", faceless), ("val", "present", "keep", "keep")]
        assert reader.calls[-2:] == calls


def test_ranks_see_disjoint_training_and_validation_pictures(reader, tmp_path):
    seen = {"train": [], "val": []}
    for rank in range(2):
        data = make(reader, tmp_path, rank=rank, world=2, batch_size=1)
        data.setup("fit")
        seen["val"] += [t[0].index for _, t in data.val_dataloader()]
        seen["train"].append(list(data.train_dataloader().batch_sampler.sampler))
    assert sorted(seen["val"]) == list(range(5))
    assert not {d.index for d in seen["train"][0]} & {d.index for d in seen["train"][1]}


def test_wrong_numbers_are_named(reader, tmp_path):
    with pytest.raises(FacedetError, match="data.batch_size=0"):
        make(reader, tmp_path, batch_size=0)
    with pytest.raises(UsageError, match=r"data\.faceless=some is none of drop, keep"):
        make(reader, tmp_path, faceless="some")


def test_the_position_counts_the_images_of_all_processes(reader, tmp_path):
    loader = make(reader, tmp_path, world=2, mirrored_copies=True).train_dataloader()
    next(iter(loader))
    assert loader.state_dict() == {"images": 4}


def sampler_of(data):
    return data.train_dataloader().batch_sampler.sampler


def test_mirrored_copies_double_the_entries(reader, tmp_path):
    data = make(reader, tmp_path, mirrored_copies=True)
    data.setup("fit")
    assert len(data.train_dataloader().dataset) == 10
    assert len(data.train_dataloader()) == 5
    assert len(data.val_dataloader()) == 5
    assert data.name_of(1) == "train1"
    assert data.name_of(6) == "train1 (mirrored)"
    assert data.record_of(6)[0].name == "train1"
    assert data.record_of(6)[1]
    assert data.fingerprint() != make(reader, tmp_path).fingerprint()


def test_a_table_for_each_process_and_other_crops_in_each(reader, tmp_path):
    rule = DifficultyRule(table="per_rank")
    seen = []
    for rank in range(2):
        data = make(reader, tmp_path, rank=rank, world=2, batch_size=1, mining=rule)
        loader = data.train_dataloader()
        assert len(data.difficulties) == 2
        assert loader.batch_sampler.sampler.own.table is data.difficulties[rank]
        images = {target[0].index: image for image, target in loader}
        assert sorted(images) == list(range(5))
        seen.append(images)
    assert not all(torch.equal(seen[0][entry], seen[1][entry]) for entry in range(5))


def test_the_last_step_of_an_epoch_and_accumulated_batches(reader, tmp_path):
    data = make(reader, tmp_path, drop_last=False)
    assert [len(targets) for _, targets in data.train_dataloader()] == [2, 2, 1]
    data = make(reader, tmp_path, accumulated=2, batch_size=1, drop_last=True)
    assert [len(targets) for _, targets in data.train_dataloader()] == [1] * 4
    with pytest.raises(FacedetError, match=r"do not fill one batch of 2 3 times in each of 1 pro"):
        make(reader, tmp_path, accumulated=3).setup("fit")
    # Five pictures are less than a step of eight; where it may be smaller, they are one.
    make(reader, tmp_path, batch_size=8, drop_last=False).setup("fit")


def test_one_table_for_all_loaders(reader, tmp_path):
    data = make(reader, tmp_path, mining=DifficultyRule(), mirrored_copies=True)
    data.setup("fit")
    first = sampler_of(data)
    assert type(first) is DifficultySampler
    assert first.table is data.difficulties[0]
    assert len(data.difficulties[0]) == 10
    assert data.difficulties[0].fingerprint == data.fingerprint()
    data.setup("fit")
    assert sampler_of(data).table is first.table


def test_a_loader_that_is_built_late_has_the_length_of_its_epoch(reader, tmp_path):
    def built(epoch):
        rule = DifficultyRule(probability=0.7)
        data = make(reader, tmp_path, epoch=epoch, batch_size=1, mining=rule, mirrored_copies=True)
        data.difficulties[0].record(torch.arange(10), torch.ones(10))
        return data.train_dataloader()

    lengths = set()
    for epoch in range(6):
        loader = built(epoch)
        expected = built(0)
        expected.batch_sampler.sampler.set_epoch(epoch)
        assert len(loader) == len(expected) == len(list(loader))
        lengths.add(len(loader))
    assert len(lengths) > 1


@pytest.mark.parametrize("mining", [None, DifficultyRule()])
def test_batches_by_aspect(reader, tmp_path, mining):
    data = make(
        reader,
        tmp_path,
        augmentation=KeepImage(),
        group_by_aspect=True,
        mirrored_copies=True,
        mining=mining,
    )
    data.setup("fit")
    # 6 tall and 4 wide entries, with the mirrored copies: 3 + 2 batches of 2.
    shapes = [tuple(images.shape[2:]) for images, _ in data.train_dataloader()]
    assert sorted(shapes) == [(64, 48)] * 3 + [(64, 80)] * 2


def test_single_images_need_no_sizes(reader, tmp_path):
    data = make(reader, tmp_path, group_by_aspect=True, batch_size=1)
    data.reading("train").records[0].path.unlink()
    data.setup("fit")
    assert len(data.train_dataloader()) == 5


def test_annotated_pictures_are_turned_as_exif_asks(reader, tmp_path):
    """A picture stored on its side, 64 x 48 px, is 48 x 64 px to whoever annotates it."""

    def read(*where, **how):
        reading = reader.read(*where, **how)
        for record in reading.records:
            Image.new("RGB", (64, 48)).save(record.path, exif=TURNED)
        return reading

    for upright, expected in ((True, (64, 48)), (False, (48, 64))):
        sideways = SimpleNamespace(read=read)
        data = make(sideways, tmp_path, upright=upright, augmentation=KeepImage())
        sizes = {tuple(images.shape[2:]) for images, _ in data.train_dataloader()}
        sizes |= {target.size for _, targets in data.val_dataloader() for target in targets}
        assert sizes == {expected}


def test_kinds_that_fill_no_batch_are_told(reader, tmp_path, caplog):
    make(reader, tmp_path, group_by_aspect=True, batch_size=3).setup("fit")
    assert "the 2 wide training pictures fill no batch and are never drawn" in caplog.text
    told = r"5 training pictures \(2 wide, 3 tall\) do not fill one batch of 2 in each of 2"
    with pytest.raises(FacedetError, match=told):
        make(reader, tmp_path, world=2, group_by_aspect=True).setup("fit")


def test_mirrored_copies_count_where_a_batch_is_to_be_filled(reader, tmp_path):
    make(reader, tmp_path, mirrored_copies=True, world=2, batch_size=5).setup("fit")
    told = "10 training pictures and mirrored copies do not fill one batch of 6 in each of 2"
    with pytest.raises(FacedetError, match=told):
        make(reader, tmp_path, mirrored_copies=True, world=2, batch_size=6).setup("fit")


def test_a_split_without_a_face(tmp_path, caplog):
    def read(root, split, **choices):
        return Reading([], {"images": 0, "faces": 0, "faceless_images": 3})

    data = FaceDataModule(read, tmp_path, "all", KeepImage(), 1)
    with pytest.raises(FacedetError, match="no picture of train has a face .*3 faceless images"):
        data.reading("train")
    data.reading("val")
    assert "no picture of val has a face" in caplog.text
    assert "every AP on it is 0" in caplog.text


def test_a_folder_that_is_missing(tmp_path):
    data = FaceDataModule(lambda *_: Reading([], {}), tmp_path / "nowhere", "all", KeepImage(), 1)
    with pytest.raises(FacedetError, match="nowhere: no such folder"):
        data.reading("train")
