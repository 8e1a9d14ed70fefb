"""The total batch of a recipe: dealt out to processes and accumulated batches, or refused."""

import pytest

from facedet.config import compose, plain
from facedet.errors import UsageError
from facedet.training.trainer import build_trainer, share_total_batch


def shared(*words):
    """(batch of a process, accumulated batches, learning rate) of a config."""
    config = compose("train", ["data.root=/nowhere", "trainer.accelerator=cpu", *words])
    share_total_batch(config)
    return config.data.batch_size, config.trainer.accumulate_grad_batches, config.optimizer.lr


@pytest.mark.parametrize(
    ("words", "batch", "accumulated"),
    [
        # EXTD: 16 crops an update, on 1, 4 and 2 x 4 devices, and in less memory.
        (["experiment=extd_fpn_64_prelu"], 16, 1),
        (["experiment=extd_fpn_64_prelu", "trainer.devices=4"], 4, 1),
        (["experiment=extd_fpn_64_prelu", "trainer.devices=[0,1]", "trainer.num_nodes=4"], 2, 1),
        (["experiment=extd_fpn_64_prelu", "data.batch_size=4"], 4, 4),
        (["experiment=extd_fpn_64_prelu", "data.batch_size=4", "trainer.devices=2"], 4, 2),
        # SmallHardFace: 8 pictures, one at a time; 4 x 2 in the release.
        (["experiment=smallhardface"], 1, 8),
        (["experiment=smallhardface", "trainer.devices=4"], 1, 2),
        (["experiment=smallhardface", "trainer.devices=auto"], 1, 8),
        (["experiment=smallhardface", "data.batch_size=2", "trainer.devices='2'"], 2, 2),
        (["experiment=smallhardface", "trainer.devices=2", "trainer.accumulate_grad_batches=4"],
         1, 4),
        # No total: as it is.
        (["data.batch_size=3", "trainer.devices=2", "trainer.accumulate_grad_batches=5"], 3, 5),
        (["experiment=smallhardface", "budget=short"], 8, 1),
    ],
)  # fmt: skip
def test_the_parts_make_the_total(words, batch, accumulated):
    assert shared(*words)[:2] == (batch, accumulated)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ["experiment=smallhardface", "trainer.devices=3"],
            r"total_batch_size=8: does not divide into equal parts for 3 processes .*; "
            "1 or 2 or 4 or 8 processes would do",
        ),
        (
            ["experiment=extd_fpn_64_prelu", "trainer.devices=2", "data.batch_size=3"],
            "total_batch_size=16: the 8 images of each of 2 processes do not divide into batches "
            "of data.batch_size=3; 1 or 2 or 4 or 8 would do",
        ),
        (
            ["experiment=extd_fpn_64_prelu", "trainer.accumulate_grad_batches=4"],
            "accumulate_grad_batches=4: total_batch_size=16 in 1 processes of data.batch_size=16 "
            "makes it 1",
        ),
        (["total_batch_size=0"], "total_batch_size=0: does not divide"),
        (["total_batch_size=4", "data.batch_size=0"], "batches of data.batch_size=0; 1 or 2 or 4"),
    ],
)
def test_what_does_not_divide_is_refused_with_the_numbers(words, said):
    with pytest.raises(UsageError, match=said):
        shared(*words)


def test_the_rate_is_scaled_on_request_and_once():
    words = ["experiment=extd_fpn_64_prelu", "total_batch_size=64", "data.batch_size=32"]
    assert shared(*words) == (32, 2, 0.001)
    config = compose("train", ["data.root=/nowhere", *words, "lr_batch_size=16"])
    share_total_batch(config)
    assert config.optimizer.lr == pytest.approx(0.004)
    # Further processes compose from the result.
    share_total_batch(config)
    assert config.optimizer.lr == pytest.approx(0.004)


def test_validations_and_steps_are_counted_in_updates(tmp_path):
    # Lightning counts batches: 8 of them make one update.
    words = ["experiment=smallhardface", "data.root=/nowhere", f"paths.output={tmp_path}",
             "trainer.accelerator=cpu", "~logger"]  # fmt: skip
    config = compose("train", words)
    share_total_batch(config)
    trainer = build_trainer(config, [])
    assert (trainer.accumulate_grad_batches, trainer.val_check_interval) == (8, 20_000)
    assert trainer.max_steps % config.trainer.val_check_interval == 0


def test_the_papers_choice_of_weights_and_checkpoints():
    """EXTD: the lowest validation loss; SmallHardFace: the last; both keep one of each epoch."""
    extd = plain(compose("train", ["experiment=extd_fpn_64_prelu", "data.root=/nowhere"]))
    best = extd["callbacks"]["best"]
    assert (extd["export"], best["monitor"], best["mode"]) == ("best", "val/loss", "min")
    hard = plain(compose("train", ["experiment=smallhardface", "data.root=/nowhere"]))
    assert (hard["export"], hard["callbacks"]["best"]["monitor"]) == ("last", "wider/medium")
    for config in (extd, hard):
        assert config["callbacks"]["last"]["keep_epochs"] is True
        assert config["data"]["drop_last"] is False
        assert config["trainer"]["max_steps"] % config["trainer"]["val_check_interval"] == 0
    # A short budget compares by the objective, and keeps the disk free.
    short = plain(compose("train", ["experiment=smallhardface", "budget=short"]))
    assert (short["export"], short["callbacks"]["last"]["keep_epochs"]) == ("best", False)
