"""`facedet sweep export-wandb`: W&B's agents would run what the sweep runs."""

import argparse
from itertools import product

import pytest
import yaml

from facedet.config import compose
from facedet.errors import FacedetError, UsageError
from facedet.sweeps import export as sweep_export
from facedet.sweeps.export import translate
from facedet.sweeps.plan import job_hash, jobs_of, read_sweep


def call(*words):
    parser = argparse.ArgumentParser()
    sweep_export.add_arguments(parser)
    return sweep_export.run(parser.parse_args([str(word) for word in words]))


@pytest.fixture
def own(tmp_path):
    """Writes sweeps of the user's own; gives their folder."""

    def write(name, text):
        folder = tmp_path / "my sweeps"
        folder.mkdir(exist_ok=True)
        (folder / f"{name}.yaml").write_text(text)
        return folder

    return write


def params(lines, before="defaults: [train, override budget: smoke, _self_]\n"):
    inner = "".join(f"      {line}\n" for line in lines)
    return f"{before}hydra:\n  mode: MULTIRUN\n  sweeper:\n    params:\n{inner}"


def agent_words(content, values):
    """The words after the program as W&B's own agent makes them of a command and values."""
    substitute = pytest.importorskip("wandb.sdk.launch.sweeps.utils")
    args = {key: {"value": value} for key, value in values.items()}
    made = substitute.create_sweep_command_args({"args": args})
    command = substitute.create_sweep_command(list(content["command"]))
    made |= {"program": [content["program"]], "env": ["/usr/bin/env"]}
    words = []
    for word in command:
        words += made[word[2:-1]] if word.startswith("${") else [word]
    return words


def test_the_paper_grid(capsys):
    assert call("extd_grid", "seed=3") == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    assert captured.out.startswith("# The sweep extd_grid for W&B:  wandb sweep FILE")
    content = yaml.safe_load(captured.out)
    assert content["method"] == "grid"
    assert content["program"] == "facedet"
    assert content["command"] == [
        "${env}", "${program}", "train", "logger=wandb", "experiment=extd", "budget=smoke",
        "seed=3", "${args_no_hyphens}",
    ]  # fmt: skip
    assert content["metric"] == {"name": "wider/medium", "goal": "maximize"}
    assert content["parameters"] == {
        "preset": {"values": ["extd_fpn", "extd_ssd"]},
        "backbone.width": {"values": [32, 48, 64]},
        "backbone.activation": {"values": ["relu", "prelu", "leaky_relu"]},
    }


def test_agents_run_the_jobs_of_the_sweep():
    words = ["backbone.width=32,64", "optimizer.lr=1e-5"]
    content, _ = translate("extd_width", words)
    axes = {key: one["values"] for key, one in content["parameters"].items()}
    assert axes == {"backbone.width": [32, 64]}
    found = set()
    for values in product(*axes.values()):
        told = agent_words(content, dict(zip(axes, values, strict=True)))
        assert told[:3] == ["/usr/bin/env", "facedet", "train"]
        found.add(job_hash(compose("train", told[3:])))
    assert found == {job.hash for job in jobs_of(read_sweep("extd_width", words))}
    assert len(found) == 2


def test_a_file_is_written_whole(tmp_path, capsys, monkeypatch):
    content = {"name": "a", "method": "grid", "parameters": {"seed": {"values": [1, 2]}}}
    monkeypatch.setattr(sweep_export, "translate", lambda *_: (content, []))
    target = tmp_path / "new" / "grid.yaml"
    call("a", "--output", target)
    assert capsys.readouterr().out == f"{target}: grid over seed\n"
    assert yaml.safe_load(target.read_text()) == content


def test_values_keep_their_types(own):
    folder = own(
        "types",
        params(
            [
                "seed: range(0,6,2)",
                "overwrite: true,false",
                "trainer.gradient_clip_val: null,0.5",
                "weights: \"'a b.safetensors','1'\"",
                "ckpt_path: choice(auto,last)",
            ]
        ),
    )
    content, left_out = translate("types", [], folder)
    assert left_out == []
    values = {key: one["values"] for key, one in content["parameters"].items()}
    assert values == {
        "seed": [0, 2, 4],
        "overwrite": [True, False],
        # The agent writes str(value): None would be a word to Hydra.
        "trainer.gradient_clip_val": ["null", 0.5],
        "weights": ["'a b.safetensors'", "'1'"],
        "ckpt_path": ["auto", "last"],
    }
    assert content["command"][3:5] == ["--config-dir", str(folder.resolve())]
    words = agent_words(content, {key: one[0] for key, one in values.items()})
    config = compose("train", words[5:])
    assert (config.seed, config.overwrite, config.weights) == (0, True, "a b.safetensors")
    assert config.trainer.gradient_clip_val is None


