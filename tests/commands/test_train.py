"""`facedet train`: its complaints, interruptions and ways to resume; `test_end_to_end` trains."""

import os
import shutil
import signal

import pytest
import torch
import yaml

from facedet.errors import FacedetError
from facedet.weights.store import read_weights
from reference.small_training import SMALL_TRAINING

SMALL = (*SMALL_TRAINING, "data=wider", "trainer.log_every_n_steps=1")


@pytest.fixture
def train(cli, wider, tmp_path):
    """Runs a small training into tmp_path/out."""

    def run(*words):
        output = f"paths.output={tmp_path / 'out'}"
        return cli("train", *SMALL, f"data.root={wider}", output, *words)

    return run


def test_show_prints_the_config_and_trains_nothing(cli):
    result = cli("train", "backbone.width=48", "--show", "neck=passthrough", "data=wider")
    shown = yaml.safe_load(result.out)
    assert result.code == 0
    assert shown["model"]["net"]["backbone"]["width"] == 48
    assert shown["model"]["net"]["neck"]["_target_"].endswith("Passthrough")
    assert "${" not in result.out
    cli("train", "data=wider").check_error(2, "data.root is not given: add data.root=VALUE")
    assert os.listdir() == []


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["backbone.widht=48"], 2, "the nearest is backbone.width"),
        (["data.root=/nowhere"], 1, "/nowhere"),
        (["ckpt_path=nowhere.ckpt"], 1, "ckpt_path=nowhere.ckpt: no such file; expected last"),
        (["ckpt_path=last"], 1, "checkpoints/last.ckpt"),
        (["ckpt_path=best"], 1, "checkpoints/best.ckpt"),
        (["weights=/nowhere.pth"], 1, "/nowhere.pth: no such weights file"),
        (["weights=extd-plain-32", "preset=extd_ssd_48_relu"], 1, "weights of another network: "),
        (["data.batch_size=0"], 1, "data.batch_size=0"),
        (["export=bset"], 2, "export=bset: expected best or last"),
        (["widen=true"], 2, "widen=true: expected weights="),
        (["total_batch_size=3"], 2, "batches of data.batch_size=2; 1 or 3 would do"),
        (["trainer.precision=x"], 2, "Trainer: Precision 'x' is invalid"),
        (["trainer.devices=abc"], 2, "Trainer: `devices`"),
        (["trainer.val_check_interval=0"], 2, "trainer.val_check_interval=0: expected a"),
        (["trainer.accumulate_grad_batches=0"], 2, "accumulate_grad_batches=0: expected a whole"),
        (["seed=-1"], 2, "seed=-1: expected a whole number of 0 to 4294967295"),
        (["optimizer.lr=-1"], 2, "optimizer: Invalid learning rate: -1"),
        (["augmentation.size=0"], 2, "augmentation.size=0: "),
        (["trainer.sync_batchnorm=true"], 2, "normalising over all processes works on GPUs only"),
        pytest.param(
            ["trainer=gpu"], 2, "Trainer: No supported gpu backend found",
            marks=pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU"),
        ),
    ],
)  # fmt: skip
def test_complaints(train, words, code, said):
    result = train("trainer.max_steps=1", *words)
    result.check_error(code, said)
    assert result.err.startswith("facedet train: ")


def test_faces_in_no_lists_are_refused_before_training(train, wider, tmp_path):
    copied = shutil.copytree(wider, tmp_path / "copied")
    shutil.rmtree(copied / "ground_truth")
    result = train(f"data.root={copied}", "trainer.max_steps=1")
    assert result.code == 1
    assert result.err == (
        f"facedet train: {copied}: its faces are in no lists, expected "
        "ground_truth/wider_{easy,medium,hard}_val.mat of the WIDER FACE evaluation tools\n"
    )


def test_resuming_from_a_file_of_another_run(train, tmp_path):
    assert train(f"paths.output={tmp_path / 'first'}", "trainer.max_steps=2").code == 0
    last = tmp_path / "first" / "checkpoints" / "last.ckpt"
    result = train(f"ckpt_path={last}", "preset=extd_fpn_32_relu")
    result.check_error(2, last, "belongs to another training", "neck")
    result = train(f"ckpt_path={last}", "trainer.max_steps=3")
    assert result.code == 0
    assert "trained 3 steps; last validation: wider/easy 0." in result.out
    assert read_weights(tmp_path / "out" / "weights.safetensors").info["steps"] == 3


