"""Which values of a number are better, and the best of a run's history."""

import math

import pytest
from omegaconf import OmegaConf

from facedet.config import compose, plain
from facedet.training.objective import best_row, measured, mode_of

ROWS = "epoch,step,loss,wider/easy,wider/medium\n0,1,9.5,,\n0,1,,0.5,0.25\n1,3,,0.75,0.125\n"


@pytest.mark.parametrize(
    ("objective", "mode"),
    [("wider/hard", "max"), ("fddb/disc", "max"), ("train/loss", "min"), ("loss", "min")],
)
def test_what_no_callback_watches(objective, mode):
    assert mode_of({}, objective) == mode
    assert mode_of({"callbacks": None}, objective) == mode
    assert mode_of(compose("train"), objective) == mode


def test_the_callback_that_watches_it_says_so():
    config = {"callbacks": {"lr": {}, "best": {"monitor": "mine/error", "mode": "min"}}}
    assert mode_of(config, "mine/error") == "min"
    assert mode_of(OmegaConf.create(config), "mine/error") == "min"
    assert mode_of(config, "mine/other") == "max"
    config["callbacks"]["best"]["mode"] = None
    assert mode_of(config, "mine/error") == "max"


@pytest.mark.parametrize(
    ("overrides", "monitor", "mode"),
    [
        (["objective=wider/hard"], "wider/hard", "max"),
        (["objective=train/loss"], "train/loss", "min"),
        (["objective=mine/error", "callbacks.best.mode=min"], "mine/error", "min"),
    ],
)
def test_the_best_checkpoint_is_that_of_the_objective(overrides, monitor, mode):
    config = compose("train", overrides)
    assert (config.callbacks.best.monitor, config.callbacks.best.mode) == (monitor, mode)
    assert mode_of(config, monitor) == mode_of(plain(config), monitor) == mode


def test_rows_of_the_history(tmp_path):
    assert measured(tmp_path, "wider/easy") == []
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "metrics.csv").write_text(ROWS)
    assert measured(tmp_path, "wider/hard") == []
    assert measured(tmp_path, "loss") == [{"step": 1, "loss": 9.5}]
    assert measured(tmp_path, "wider/medium") == [
        {"step": 1, "wider/easy": 0.5, "wider/medium": 0.25},
        {"step": 3, "wider/easy": 0.75, "wider/medium": 0.125},
    ]


def test_the_first_of_equally_good_rows():
    rows = [{"a": math.nan, "step": 1}, {"a": 2.0, "step": 2}, {"a": 2.0, "step": 3}]
    assert best_row(rows, "a", "max")["step"] == best_row(rows, "a", "min")["step"] == 2
    assert math.isnan(best_row(rows[:1], "a", "min")["a"])
