"""Hydra applications whose errors are one line, and values of the right kind."""

import sys

import pytest

from facedet.errors import UsageError
from facedet.training.hydra_app import check_values, run_hydra


@pytest.mark.parametrize(
    ("override", "wish"),
    [
        ("seed=abc", "a whole number is wanted; the default is 0"),
        ("seed=1.5", "a whole number is wanted"),
        ("data.batch_size=true", "a whole number is wanted; the default is 16"),
        ("optimizer.lr=fast", "a number is wanted; the default is 0.001"),
        ("optimizer.nesterov=yess", "true or false is wanted; the default is False"),
        ("optimizer.nesterov=1", "true or false is wanted"),
        ("model.mean=3", "a list in [ ] is wanted; the default is [123.0, 117.0, 104.0]"),
        ("trainer.max_steps=ten", "a whole number is wanted; the default is 1000"),
    ],
)
def test_values_of_another_kind(override, wish):
    key = override.replace("model.mean", "model.net.mean")
    with pytest.raises(UsageError) as caught:
        check_values("train", [key])
    assert str(caught.value).startswith(f"{key}: {wish}")


def test_values_that_fit():
    given = [
        "seed=3",
        "optimizer.lr=1",  # a whole number is a number
        "model.net.std=[2,2,2]",
        "trainer.devices=auto",
        "trainer.limit_val_batches=0.5",
        "trainer.val_check_interval=0.25",
        "trainer.precision=32",
        "backbone.blocks=[[1,2]]",
        "paths.output='a b'",
    ]
    chosen = ["optimizer=adamw", "callbacks=[progress]", "+banana=3", "~logger"]
    check_values("train", [*given, *chosen, "ckpt_path=last", "hydra.job.name=a"])
    check_values("train", ["ckpt_path=null", "optimizer.weight_decay=1e-4"])


def test_the_default_is_that_of_the_chosen_part():
    # SGD has no betas, AdamW has two.
    with pytest.raises(UsageError, match=r"a list in \[ \] is wanted; the default is \[0.9, 0.999"):
        check_values("train", ["optimizer=adamw", "optimizer.betas=0.9"])
    check_values("train", ["optimizer=adamw", "optimizer.betas=[0.9,0.99]"])


def test_the_application_gets_its_words_and_ours_are_restored():
    before, seen = sys.argv, []
    words = ["weights=ü.pth", "data.root=/x", "seed=3"]
    assert run_hydra(lambda: seen.append(sys.argv), "evaluate", words, ["--multirun"]) == 0
    file, *rest = seen[0]
    assert file.endswith("commands/evaluate.py")
    assert rest == ["--multirun", "weights='ü.pth'", "data.root=/x", "seed=3"]
    assert sys.argv is before


def test_words_are_restored_after_an_error():
    before = sys.argv

    def fails():
        raise UsageError("no")

    with pytest.raises(UsageError, match="no"):
        run_hydra(fails, "train", [])
    assert sys.argv is before
