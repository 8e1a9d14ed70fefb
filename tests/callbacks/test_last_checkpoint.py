from types import SimpleNamespace

import pytest

from facedet.callbacks.last_checkpoint import LastCheckpoint
from facedet.errors import InterruptedTrainingError


def run(tmp_path, every, max_steps, steps, validate=(), stop_at=None, error=None, time=99, bad=99):
    """Sends a callback through optimiser steps, one per batch; the steps at which it saved.

    From batch number `time` on the time is up; the validation of batch `bad` stops early.
    """
    saved, sent = [], []

    def save(path, weights_only):
        if error:
            raise error
        saved.append(trainer.global_step)
        path.parent.mkdir(exist_ok=True)
        aside = path.with_name("aside")
        aside.write_text(str(trainer.global_step))
        aside.replace(path)

    batch = {"due": False}
    loop = SimpleNamespace(_should_check_val_fx=lambda _: batch["due"])
    trainer = SimpleNamespace(
        global_step=0, max_steps=max_steps, save_checkpoint=save, loggers=[], is_global_zero=True,
        sanity_checking=False, should_stop=False, default_root_dir="out",
        fit_loop=SimpleNamespace(epoch_loop=loop, _data_fetcher=None, _can_stop_early=True),
        _logger_connector=SimpleNamespace(update_train_step_metrics=lambda: sent.append(1)),
    )  # fmt: skip
    callback = LastCheckpoint(str(tmp_path / "checkpoints"), every)
    callback.signals = SimpleNamespace(agreed=lambda: 15 if trainer.global_step == stop_at else 0)
    for number, step in enumerate(steps):
        trainer.global_step = step
        batch["due"] = number in validate
        trainer.should_stop = trainer.should_stop or number >= time
        callback.on_train_batch_end(trainer, None, None, None, number)
        if batch["due"]:
            saved.append("validated")
            trainer.should_stop = trainer.should_stop or number == bad
            callback.on_validation_end(trainer, None)
        if trainer.should_stop:
            saved.append("end")
            break
    return saved


def test_every_so_many_steps_and_at_the_last(tmp_path):
    assert run(tmp_path, 3, 8, range(1, 9)) == [3, 6, 8]


def test_once_per_step_when_gradients_are_accumulated(tmp_path):
    assert run(tmp_path, 2, 4, [0, 1, 1, 2, 2, 3, 3, 4]) == [2, 4]


def test_where_the_time_is_up(tmp_path):
    assert run(tmp_path, 3, 99, range(1, 9), time=4) == [3, 5, "end"]
    # Amid accumulation after that step, also where the request comes once and in a validation.
    assert run(tmp_path, 99, 99, [0, 1, 1, 2], time=2) == [2, "end"]
    assert run(tmp_path, 99, 99, [0, 1, 1, 2], {2}, bad=2) == ["validated", 2, "end"]


def test_where_the_training_is_stopped_early(tmp_path):
    found = run(tmp_path, 99, 99, range(1, 9), validate={1, 3}, bad=3)
    assert found == ["validated", "validated", 4, "end"]


def test_where_a_validation_is_due_it_comes_first(tmp_path):
    assert run(tmp_path, 2, 9, [1, 2, 3, 4], validate={1, 2}) == ["validated", 2, "validated", 4]


def test_the_one_before_is_kept(tmp_path):
    run(tmp_path, 1, 9, [1, 2, 3])
    folder = tmp_path / "checkpoints"
    assert {p.name: p.read_text() for p in folder.iterdir()} == {
        "last.ckpt": "3",
        "previous.ckpt": "2",
    }


def test_a_kill_between_the_two_names_leaves_nothing_behind(tmp_path):
    folder = tmp_path / "checkpoints"
    run(tmp_path, 1, 9, [1])
    (folder / "previous.ckpt").hardlink_to(folder / "last.ckpt")
    run(tmp_path, 1, 9, [2])
    assert sorted(p.name for p in folder.iterdir()) == ["last.ckpt", "previous.ckpt"]


def test_a_signal_ends_after_a_step_with_a_checkpoint(tmp_path):
    with pytest.raises(
        InterruptedTrainingError, match="SIGTERM at step 2: everything is saved"
    ) as e:
        run(tmp_path, 100, 200, [1, 2, 3], stop_at=2)
    assert e.value.exit_code == 143
    assert (tmp_path / "checkpoints" / "last.ckpt").read_text() == "2"


def test_a_signal_amid_accumulation_waits_for_the_step(tmp_path):
    # Steps 0, 0, 1: two batches are summed up before the first step; the signal comes at once.
    with pytest.raises(InterruptedTrainingError, match="at step 1"):
        run(tmp_path, 100, 200, [0, 0, 1], stop_at=1)