def test_a_search():
    content, _ = translate(
        "lr",
        [
            "optimizer.weight_decay=interval(0.0,0.5)",
            "data.batch_size=int(interval(4,16))",
            "augmentation.size=tag(log,int(interval(64,640)))",
            "matcher.low=0.1,0.2",
            "hydra.sweeper.n_trials=7",
        ],
    )
    assert (content["method"], content["run_cap"]) == ("bayes", 7)
    assert content["metric"]["goal"] == "maximize"
    assert content["parameters"] == {
        "optimizer.lr": {"min": 0.0001, "max": 0.03, "distribution": "log_uniform_values"},
        "optimizer.weight_decay": {"min": 0.0, "max": 0.5, "distribution": "uniform"},
        "data.batch_size": {"min": 4, "max": 16, "distribution": "int_uniform"},
        "augmentation.size": {
            "min": 64, "max": 640, "distribution": "q_log_uniform_values", "q": 1
        },
        "matcher.low": {"values": [0.1, 0.2]},
    }  # fmt: skip
    assert "hydra.sweeper.n_trials=7" not in content["command"]


def test_what_is_no_setting_of_a_training_is_said(capsys):
    call("seeds", "seeds=2", "launcher=joblib", "data.root='/a b'")
    captured = capsys.readouterr()
    assert captured.err == (
        "facedet sweep: left out, no setting of a training: seeds=2 launcher=joblib\n"
    )
    content = yaml.safe_load(captured.out)
    assert content["parameters"] == {"seed": {"values": [0, 1]}}
    assert "data.root='/a b'" in content["command"]
    assert not [word for word in content["command"] if "seeds" in word or "launcher" in word]


def test_a_sweep_upon_another(own):
    folder = own(
        "mine",
        "defaults: [extd_width, _self_]\ntrainer: {max_steps: 7}\ncallbacks: {last: "
        "{every_n_train_steps: 3}}\nhydra: {sweeper: {params: {backbone.width: '32,64'}}}\n",
    )
    content, _ = translate("mine", ["trainer.max_steps=9"], folder)
    assert content["parameters"] == {"backbone.width": {"values": [32, 64]}}
    assert content["command"][5:-1] == [
        "logger=wandb", "experiment=extd", "budget=smoke", "trainer.max_steps=9",
        "callbacks.last.every_n_train_steps=3",
    ]  # fmt: skip


def test_the_goal_is_that_by_which_the_sweep_ranks():
    content, _ = translate("extd_width", ["objective=train/loss"])
    assert content["metric"] == {"name": "train/loss", "goal": "minimize"}
    content, _ = translate("extd_width", ["objective=wider/hard"], goal="minimize")
    assert content["metric"] == {"name": "wider/hard", "goal": "minimize"}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["backbone.width=glob(*)"], r"glob\(…\) is not for sweeps"),
        (["backbone.width=32"], "nothing varies"),
        (["backbone.widht=32,64"], "no such key; the nearest is backbone.width"),
        (["hydra/launcher=basic,joblib"], "W&B knows no parameter of the name hydra/launcher"),
        (["seed=range(3,3)"], "an empty grid"),
        (["seed"], "settings are written KEY=VALUE"),
    ],
)
def test_wrong_wishes(words, message):
    with pytest.raises(UsageError, match=message):
        translate("extd_width", words)


def test_no_such_sweep():
    with pytest.raises(UsageError, match="extd_grit: there is no such sweep; the nearest is extd"):
        translate("extd_grit", [])


def test_files_that_cannot_be_told(own):
    added = "defaults: [train, optimizer@extra: adamw, _self_]\n"
    with pytest.raises(UsageError, match="`optimizer@extra: adamw` in its defaults list: wanted"):
        translate("added", [], own("added", params(["seed: 1,2"], added)))
    with pytest.raises(UsageError, match=r"TypeError while evaluating 'choice\(1,null\)'"):
        translate("typed", [], own("typed", params(["seed: choice(1,null)"])))
    # In front of it, what the file says yields to the defaults; on a command line it would not.
    early = "defaults: [_self_, train]\ntrainer: {max_steps: 7}\n"
    with pytest.raises(FacedetError, match="trainer of its jobs cannot be told"):
        translate("early", [], own("early", params(["seed: 1,2"], early)))


@pytest.mark.parametrize("name", ["extd_grid", "extd_width", "lr", "seeds", "shf_mining"])
def test_schema_of_wandb(name):
    """Needs W&B's own `sweeps` package, which pins numpy below 2."""
    checker = pytest.importorskip("sweeps.config", reason="pip install sweeps")
    content, _ = translate(name, [])
    assert checker.schema_violations_from_proposed_config(content) == []
