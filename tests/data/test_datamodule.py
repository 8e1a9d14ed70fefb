from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from facedet.data.datamodule import FaceDataModule
from facedet.data.transforms import ExtdAugmentation
from facedet.errors import FacedetError
from facedet.structures import Reading, Record


@pytest.fixture
def reader(tmp_path):
    def read(root, split, *, images, zero_size, faceless):
        calls.append((split, images, zero_size, faceless))
        records = []
        for number in range(5):
            path = tmp_path / f"{split}{number}.png"
            shade = np.full((64, 80, 3), 40 * number, np.uint8)
            Image.fromarray(shade).save(path)
            box = np.array([[10, 12, 34, 40]], np.float32)
            tags = {"subsets": np.ones((1, 3), bool)}
            records.append(Record(path.stem, path, box, np.zeros(1, bool), tags))
        return Reading(records, {"images": 5, "faces": 5})

    calls = []
    return SimpleNamespace(read=read, calls=calls)


def make(reader, tmp_path, **changes):
    settings = {"images": "all", "augmentation": ExtdAugmentation(32), "batch_size": 2, "seed": 3}
    return FaceDataModule(reader.read, tmp_path, **{**settings, **changes})


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
    make(reader, tmp_path, images="present").setup("fit")
    assert reader.calls == [
        ("train", "present", "drop", "drop"),
        ("val", "present", "keep", "keep"),
    ]


def test_ranks_see_disjoint_training_and_validation_pictures(reader, tmp_path):
    seen = {"train": [], "val": []}
    for rank in range(2):
        data = make(reader, tmp_path, batch_size=1)
        data.trainer = SimpleNamespace(global_rank=rank, world_size=2)
        data.setup("fit")
        seen["val"] += [t[0].index for _, t in data.val_dataloader()]
        seen["train"].append(list(data.train_dataloader().batch_sampler.sampler))
    assert sorted(seen["val"]) == list(range(5))
    assert not {d.index for d in seen["train"][0]} & {d.index for d in seen["train"][1]}


def test_too_few_pictures_for_a_batch_is_said_before_training(reader, tmp_path):
    with pytest.raises(FacedetError, match="5 training pictures do not fill one batch of 6"):
        make(reader, tmp_path, batch_size=6).setup("fit")


def test_wrong_numbers_are_named(reader, tmp_path):
    with pytest.raises(FacedetError, match="data.batch_size=0"):
        make(reader, tmp_path, batch_size=0)


def test_prepare_is_called_with_the_root(reader, tmp_path):
    made = []
    make(reader, tmp_path, prepare=partial(made.append)).prepare_data()
    assert made == [tmp_path]
