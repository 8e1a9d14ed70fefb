"""Hydra applications: Hydra's flags, values of the right kind, errors of one line."""

import sys

import pytest
import yaml

from facedet.errors import UsageError
from facedet.training.hydra_app import check_values, run_hydra


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("optimizer.lr=fast", "expected a number; the default is 0.003"),
        ("model.channels_last=yess", "expected true or false; the default is True"),
        ("augmentation.size=1.5", "expected a whole number; the default is 160"),
        ("model.net.mean=3", "expected a list in [ ]; the default is [123.0, 117.0, 104.0]"),
        # SGD has no betas, AdamW has two.
        ("optimizer.betas=0.9", "expected a list in [ ]; the default is [0.9, 0.999]"),
    ],
)
def test_values_of_another_kind(override, expected):
    with pytest.raises(UsageError) as caught:
        check_values("train", [override])
    assert str(caught.value) == f"{override}: {expected}"


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
    check_values("train", ["optimizer=adamw", "optimizer.betas=[0.9,0.99]"])
    check_values("train", ["data=yolo", "data.root=a", "data.val_share=0.1"])


@pytest.fixture
def own(tmp_path):
    """Folders with a preset and a primary config of a user's own."""
    (tmp_path / "parts" / "preset").mkdir(parents=True)
    (tmp_path / "parts" / "preset" / "mine.yaml").write_text(
        "# @package _global_\ndefaults: [extd_fpn, _self_]\nseed: 7\nmy_key: a\n"
    )
    (tmp_path / "primary").mkdir()
    (tmp_path / "primary" / "own.yaml").write_text("defaults: [train, _self_]\nseed: 5\n")
    return tmp_path


def shown(cli, *words):
    result = cli("train", *words)
    assert result.code == 0, result.err
    return list(yaml.safe_load_all(result.out))


@pytest.mark.parametrize("flag", [("--show",), ("--cfg", "job"), ("--cfg", "job", "--resolve")])
def test_what_is_printed_honours_the_folders_of_configs(cli, own, flag):
    (config,) = shown(cli, *flag, "--config-dir", own / "parts", "preset=mine")
    assert (config["seed"], config["my_key"]) == (7, "a")
    (config,) = shown(cli, *flag, "-cp", own / "primary", "-cn", "own", "trainer=debug")
    assert (config["seed"], config["trainer"]["max_steps"]) == (5, 5)


def test_show_prints_every_job_of_a_multirun(cli):
    configs = shown(cli, "-m", "--show", "seed=1,2", "backbone.width=48")
    assert [config["seed"] for config in configs] == [1, 2]
    assert {config["model"]["net"]["backbone"]["width"] for config in configs} == {48}


@pytest.mark.parametrize(
    ("command", "words", "said"),
    [
        ("train", ["--cfg", "job", "--package", "paths"], "cache: "),
        ("evaluate", ["--cfg", "hydra", "-p", "hydra.job"], "chdir: false"),
        ("train", ["--info", "defaults"], "paths/default"),
        ("evaluate", ["--info", "searchpath"], "conf"),
        ("train", ["--hydra-help"], "Hydra (1."),
        ("train", ["-sc", "install=bash"], "hydra_bash_completion facedet"),
        ("evaluate", ["-sc", "install=bash"], "hydra_bash_completion facedet"),
    ],
)
def test_hydras_flags(cli, command, words, said):
    result = cli(command, *words)
    assert result.code == 0, result.err
    assert said in result.out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--resolve"], "The --resolve flag can only be used in conjunction with --cfg"),
        (["--cfg", "job", "-m"], "not allowed with argument"),
        (["--config-dir", "nowhere"], "nowhere: no such folder"),
        (["-cn", "nowhere"], "Cannot find primary config 'nowhere'"),
        (["-sc", "give=bash"], "Expecting one subcommand"),
        (["--cfg", "job", "bakbone=a"], "the nearest is backbone"),
    ],
)
def test_wrong_flags_are_one_line(cli, words, said):
    cli("train", *words).check_error(2, said)


def test_the_application_gets_its_words_and_ours_are_restored():
    def fails():
        raise UsageError("no")

    before, seen = sys.argv, []
    with pytest.raises(UsageError, match="no"):
        run_hydra(fails, "train", [])
    assert sys.argv is before
    words = ["weights=ü.pth", "data.root=/x", "seed=3"]
    run_hydra(lambda: seen.append(sys.argv), "evaluate", words, ["--multirun"], "evaluate.py")
    assert seen[0] == ["evaluate.py", "--multirun", "weights='ü.pth'", "data.root='/x'", "seed=3"]
    assert sys.argv is before
