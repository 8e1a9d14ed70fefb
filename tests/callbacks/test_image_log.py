"""What is shown of a validation: which pictures, which boxes, which curves, and to whom."""

from contextlib import nullcontext
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from facedet.callbacks.image_log import ImageLog, PanelLogger, Picture, judge, shrunk
from facedet.errors import UsageError
from facedet.metrics.wider import WiderAP
from facedet.plots import FALSE_ALARM, FOUND, MISSED, save_picture
from facedet.structures import Detections, Record, Target


class Taking:
    """A logger that takes panels and remembers them."""

    def __init__(self):
        self.taken = []

    def log_pictures(self, name, pictures, step):
        self.taken.append((name, [one.name for one in pictures], step))

    def log_curves(self, name, curves, step):
        self.taken.append((name, sorted(curves), step))

    def log_hardest(self, name, pictures, step):
        self.taken.append((name, [(one.name, score) for one, score in pictures], step))


FACE = [10.0, 10.0, 30.0, 30.0]


def target_of(index):
    """Two faces, the second one to be ignored, in a picture of 40 x 60 px."""
    boxes = torch.tensor([FACE, [0.0, 0.0, 5.0, 5.0]])
    ignore, subsets = torch.tensor([False, True]), torch.ones(2, 3, dtype=torch.bool)
    return Target(boxes, ignore, subsets, index, (40, 60))


class Module:
    """Finds the face with score 0.9 and something else with 0.2, in every picture."""

    def __init__(self):
        self.metric = WiderAP()
        self.asked = []

    def predict_step(self, batch, batch_index):
        self.asked.append(batch_index)
        boxes = torch.tensor([FACE, [40.0, 0.0, 50.0, 10.0]])
        return [Detections(boxes, torch.tensor([0.9, 0.2]))]


def make_trainer(batches=5, **changed):
    records = [SimpleNamespace(name=f"E/{place}") for place in range(batches)]
    given = {
        "datamodule": SimpleNamespace(
            reading=lambda split: SimpleNamespace(records=records), difficulty=None
        ),
        "num_val_batches": [batches], "is_global_zero": True, "sanity_checking": False,
        "global_step": 250, "loggers": [Taking(), SimpleNamespace(log_metrics=None)],
        "precision_plugin": SimpleNamespace(forward_context=nullcontext),
    }  # fmt: skip
    return SimpleNamespace(**given | changed)


def validate(callback, trainer, module, batches=5):
    """One validation as Lightning's hooks tell of it; images are padded to 64 x 64 px."""
    callback.on_validation_start(trainer, module)
    for place in range(batches):
        batch = (torch.full((1, 3, 64, 64), place, dtype=torch.uint8), [target_of(place)])
        module.metric.update(Module.predict_step(module, batch, place), batch[1])
        module.asked.pop()
        callback.on_validation_batch_end(trainer, module, None, batch, place)
    callback.on_validation_epoch_end(trainer, module)
    module.metric.reset()
    callback.on_validation_end(trainer, module)


def test_pictures_evenly_drawn_go_to_a_sheet_and_to_who_takes_them(tmp_path):
    callback, trainer, module = ImageLog(str(tmp_path), pictures=3), make_trainer(), Module()
    validate(callback, trainer, module)
    # Of the batches 0 … 4 three: 0, 2, 4.
    assert module.asked == [0, 2, 4]
    assert trainer.loggers[0].taken == [
        ("validation/pictures", ["E/0", "E/2", "E/4"], 250),
        ("validation/curves", ["easy", "hard", "medium"], 250),
    ]
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "precision_recall.png", "step_0000250.jpg",
    ]  # fmt: skip
    # Four columns of 420 px, one row.
    assert Image.open(tmp_path / "step_0000250.jpg").size == (1680, 420)


def test_more_pictures_than_there_are_show_all(tmp_path):
    callback, module = ImageLog(str(tmp_path), pictures=8), Module()
    validate(callback, make_trainer(2), module, batches=2)
    assert module.asked == [0, 1]


def test_padding_and_low_scores_and_ignored_faces_are_not_shown(tmp_path):
    callback, seen = ImageLog(str(tmp_path), pictures=1), []
    logger = Taking()
    logger.log_pictures = lambda name, pictures, step: seen.extend(pictures)
    validate(callback, make_trainer(loggers=[logger]), Module())
    (picture,) = seen
    assert picture.rgb.shape == (40, 60, 3)
    assert picture.faces.tolist() == [FACE]
    assert picture.found.boxes.tolist() == [FACE]
    assert picture.found.scores.tolist() == pytest.approx([0.9])


def test_the_curves_are_those_of_the_metric(tmp_path):
    """The face is the best detection, the other one lies in each picture: precision 1 at recall 1.

    Below score 0.2 the false alarms come in: 5 of 10 detections are faces.
    """
    callback, seen = ImageLog(str(tmp_path)), {}
    logger = Taking()
    logger.log_curves = lambda name, curves, step: seen.update(curves)
    validate(callback, make_trainer(loggers=[logger]), Module())
    precision, recall = seen["hard"]
    assert recall.max() == 1
    assert precision[recall > 0][0] == 1
    assert precision[-1] == pytest.approx(0.5)


def test_one_of_so_many_validations_is_shown_also_after_a_resume(tmp_path):
    callback, module = ImageLog(str(tmp_path), every_n_validations=2), Module()
    for step in (1, 2, 3):
        validate(callback, make_trainer(global_step=step), module)
    again = ImageLog(str(tmp_path), every_n_validations=2)
    again.load_state_dict(callback.state_dict())
    for step in (4, 5):
        validate(again, make_trainer(global_step=step), module)
    assert sorted(path.name for path in tmp_path.glob("*.jpg")) == [
        "step_0000001.jpg", "step_0000003.jpg", "step_0000005.jpg",
    ]  # fmt: skip


