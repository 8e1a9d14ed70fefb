"""Sweeps to jobs: the hash that a job is known by, and what is wrong with a grid."""

import copy

import pytest
from omegaconf import OmegaConf

from facedet.config import SWEEPS_DIR, compose
from facedet.errors import UsageError
from facedet.sweeps.plan import find_sweep, job_hash, planned_jobs, read_sweep, without_places

TRAININGS = sorted(
    file.stem for file in SWEEPS_DIR.glob("*.yaml") if "[train" in file.read_text(encoding="utf-8")
)
OWN = """
defaults: [train, override budget: smoke, _self_]
hydra:
  mode: MULTIRUN
  sweeper: {params: {seed: "1,2"}}
"""


@pytest.fixture
def own(tmp_path):
    """A user's folder with one sweep of two seeds."""
    folder = tmp_path / "own ü, (1)"
    folder.mkdir()
    (folder / "mine.yaml").write_text(OWN)
    return folder


@pytest.fixture(scope="module")
def base():
    return compose("train", ["logger=csv"])


def changed(config, **values):
    """The hash with other values; `__` stands for the dot in a key."""
    other = copy.deepcopy(config)
    for key, value in values.items():
        OmegaConf.update(other, key.replace("__", "."), value)
    return job_hash(other)


def test_where_and_how_a_job_runs_is_not_in_its_hash(base):
    assert len(job_hash(base)) == 12
    assert job_hash(base) == changed(
        base, paths__output="/a", paths__cache="/b", logger__name="n", ckpt_path="auto",
        overwrite=True, data__num_workers=7, estimate="warn",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("key", "value"),
    [("seed", 1), ("optimizer__lr", 0.002), ("data__root", "/x"), ("backbone__width", 48)],
)
def test_what_a_job_computes_is(base, key, value):
    assert changed(base, **{key: value}) != job_hash(base)


def test_the_same_by_other_words_is_the_same():
    words = ["preset=extd_fpn", "backbone.width=64", "backbone.activation=relu"]
    assert job_hash(compose("train", ["preset=extd_fpn_64_relu"])) == job_hash(
        compose("train", words)
    )


def test_a_planned_job_is_what_hydra_composes(own):
    # The plan sets values in copies of one composed config; a worker composes each job anew.
    words = ["preset=extd_fpn,extd_ssd", "backbone.width=48", "augmentation.size=64", "seed=3,4",
             "paths.cache=here"]  # fmt: skip
    jobs = planned_jobs(read_sweep("mine", words, own))
    assert len({job.hash for job in jobs}) == 4
    for job in jobs:
        given = [f"{key}={value}" for key, value in job.settings.items()]
        config = read_sweep("mine", [*words[1:3], words[4], *given], own).config
        assert job_hash(config) == job.hash
        assert OmegaConf.to_container(without_places(config), resolve=True) == job.config


def test_jobs_of_an_own_sweep(own):
    words = ["seed=1,2", "optimizer.lr=0.01,0.02", "trainer.max_steps=7"]
    jobs = planned_jobs(read_sweep("mine", words, own))
    assert [job.settings for job in jobs] == [
        {"seed": "1", "optimizer.lr": "0.01"},
        {"seed": "1", "optimizer.lr": "0.02"},
        {"seed": "2", "optimizer.lr": "0.01"},
        {"seed": "2", "optimizer.lr": "0.02"},
    ]
    assert {job.config["trainer"]["max_steps"] for job in jobs} == {7}


def test_a_grid_that_grows_keeps_its_jobs(own):
    few = planned_jobs(read_sweep("mine", [], own))
    many = planned_jobs(read_sweep("mine", ["seed=range(3)"], own))
    assert len(many) == 3
    assert {job.hash for job in few} < {job.hash for job in many}
    # Equal jobs are run once.
    assert [job.settings for job in planned_jobs(read_sweep("mine", ["seed=5,5"], own))] == [
        {"seed": "5"}
    ]


