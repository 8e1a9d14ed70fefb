"""What a training returns to a sweeper: the number that the config's objective names."""

import csv

import pytest
import torch

from facedet.errors import UsageError
from facedet.metrics.wider import WiderAP
from facedet.training.fit import train
from facedet.weights.store import read_weights
from reference.small_training import SMALL_TRAINING, TINY_NET, training_config

SMALL = (*SMALL_TRAINING, *TINY_NET, "data=wider", "trainer.log_every_n_steps=1",
         "trainer.val_check_interval=2")  # fmt: skip
# AP of the first validation and of the second: of hard the first is better, of medium the second.
VALUES = {"easy": (0.1, 0.3), "medium": (0.2, 0.9), "hard": (0.7, 0.4)}


@pytest.fixture
def run(wider, tmp_path, monkeypatch):
    """Trains up to a step; each validation gives the next of the values."""
    validations = []

    def compute(self):
        validations.append(self)
        return {
            f"wider/{name}": torch.tensor(values[len(validations) - 1])
            for name, values in VALUES.items()
        }

    monkeypatch.setattr(WiderAP, "compute", compute)

    def made(steps, *words):
        place = (f"data.root={wider}", f"paths.output={tmp_path / 'out'}")
        return train(training_config(*SMALL, *place, f"trainer.max_steps={steps}", *words))

    made.validations = validations
    return made


def step_of_best(out):
    checkpoint = torch.load(out / "checkpoints" / "best.ckpt", weights_only=True)
    return checkpoint["global_step"]


def test_the_best_of_what_is_named_over_an_interruption(run, tmp_path):
    assert run(2, "objective=wider/hard") == pytest.approx(0.7)
    assert run(4, "objective=wider/hard", "ckpt_path=last") == pytest.approx(0.7)
    assert step_of_best(tmp_path / "out") == 2


@pytest.mark.parametrize("steps", [2, 4])
def test_the_best_of_a_run_whose_folder_was_moved(run, tmp_path, steps):
    run(2, "objective=wider/hard")
    moved = (tmp_path / "out").rename(tmp_path / "moved")
    run(steps, "objective=wider/hard", "ckpt_path=last", f"paths.output={moved}")
    assert step_of_best(moved) == 2
    assert read_weights(moved / "weights.safetensors").info["steps"] == 2
    assert not (tmp_path / "out").exists()


def test_the_checkpoint_is_the_best_of_what_is_named_too(run, tmp_path):
    assert run(4, "objective=wider/medium") == pytest.approx(0.9)
    assert step_of_best(tmp_path / "out") == 4


@pytest.mark.parametrize(("name", "count"), [("train/loss", 4), ("val/loss", 2)])
def test_of_a_loss_the_lowest(run, tmp_path, name, count):
    value = run(4, f"objective={name}")
    with (tmp_path / "out" / "logs" / "metrics.csv").open(encoding="utf-8") as stream:
        losses = [float(row[name]) for row in csv.DictReader(stream) if row[name]]
    assert len(losses) == count
    assert value == min(losses) < max(losses)
    if name == "val/loss":
        assert step_of_best(tmp_path / "out") == (2 if losses[0] == value else 4)


def test_without_a_history_the_last(run, tmp_path):
    (tmp_path / "out" / "logs").mkdir(parents=True)
    (tmp_path / "out" / "logs" / "metrics.csv").write_text("step,wider/hard\n9,0.95\n")
    callbacks = "~callbacks.lr_monitor"  # it needs a logger
    assert run(4, "~logger", callbacks, "objective=wider/hard") == pytest.approx(0.4)


def test_the_last_weights_are_validated_where_no_validation_is_due(run, tmp_path):
    assert run(3, "objective=wider/medium") == pytest.approx(0.9)
    assert len(run.validations) == 2
    assert step_of_best(tmp_path / "out") == 3
    assert (tmp_path / "out" / "checkpoints" / "last.ckpt").is_file()


@pytest.mark.parametrize(("export", "step"), [("best", 2), ("last", 4)])
def test_the_weights_exported(run, tmp_path, export, step):
    run(4, "objective=wider/hard", f"export={export}")
    assert read_weights(tmp_path / "out" / "weights.safetensors").info["steps"] == step


@pytest.mark.parametrize(
    "words",
    [
        ["trainer.max_time=00:00:01:00"],
        ["callbacks=early_stopping", "callbacks.early_stopping.patience=1",
         "trainer.val_check_interval=1", "objective=wider/hard"],
    ],
    ids=["the time is up", "early stopping"],
)  # fmt: skip
@pytest.mark.parametrize("accumulated", [1, 3])
def test_the_weights_of_the_last_step_of_a_training_that_ends_early(
    run, tmp_path, monkeypatch, words, accumulated
):
    def check(self, trainer):  # amid the second step, if that has several batches
        trainer.should_stop = trainer.should_stop or trainer.fit_loop.total_batch_idx >= accumulated

    monkeypatch.setattr("pytorch_lightning.callbacks.Timer._check_time_remaining", check)
    run(9, *words, "export=last", f"trainer.accumulate_grad_batches={accumulated}")
    last = torch.load(tmp_path / "out" / "checkpoints" / "last.ckpt", weights_only=True)
    exported = read_weights(tmp_path / "out" / "weights.safetensors").info["steps"]
    assert (last["global_step"], exported) == (2, 2)


def test_the_weights_of_the_last_step_of_so_many_epochs(run, tmp_path):
    # Four steps an epoch, and validations at every third.
    words = ("+trainer.max_epochs=1", "trainer.val_check_interval=3", "export=last")
    assert run(9, *words, "objective=wider/medium") == pytest.approx(0.9)
    last = torch.load(tmp_path / "out" / "checkpoints" / "last.ckpt", weights_only=True)
    assert (last["global_step"], step_of_best(tmp_path / "out"), len(run.validations)) == (4, 4, 2)


def test_what_was_never_measured(run):
    assert run(1, "objective=wider/hard", "trainer.limit_val_batches=0") is None


def test_an_epoch_that_fills_no_step_ends_with_a_smaller_one_and_leaves_a_checkpoint(run, tmp_path):
    # Eight pictures in steps of six: one of six and one of two.
    words = ["total_batch_size=6", "data.batch_size=6", "callbacks.last.keep_epochs=true"]
    run(2, *words, "data.drop_last=false")
    names = sorted(path.name for path in (tmp_path / "out" / "checkpoints").glob("epoch_*"))
    assert names == ["epoch_000.ckpt"]
    first = torch.load(tmp_path / "out" / "checkpoints" / names[0], weights_only=True)
    assert (first["global_step"], first["epoch"]) == (2, 0)


def test_what_is_not_logged_is_said_at_the_first_validation(run):
    with pytest.raises(UsageError) as caught:
        run(99, "objective=wider/mediun")
    said = str(caught.value)
    assert said.startswith("`ModelCheckpoint(monitor='wider/mediun')` could not find the monitored")
    assert "'wider/easy', 'wider/medium', 'wider/hard'" in said
    assert len(run.validations) == 1