def test_nothing_in_the_check_before_training_nor_in_other_processes(tmp_path):
    callback, module = ImageLog(str(tmp_path)), Module()
    checking = make_trainer(sanity_checking=True)
    validate(callback, checking, module)
    other = make_trainer(is_global_zero=False)
    validate(callback, other, module)
    callback.on_train_end(other, module)
    assert module.asked == []
    assert checking.loggers[0].taken == other.loggers[0].taken == []
    assert list(tmp_path.iterdir()) == []
    assert callback.validations == 1, "the check is no validation"


def test_a_training_without_a_metric_shows_pictures_only(tmp_path):
    callback, trainer = ImageLog(str(tmp_path), pictures=1), make_trainer()
    callback.on_validation_start(trainer, None)
    batch = (torch.zeros(1, 3, 64, 64, dtype=torch.uint8), [target_of(0)])
    callback.on_validation_batch_end(trainer, Module(), None, batch, 0)
    callback.on_validation_epoch_end(trainer, SimpleNamespace(metric=None))
    callback.on_validation_end(trainer, None)
    assert [name for name, *_ in trainer.loggers[0].taken] == ["validation/pictures"]


def test_the_hardest_pictures_of_a_mined_training(tmp_path):
    path = tmp_path / "a.png"
    save_picture(path, np.zeros((20, 40, 3), np.uint8))
    boxes = np.array([[2, 3, 10, 12]], np.float32)
    record = Record("E/a", path, boxes, np.array([False]), {})
    data = SimpleNamespace(
        difficulty=SimpleNamespace(hardest=lambda count: [(1, 0.125), (0, 0.25)]),
        record_of=lambda entry: (record, entry == 1),
        name_of=lambda entry: f"E/a{entry}",
    )
    logger, seen = Taking(), []
    logger.log_hardest = lambda name, pictures, step: seen.extend(pictures)
    trainer = make_trainer(datamodule=data, loggers=[logger])
    ImageLog(str(tmp_path), side=20).on_train_end(trainer, None)
    assert [(one.name, score) for one, score in seen] == [("E/a1", 0.125), ("E/a0", 0.25)]
    # Half the size; mirrored, x1' = 40 - 10 - 1 = 29 and x2' = 40 - 2 - 1 = 37.
    assert seen[1][0].faces.tolist() == [[1.0, 1.5, 5.0, 6.0]]
    assert seen[0][0].faces.tolist() == [[14.5, 1.5, 18.5, 6.0]]
    assert seen[0][0].rgb.shape == (10, 20, 3)


def test_judge():
    """IoU of a box with itself shifted by a third of its side: (20 · 30) / (2 · 900 - 600) = 0.5.

    Shifted by half: (15 · 30) / (1800 - 450) = 1/3.
    """
    faces = torch.tensor([[0.0, 0.0, 30.0, 30.0], [100.0, 0.0, 130.0, 30.0]])
    found = torch.tensor([[10.0, 0.0, 40.0, 30.0], [115.0, 0.0, 145.0, 30.0]])
    picture = Picture("p", np.zeros((1, 1, 3)), faces, Detections(found, torch.tensor([0.75, 0.5])))
    drawn = judge(picture)
    assert [(box.colour, box.text) for box in drawn] == [
        (MISSED, ""), (FOUND, "0.75"), (FALSE_ALARM, "0.50"),
    ]  # fmt: skip
    assert drawn[0].corners == faces[1].tolist()
    nothing = Detections(torch.zeros(0, 4), torch.zeros(0))
    assert [box.colour for box in judge(picture._replace(found=nothing))] == [MISSED, MISSED]
    assert [box.colour for box in judge(picture._replace(faces=torch.zeros(0, 4)))] == [
        FALSE_ALARM, FALSE_ALARM,
    ]  # fmt: skip


def test_a_large_picture_is_shrunk_with_its_boxes():
    """200 x 50 px to a side of 100: half of everything; 1000 x 2 to 10: height 0.02 becomes 1."""
    found = Detections(torch.tensor([[10.0, 20.0, 30.0, 40.0]]), torch.ones(1))
    picture = Picture("p", np.zeros((50, 200, 3), np.uint8), found.boxes, found)
    small = shrunk(picture, 100)
    assert small.rgb.shape == (25, 100, 3)
    assert small.faces.tolist() == small.found.boxes.tolist() == [[5.0, 10.0, 15.0, 20.0]]
    assert shrunk(picture, 200) is picture
    assert shrunk(picture._replace(rgb=np.zeros((2, 1000, 3), np.uint8)), 10).rgb.shape == (
        1,
        10,
        3,
    )


@pytest.mark.parametrize("name", ["pictures", "side", "every_n_validations"])
def test_settings_that_are_none(tmp_path, name):
    with pytest.raises(UsageError, match=f"callbacks.image_log.{name}=0: at least 1 is needed"):
        ImageLog(str(tmp_path), **{name: 0})


def test_the_loggers_of_a_training_take_panels_or_are_left_alone(tmp_path):
    from facedet.loggers.csv import CsvHistory
    from facedet.loggers.wandb import make_wandb_loggers

    history, run = make_wandb_loggers(str(tmp_path), "p")
    assert isinstance(run, PanelLogger)
    assert isinstance(history, CsvHistory)
    assert not isinstance(history, PanelLogger)