def test_the_number_of_seeds():
    # The number itself is no setting of a job: more seeds are the same ones and others.
    few, more = (planned_jobs(read_sweep("seeds", [f"seeds={n}"])) for n in (2, 3))
    assert [job.hash for job in few] == [job.hash for job in more[:2]]
    assert [job.settings["seed"] for job in more] == ["0", "1", "2"]


def test_own_sweeps_win(own, tmp_path):
    (own / "seeds.yaml").write_text(OWN)
    assert find_sweep("seeds", own) == own.resolve()
    assert find_sweep("lr", own) == SWEEPS_DIR
    with pytest.raises(UsageError, match="no such folder"):
        find_sweep("seeds", tmp_path / "none")


@pytest.mark.parametrize(
    ("name", "words", "said"),
    [
        ("sed", [], "sed: there is no such sweep; the nearest is seeds; there are design, extd"),
        ("shf_pyramid", [], "shf_pyramid trains nothing; it is run by: facedet evaluate -m -cn"),
        ("seeds", ["sead=1,2"], "sead: there is no such key"),
        ("seeds", ["optimizer.lrr=1,2"], "optimizer.lrr: there is no such key"),
        ("seeds", ["seed=range(0)"], "seeds: nothing varies; give KEY=VALUE,VALUE"),
        ("seeds", ["seed=3"], "seeds: nothing varies; give KEY=VALUE,VALUE"),
        ("seeds", ["seed=interval(0,1)"], "seed=range(3) seed=interval(0,1): a grid has KEY=VALUE"),
        ("seeds", ["optimizer.lr=0.1,fast"], "optimizer.lr=fast: "),
        ("seeds", ["trainer.max_steps=ten"], "trainer.max_steps=ten: "),
        ("seeds", ["preset=glob(*)"], "seed=range(3) preset=glob(*): a grid has KEY=VALUE,VALUE"),
        ("seeds", ["data=wider"], "data.root is not given: add data.root=VALUE"),
        ("seeds", ["backbone=vgg17,vgg16"], "backbone=vgg17: there is no such choice"),
        ("lr", ["seedd=interval(1,2)"], "seedd: there is no such key"),
    ],
)
def test_complaints(name, words, said):
    with pytest.raises(UsageError) as caught:
        planned_jobs(read_sweep(name, words))
    assert str(caught.value).startswith(said)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", TRAININGS)
def test_every_sweep_measures_something_by_default(name):
    sweep = read_sweep(name, [])
    assert sweep.choice("budget", "none") == "short"
    assert (sweep.config.trainer.max_steps, sweep.config.backbone_weights) == (500, None)


def test_the_papers_budget_is_the_experiments():
    extd = read_sweep("extd_grid", ["budget=paper", "data.root=/x"]).config
    # EXTD §4: 480,000 steps of 16 crops of 640 px.
    assert (extd.trainer.max_steps, extd.data.batch_size, extd.augmentation.size) == (
        480_000, 16, 640,
    )  # fmt: skip
    shf = read_sweep("shf_ablation", ["budget=paper", "data.root=/x"]).config
    assert (shf.trainer.max_steps, shf.backbone_weights) == (60_000, "imagenet")
    assert list(shf.augmentation.scales) == [400, 800, 1200]


def test_a_variant_is_stronger_than_the_budget():
    budget = read_sweep("design", []).config
    assert budget.callbacks.freeze_norm.from_step == 300
    config = read_sweep("design", ["variant=norm_per_pass"]).config
    assert config.callbacks.freeze_norm.from_step is None


def test_named_weights_bring_their_network():
    words = ["weights=extd-plain-64-s8", "seeds=2"]
    for job in planned_jobs(read_sweep("seeds", words)):
        assert job.config["backbone"]["width"] == 64
        assert job.config["head"]["shared"]
    # Here the grid chooses the network.
    jobs = planned_jobs(read_sweep("seeds", [*words, "preset=extd_plain_32,extd_plain_48"]))
    assert [job.config["backbone"]["width"] for job in jobs] == [32, 48, 32, 48]
