"""What a run is called, by Hydra's word of it."""

from pathlib import Path
from types import SimpleNamespace

import pytest
from hydra.types import RunMode

from facedet.training import COMMAND, description
from facedet.training.description import describe_job

LONG = [f"augmentation.number_{place}=1" for place in range(9)]


@pytest.fixture
def describe(monkeypatch):
    """The job of a typed command with the overrides that Hydra gave it."""

    def run(command, task, mode=RunMode.MULTIRUN):
        choices = {"experiment": None, "preset": "extd_fpn_32_prelu", "data": "crowds"}
        hydra = SimpleNamespace(
            mode=mode, runtime=SimpleNamespace(choices=choices),
            job=SimpleNamespace(config_name="train"),
            overrides=SimpleNamespace(task=task), sweep=SimpleNamespace(dir="outputs/sweep/first"),
        )  # fmt: skip
        monkeypatch.setenv(COMMAND, command)
        found = SimpleNamespace(initialized=lambda: True, get=lambda: hydra)
        monkeypatch.setattr(description, "HydraConfig", found)
        return describe_job(Path("outputs/run"))

    return run


def test_what_varies_stands_first(describe):
    command = f"facedet train -m logger=wandb backbone.activation=relu,prelu {' '.join(LONG)}"
    names = [
        describe(command, ["logger=wandb", f"backbone.activation={one}", *LONG])["name"]
        for one in ("relu", "prelu")
    ]
    assert names[0].startswith(
        "backbone.activation=relu extd_fpn_32_prelu augmentation.number_0=1 "
    )
    assert names[1].startswith("backbone.activation=prelu ")
    assert {len(name) for name in names} == {128}


def test_chosen_parts_vary_too(describe):
    job = describe("facedet sweep s", ["preset=smallhardface", "a.width=1", "b.width=2"])
    assert job == {
        "name": "preset=smallhardface a.width=1 b.width=2 extd_fpn_32_prelu",
        "group": "train first",
        "tags": ["extd_fpn_32_prelu", "crowds"],
        "command": ["facedet", "sweep", "s"],
    }


def test_a_single_run_is_named_by_its_preset_and_nothing_of_the_machine(describe):
    words = ["paths.output=/o", "data.root=/d", "logger.name=x", "ckpt_path=last", "seed=2"]
    job = describe("facedet train " + " ".join(words), words, RunMode.RUN)
    assert (job["name"], job["group"]) == ("extd_fpn_32_prelu seed=2", None)
