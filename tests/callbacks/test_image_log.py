"""What is shown of a validation: which pictures, which boxes, which curves, and to whom."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from facedet.callbacks.image_log import ImageLog, Picture, shrunk
from facedet.metrics.wider import WiderAP
from facedet.structures import Detections, Target


class Taking:
    """A logger that takes panels and remembers them."""

    def __init__(self):
        self.taken = []

    def log_pictures(self, name, pictures, step):
        self.taken.append((name, [one.name for one in pictures], step))

    def log_curves(self, name, curves, step):
        self.taken.append((name, sorted(curves), step))

    def log_rows(self, *_):
        raise AssertionError


FACE = [10.0, 10.0, 30.0, 30.0]


def target_of(index):
    """Two faces, the second one to be ignored, in a picture of 40 x 60 px."""
    boxes = torch.tensor([FACE, [0.0, 0.0, 5.0, 5.0]])
    ignore, subsets = torch.tensor([False, True]), torch.ones(2, 3, dtype=torch.bool)
    return Target(boxes, ignore, subsets, index, (40, 60))


FOUND_BOXES = torch.tensor([FACE, [40.0, 0.0, 50.0, 10.0]])


def detect(batch):
    """A validation step's output: the face with score 0.9 and something else with 0.2."""
    return {"detections": [Detections(FOUND_BOXES, torch.tensor([0.9, 0.2])) for _ in batch[1]]}


def make_trainer(batches=5, **changed):
    records = [SimpleNamespace(name=f"E/{place}") for place in range(batches)]
    given = {
        "datamodule": SimpleNamespace(
            reading=lambda split: SimpleNamespace(records=records), difficulty=None
        ),
        "num_val_batches": [batches], "is_global_zero": True, "sanity_checking": False,
        "global_step": 250, "loggers": [Taking(), SimpleNamespace(log_metrics=None)],
    }  # fmt: skip
    return SimpleNamespace(**given | changed)


def validate(callback, trainer, batches=5, metric=None):
    """One validation in Lightning's hooks; images are padded to 64 x 64 px."""
    module = SimpleNamespace(metric=metric)
    callback.on_validation_start(trainer, module)
    for place in range(batches):
        batch = (torch.full((1, 3, 64, 64), place, dtype=torch.uint8), [target_of(place)])
        if metric is not None:
            metric.update(detect(batch)["detections"], batch[1])
        callback.on_validation_batch_end(trainer, module, detect(batch), batch, place)
    callback.on_validation_epoch_end(trainer, module)
    callback.on_validation_end(trainer, module)


def test_pictures_evenly_drawn_go_to_a_sheet_and_to_who_takes_them(tmp_path):
    callback, trainer = ImageLog(str(tmp_path), pictures=3), make_trainer()
    validate(callback, trainer, metric=WiderAP())
    # Of the batches 0 … 4 three: 0, 2, 4.
    assert trainer.loggers[0].taken == [
        ("validation/pictures", ["E/0", "E/2", "E/4"], 250),
        ("validation/curves", ["easy", "hard", "medium"], 250),
    ]
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["precision_recall.png", "step_0000250.jpg"]
    # Four columns of 420 px, one row.
    assert Image.open(tmp_path / "step_0000250.jpg").size == (1680, 420)
    few = make_trainer(2)
    validate(callback, few, batches=2)
    # Without a metric there are no curves.
    assert few.loggers[0].taken == [("validation/pictures", ["E/0", "E/1"], 250)]


def test_padding_and_low_scores_and_ignored_faces_are_not_shown(tmp_path):
    callback, seen = ImageLog(str(tmp_path), pictures=1), []
    logger = Taking()
    logger.log_pictures = lambda name, pictures, step: seen.extend(pictures)
    validate(callback, make_trainer(loggers=[logger]))
    (picture,) = seen
    assert picture.rgb.shape == (40, 60, 3)
    assert picture.faces.tolist() == [FACE]
    assert picture.found.boxes.tolist() == [FACE]
    assert picture.found.scores.tolist() == pytest.approx([0.9])
    # An early detector finds hundreds: the thirty best are shown.
    many = Detections(torch.rand(750, 4) * 64, torch.linspace(1, 0, 750))
    shown = callback._picture("p", torch.zeros(3, 64, 64, dtype=torch.uint8), target_of(0), many)
    assert torch.equal(shown.found.scores, many.scores[:30])


def test_one_of_so_many_validations_is_shown_also_after_a_resume(tmp_path):
    callback = ImageLog(str(tmp_path), every_n_validations=2)
    for step in (1, 2, 3):
        validate(callback, make_trainer(global_step=step))
    again = ImageLog(str(tmp_path), every_n_validations=2)
    again.load_state_dict(callback.state_dict())
    for step in (4, 5):
        validate(again, make_trainer(global_step=step))
    assert sorted(path.name for path in tmp_path.glob("*.jpg")) == [
        "step_0000001.jpg", "step_0000003.jpg", "step_0000005.jpg",
    ]  # fmt: skip


def test_nothing_in_the_check_before_training_nor_in_other_processes(tmp_path):
    callback = ImageLog(str(tmp_path))
    checking = make_trainer(sanity_checking=True)
    validate(callback, checking, metric=WiderAP())
    other = make_trainer(is_global_zero=False)
    validate(callback, other, metric=WiderAP())
    callback.on_train_batch_start(other, None, crops(1), 0)
    assert checking.loggers[0].taken == other.loggers[0].taken == []
    assert list(tmp_path.glob("*.*")) == []
    assert callback.validations == 1, "the check is no validation"


def crops(count):
    """A training batch of noise with one face in each."""
    images = torch.randint(0, 256, (count, 3, 64, 64), dtype=torch.uint8)
    return images, [target_of(place)._replace(size=(64, 64)) for place in range(count)]


def test_the_first_crops_of_a_training_are_shown_once(tmp_path):
    callback, trainer = ImageLog(str(tmp_path), pictures=2), make_trainer(global_step=0)
    callback.on_train_batch_start(trainer, None, crops(3), 0)
    callback.on_train_batch_start(trainer, None, crops(3), 1)
    trainer.global_step = 4  # of a resumed run
    callback.on_train_batch_start(trainer, None, crops(3), 0)
    assert trainer.loggers[0].taken == [("train/crops", ["crop 0", "crop 1"], 0)]
    assert [path.name for path in tmp_path.glob("*.*")] == ["training.jpg"]


def test_a_large_picture_is_shrunk_with_its_boxes():
    """200 x 50 px to a side of 100: half of everything; 1000 x 2 to 10: height 0.02 becomes 1."""
    found = Detections(torch.tensor([[10.0, 20.0, 30.0, 40.0]]), torch.ones(1))
    picture = Picture("p", np.zeros((50, 200, 3), np.uint8), found.boxes, found)
    small = shrunk(picture, 100)
    assert small.rgb.shape == (25, 100, 3)
    assert small.faces.tolist() == small.found.boxes.tolist() == [[5.0, 10.0, 15.0, 20.0]]
    assert shrunk(picture, 200) is picture
    flat = picture._replace(rgb=np.zeros((2, 1000, 3), np.uint8))
    assert shrunk(flat, 10).rgb.shape == (1, 10, 3)
