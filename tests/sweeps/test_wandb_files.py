"""The W&B sweeps in sweeps/wandb: their agents run what `facedet sweep` runs."""

from itertools import product

import pytest
import yaml

from facedet.config import SWEEPS_DIR, compose
from facedet.sweeps.plan import job_hash, planned_jobs, read_sweep

FILES = sorted((SWEEPS_DIR / "wandb").glob("*.yaml"))


def agent_words(content, values):
    """The words after `facedet train` as W&B's own agent makes them of a command and values."""
    utils = pytest.importorskip("wandb.sdk.launch.sweeps.utils")
    args = {key: {"value": value} for key, value in values.items()}
    made = utils.create_sweep_command_args({"args": args})
    made |= {"program": [content["program"]], "env": ["/usr/bin/env"]}
    words = []
    for word in utils.create_sweep_command(list(content["command"])):
        words += made[word[2:-1]] if word.startswith("${") else [word]
    assert words[:3] == ["/usr/bin/env", "facedet", "train"]
    return words[3:]


def test_the_grid_is_that_of_the_sweep():
    content = yaml.safe_load((SWEEPS_DIR / "wandb" / "extd_grid.yaml").read_text())
    axes = {key: one["values"] for key, one in content["parameters"].items()}
    cells = [dict(zip(axes, values, strict=True)) for values in product(*axes.values())]
    jobs = {job.hash for job in planned_jobs(read_sweep("extd_grid", []))}
    assert len(cells) == len(jobs) == 18
    found = {job_hash(compose("train", agent_words(content, cells[number]))) for number in (0, 17)}
    assert len(found & jobs) == 2


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_file_names_keys_of_a_training(path):
    content = yaml.safe_load(path.read_text())
    first = {
        key: one["values"][0] if "values" in one else one["min"]
        for key, one in content["parameters"].items()
    }
    config = compose("train", agent_words(content, first))
    assert config.objective == content["metric"]["name"]
    assert content["metric"]["goal"] == "maximize"
    assert (SWEEPS_DIR / path.name).is_file()