def test_resuming_from_a_file_of_the_same_run_keeps_its_history(train, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = ("paths.output=out", "~callbacks.throughput")  # which adds a column now and then
    assert train(*words, "trainer.max_steps=2").code == 0
    last = tmp_path / "out" / "checkpoints" / "last.ckpt"
    history = tmp_path / "out" / "logs" / "metrics.csv"
    before = history.read_text().splitlines()
    assert train(*words, "trainer.max_steps=3", f"ckpt_path={last}").code == 0
    assert history.read_text().splitlines()[: len(before)] == before


def test_resuming_from_a_file_of_another_run_replaces_none(train, tmp_path):
    for name in ("first", "out"):
        assert train(f"paths.output={tmp_path / name}", "trainer.max_steps=1").code == 0
    words = (f"ckpt_path={tmp_path / 'first' / 'checkpoints' / 'last.ckpt'}", "trainer.max_steps=2")
    train(*words).check_error(1, "holds a run already", "overwrite=true replaces it")
    assert read_weights(tmp_path / "out" / "weights.safetensors").info["steps"] == 1
    assert train(*words, "overwrite=true").code == 0
    assert read_weights(tmp_path / "out" / "weights.safetensors").info["steps"] == 2


def test_nothing_is_left_to_resume_of_a_run_that_is_replaced(train, tmp_path, at_step):
    words = ["trainer.max_steps=1"]
    assert train(*words).code == 0
    last = tmp_path / "out" / "checkpoints" / "last.ckpt"
    for wrong in ("data.root=/nowhere", "data.batch_size=99", "weights=/nowhere.pth"):
        assert train(*words, "overwrite=true", wrong).code == 1
        assert last.is_file()
    at_step("training_step", 0, FacedetError("killed"))
    train(*words, "overwrite=true").check_error(1, "killed")
    train(*words, "ckpt_path=last").check_error(1, "has no checkpoints/last.ckpt")
    assert not (tmp_path / "out" / "weights.safetensors").exists()


@pytest.mark.parametrize(
    ("words", "width", "network"),
    [
        (["weights=extd-plain-64"], 64, "IterativePlainBackbone"),
        (["weights=extd-released-48"], 48, "IterativeBackbone"),
        (["weights=extd-plain-64", "model.net.enlarge=1.2"], 64, "IterativePlainBackbone"),
        # Whoever chooses a network gets it.
        (["weights=extd-plain-64", "preset=extd_fpn_32_prelu"], 32, "IterativeBackbone"),
        (["weights=extd-plain-64", "backbone.width=48"], 48, "IterativeBackbone"),
        (["weights=mine.safetensors"], 32, "IterativeBackbone"),
    ],
)
def test_named_weights_bring_their_network(cli, words, width, network):
    backbone = yaml.safe_load(cli("train", "--show", *words).out)["model"]["net"]["backbone"]
    assert (backbone["width"], backbone["_target_"].rpartition(".")[2]) == (width, network)


@pytest.fixture
def at_step(monkeypatch):
    """Makes a training raise an error or get a signal before its batch: (hook, step, what)."""
    from facedet.modules.base import DetectionModule

    def patch(hook, step, what):
        usual = getattr(DetectionModule, hook)

        def changed(self, batch, batch_index):
            if self.trainer.global_step == step:
                if isinstance(what, signal.Signals):
                    os.kill(os.getpid(), what)
                else:
                    raise what
            return usual(self, batch, batch_index)

        monkeypatch.setattr(DetectionModule, hook, changed)

    return patch


def test_ctrl_c_keeps_a_checkpoint_to_resume_from(train, tmp_path, monkeypatch, at_step):
    at_step("training_step", 2, KeyboardInterrupt)
    result = train("trainer.max_steps=9", "callbacks.last.every_n_train_steps=1")
    out = tmp_path / "out"
    assert result.code == 130
    said = f"interrupted at step 2; ckpt_path=last paths.output={out} resumes it"
    assert said in result.err
    monkeypatch.undo()
    result = train("trainer.max_steps=3", "ckpt_path=last")
    assert result.code == 0
    assert "trained 3 steps" in result.out


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_a_whole_multirun(train, tmp_path, at_step, number, code):
    at_step("training_step", 1, number)
    sweep = tmp_path / "sweep"
    result = train("-m", "seed=0,1", f"hydra.sweep.dir={sweep}", "trainer.max_steps=9")
    assert result.code == code
    said = f"{number.name} at step 2: everything is saved"
    assert f"facedet train: {said}" in result.err.splitlines()[-1]
    last = sweep / "0" / "checkpoints" / "last.ckpt"
    assert torch.load(last, weights_only=True)["global_step"] == 2
    assert said in (sweep / "0" / "train.log").read_text()
    assert not (sweep / "1").exists()


def test_a_signal_between_two_trainings_is_not_swallowed(train, monkeypatch):
    numbers, seen = (signal.SIGINT, signal.SIGTERM), []
    before = [signal.getsignal(number) for number in numbers]
    monkeypatch.setattr(
        "facedet.training.fit.report",
        lambda *_: seen.extend(signal.getsignal(number) for number in numbers),
    )
    assert train("trainer.max_steps=1").code == 0
    assert seen == before


def test_a_signal_before_the_first_step(train, at_step):
    at_step("validation_step", 0, signal.SIGTERM)
    result = train("trainer.num_sanity_val_steps=1", "trainer.max_steps=9")
    assert (result.code, "interrupted at step 1" in result.err) == (143, True)


@pytest.mark.slow
def test_a_grid_finishes_what_it_can_and_says_what_failed(train, tmp_path):
    sweep = tmp_path / "sweep"
    words = ("-m", "optimizer.lr=1e30,0.001", f"hydra.sweep.dir={sweep}", "trainer.max_steps=2")
    result = train(*words)
    assert result.code == 1
    assert "facedet train: the loss is " in result.err
    assert (sweep / "1" / "weights.safetensors").is_file()
    assert not (sweep / "0" / "weights.safetensors").exists()
    assert "the loss is" in (sweep / "0" / "train.log").read_text()
