"""A training that is cut off anywhere and goes on ends as the uninterrupted one, to the bit."""

import os

import pytest
import pytorch_lightning as pl
import torch

from facedet.training import trainer
from facedet.training.fit import train
from reference.small_training import SMALL_TRAINING, TINY_NET, training_config

# Three batches an epoch; validations and checkpoints meet at some steps and miss each other at
# others; images become easy at once, so that the epochs differ in length.
SETTINGS = [
    *SMALL_TRAINING, *TINY_NET, "data.prepare=null", "trainer.log_every_n_steps=1",
    "optimizer=muon", "trainer.limit_val_batches=2", "trainer.max_steps=7",
    "trainer.val_check_interval=3", "callbacks.last.every_n_train_steps=2",
    "~callbacks.throughput",  # images a second differ from run to run
]  # fmt: skip
MINING = ("mining=him", "mining.threshold=0.0", "mining.probability=0.4")
ACCUMULATION = ("trainer.accumulate_grad_batches=2", "callbacks=ema")
HOOKS = (
    "on_train_start", "on_train_epoch_start", "on_train_batch_start", "on_before_optimizer_step",
    "on_train_batch_end", "on_train_epoch_end", "on_validation_start", "on_validation_batch_end",
    "on_validation_end", "on_save_checkpoint", "on_train_end",
)  # fmt: skip
# With all of them it takes minutes; a sweep over some finds what breaks a kind of place.
EVERY = int(os.environ.get("FACEDET_CUT_EVERY", "23"))


class PowerCutError(BaseException):
    """Nothing in the package expects it."""


class Cut(pl.Callback):
    """Counts the places where a training can be cut off, and cuts it at one."""

    def __init__(self, at=None):
        self.at, self.places = at, []


def _place(name):
    def hook(self, *_):
        self.places.append(name)
        if self.at is not None and len(self.places) > self.at:
            raise PowerCutError

    return hook


for _name in HOOKS:
    setattr(Cut, _name, _place(_name))


@pytest.fixture
def run(crowds, monkeypatch):
    """Trains into a folder; with `at`, until the place of that number."""
    build = trainer.build_callbacks

    def go(output, *words, at=None):
        cut = Cut(at)

        def with_cut(config):
            callbacks = build(config)
            # Before and after those that save: a place before the file is written, one after.
            return [cut, *callbacks]

        monkeypatch.setattr(trainer, "build_callbacks", with_cut)
        words = [*SETTINGS, f"data.root={crowds}", f"paths.output={output}", *words]
        try:
            train(training_config(*words))
        except PowerCutError:
            return None
        return cut.places

    return go


def result(output):
    """All that a training leaves, but for what names the time or the folder."""
    last = torch.load(output / "checkpoints" / "last.ckpt", weights_only=True)
    best = torch.load(output / "checkpoints" / "best.ckpt", weights_only=True)
    kept = {key: last[key] for key in ("state_dict", "optimizer_states", "lr_schedulers",
                                       "global_step", "epoch")}  # fmt: skip
    return {
        **kept,
        "best": best["state_dict"],
        "mining": last.get("facedet_mining"),
        "random": last["facedet_random_states"][0]["torch"],
        "metrics.csv": (output / "logs" / "metrics.csv").read_text().splitlines(),
        "mining.csv": (output / "mining.csv").read_text() if last.get("facedet_mining") else None,
    }


def assert_same(a, b, where=""):
    assert type(a) is type(b), where
    if isinstance(a, dict):
        assert a.keys() == b.keys(), where
        for key in a:
            assert_same(a[key], b[key], f"{where}.{key}")
    elif isinstance(a, (list, tuple)):
        assert len(a) == len(b), f"{where}: {a} {b}"
        for i, (x, y) in enumerate(zip(a, b, strict=True)):
            assert_same(x, y, f"{where}[{i}]")
    elif isinstance(a, torch.Tensor):
        assert torch.equal(a.nan_to_num(), b.nan_to_num()), where
    else:
        assert a == b or a != a, f"{where}: {a} {b}"


@pytest.mark.slow
@pytest.mark.parametrize("words", [MINING, ACCUMULATION], ids=["mining", "accumulation and EMA"])
def test_a_training_cut_off_anywhere_goes_on_to_the_same_end(run, tmp_path, words):
    whole = tmp_path / "whole"
    places = run(whole, *words)
    assert set(places) == set(HOOKS)
    expected = result(whole)
    for at in range(1, len(places), EVERY):
        output = tmp_path / f"cut at {at} {places[at]}"
        assert run(output, *words, at=at) is None
        # Once more after the first going on, if it comes so far: its counters are in the file.
        run(output, *words, "ckpt_path=auto", at=8 + at % 11)
        run(output, *words, "ckpt_path=auto")
        assert_same(result(output), expected, f"{at} {places[at]}")


@pytest.mark.slow
def test_the_checkpoint_of_an_epochs_end_resumes_with_the_next_epoch(run, tmp_path):
    words = (*MINING, "callbacks.last.keep_epochs=true")
    run(tmp_path / "whole", *words)
    expected = result(tmp_path / "whole")
    first = tmp_path / "whole" / "checkpoints" / "epoch_000.ckpt"
    run(tmp_path / "part", *words, f"ckpt_path={first}")
    found = result(tmp_path / "part")
    # The history and the best of another folder begin there.
    for name in ("metrics.csv", "best"):
        del expected[name], found[name]
    assert_same(found, expected)


@pytest.mark.slow
def test_a_training_of_so_many_epochs_resumes_with_more(run, tmp_path):
    settings, part = (*MINING, "trainer.max_steps=99"), tmp_path / "part"
    run(tmp_path / "whole", *settings, "+trainer.max_epochs=3")
    for epochs, words in (1, []), (1, ["ckpt_path=last"]), (3, ["ckpt_path=last"]):
        run(part, *settings, f"+trainer.max_epochs={epochs}", *words)
    expected, found = result(tmp_path / "whole"), result(part)
    # The validation of the early end is one more, whose step may be the best.
    for name in ("metrics.csv", "best"):
        del expected[name], found[name]
    assert_same(found, expected)


@pytest.mark.slow
@pytest.mark.parametrize("batch", [2, 3])
@pytest.mark.parametrize("words", [MINING, ACCUMULATION], ids=["mining", "accumulation and EMA"])
def test_a_training_whose_time_was_up_goes_on_to_the_same_end(
    run, tmp_path, monkeypatch, words, batch
):
    run(tmp_path / "whole", *words)
    part = tmp_path / "part"
    with monkeypatch.context() as patch:

        def check(self, trainer):
            trainer.should_stop = trainer.should_stop or trainer.fit_loop.total_batch_idx >= batch

        patch.setattr("pytorch_lightning.callbacks.Timer._check_time_remaining", check)
        run(part, *words, "trainer.max_time=00:00:01:00")
    stopped = torch.load(part / "checkpoints" / "last.ckpt", weights_only=True)["global_step"]
    assert stopped == (batch // 2 + 1 if words == ACCUMULATION else batch + 1)
    run(part, *words, "ckpt_path=last")
    expected, found = result(tmp_path / "whole"), result(part)
    # The validation of the early end is one more, whose step may be the best.
    for name in ("metrics.csv", "best"):
        del expected[name], found[name]
    assert_same(found, expected)
