"""Launchers: what is refused before anything starts, and real ones where they are installed."""

from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf

from facedet import DISTRIBUTION
from facedet.cli import main
from facedet.errors import UsageError
from facedet.sweeps import launchers as sweep_launchers
from facedet.sweeps.jobs import read_object
from facedet.sweeps.launchers import check_launcher
from facedet.sweeps.plan import read_sweep

TINY = ["preset=extd_ssd_32_relu", "data=wider", "augmentation.size=64", "data.batch_size=2",
        "trainer=cpu", "trainer.num_sanity_val_steps=0", "trainer.limit_val_batches=1",
        "trainer.max_steps=1", "trainer.val_check_interval=1", "seeds=2"]  # fmt: skip


@pytest.fixture
def everything_installed(monkeypatch):
    monkeypatch.setattr(sweep_launchers, "find_spec", lambda name: object())
    monkeypatch.setattr("shutil.which", lambda name: f"/bin/{name}")


def config_of(target, **trainer):
    """The part of a sweep's config that is looked at."""
    launcher = {"_target_": target, "n_jobs": 2, "tasks_per_node": 1, "nodes": 1}
    launcher["ray"] = {"remote": {"num_gpus": 0}}
    sweeper = {"_target_": "hydra._internal.core_plugins.basic_sweeper.BasicSweeper"}
    parts = {"devices": 1, "accelerator": "cpu", "strategy": "auto"} | trainer
    return OmegaConf.create({"hydra": {"launcher": launcher, "sweeper": sweeper}, "trainer": parts})


JOBLIB = "hydra_plugins.hydra_joblib_launcher.joblib_launcher.JoblibLauncher"
SLURM = "hydra_plugins.hydra_submitit_launcher.submitit_launcher.SlurmLauncher"
RAY = "hydra_plugins.hydra_ray_launcher.ray_launcher.RayLauncher"
SERIAL = "hydra._internal.core_plugins.basic_launcher.BasicLauncher"


@pytest.mark.parametrize(
    ("word", "target", "trainer", "said"),
    [
        ("joblib", JOBLIB, {"devices": 2}, "launcher=joblib with trainer.devices=2: several jobs"),
        ("joblib", JOBLIB, {"accelerator": "gpu"}, "launcher=joblib_gpus gives each its own"),
        ("joblib_gpus", JOBLIB, {}, "trainer.accelerator=cpu: there is no GPU to hand out"),
        ("ray", RAY, {"devices": 4, "strategy": "ddp"}, "launcher=ray with trainer.devices=4"),
        ("ray", RAY, {"devices": "auto", "strategy": "ddp"}, "use trainer.devices=1"),
        ("ray", RAY, {"accelerator": "gpu"}, "hydra.launcher.ray.remote.num_gpus=1 gives each"),
        ("submitit_slurm", SLURM, {"devices": 4}, "under SLURM each process is a task"),
    ],
)
@pytest.mark.usefixtures("everything_installed")
def test_what_cannot_work(word, target, trainer, said):
    with pytest.raises(UsageError) as caught:
        check_launcher(word, config_of(target, **trainer))
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.usefixtures("everything_installed")
def test_what_works(monkeypatch):
    assert check_launcher("serial", config_of(SERIAL, devices=2, strategy="ddp")) == []
    assert check_launcher("joblib", config_of(JOBLIB)) == []
    assert check_launcher("submitit_slurm", config_of(SLURM)) == []
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,7")
    assert check_launcher("joblib_gpus", config_of(JOBLIB, accelerator="gpu")) == ["4", "7"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    with pytest.raises(UsageError, match="there is no GPU to hand out"):
        check_launcher("joblib_gpus", config_of(JOBLIB, accelerator="gpu"))


@pytest.mark.usefixtures("everything_installed")
@pytest.mark.parametrize(("word", "target"), [("joblib", JOBLIB), ("ray", RAY)])
def test_jobs_that_would_share_a_gpu(monkeypatch, word, target):
    config = config_of(target, accelerator="auto")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,7")
    with pytest.raises(UsageError, match="with trainer.accelerator=auto: .* trainer=cpu uses none"):
        check_launcher(word, config)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert check_launcher(word, config) == []
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,7")
    config.hydra.launcher.n_jobs = config.hydra.launcher.ray.remote.num_gpus = 1
    assert check_launcher(word, config) == []


@pytest.mark.parametrize(("target", "extra"), [(JOBLIB, "joblib"), (SLURM, "slurm"), (RAY, "ray")])
def test_a_missing_plugin_names_its_extra(monkeypatch, target, extra):
    monkeypatch.setattr(sweep_launchers, "find_spec", lambda name: None)
    with pytest.raises(
        UsageError, match=rf"is not installed: pip install '{DISTRIBUTION}\[{extra}\]'"
    ):
        check_launcher(extra, config_of(target))


def test_without_slurm(monkeypatch):
    monkeypatch.setattr(sweep_launchers, "find_spec", lambda name: object())
    monkeypatch.setattr("shutil.which", lambda name: None)
    with pytest.raises(UsageError, match="launcher=submitit_slurm: there is no sbatch here"):
        check_launcher("submitit_slurm", config_of(SLURM))


@pytest.mark.parametrize(
    ("word", "name"),
    [("serial", "BasicLauncher"), ("joblib", "JoblibLauncher"), ("joblib_gpus", "JoblibLauncher"),
     ("submitit_local", "LocalLauncher"), ("submitit_slurm", "SlurmLauncher"),
     ("ray", "RayLauncher")],
)  # fmt: skip
def test_one_word_chooses(word, name):
    sweep = read_sweep("seeds", [f"launcher={word}"])
    assert sweep.config.hydra.launcher._target_.endswith(f".{name}")
    assert sweep.choice("launcher", "") == word


def test_what_slurm_would_get(tmp_path, monkeypatch):
    submitit = pytest.importorskip("submitit", reason="facedet[slurm] is not installed")
    module = pytest.importorskip(
        "hydra_plugins.hydra_submitit_launcher.submitit_launcher",
        reason="facedet[slurm] is missing",
    )
    sent = []
    monkeypatch.setattr("shutil.which", lambda name: f"/bin/{name}")
    monkeypatch.setattr(
        submitit.AutoExecutor, "map_array", lambda self, *_: sent.append(self) or []
    )
    words = ["launcher=submitit_slurm", "hydra.launcher.partition=gpu"]
    words.append("+hydra.launcher.additional_parameters.account=faces")
    config = read_sweep("seeds", [*words, f"hydra.sweep.dir={tmp_path}"]).config
    given = {key: value for key, value in config.hydra.launcher.items() if key != "_target_"}
    launcher = module.SlurmLauncher(**given)
    launcher.setup(hydra_context=None, task_function=print, config=config)
    launcher.launch([["seed=0"], ["seed=1"]], 0)
    executor = sent[0]._executor
    executor.parameters["map_count"] = 18
    lines = executor._make_submission_file_text("run", "abc").splitlines()
    for line in (
        "--partition=gpu", "--account=faces", "--array=0-17%16", "--cpus-per-task=4", "--nodes=1",
        "--ntasks-per-node=1", "--time=1440", "--signal=USR2@120", "--gpus-per-node=1",
        "--job-name=seeds",
    ):  # fmt: skip
        assert f"#SBATCH {line}" in lines
    # When its time is up a job is queued again, and resumes.
    assert executor.max_num_timeout == 10


def sweep_of_two(wider, folder, *words):
    """The records of two jobs, which have finished."""
    code = main(["sweep", "seeds", *TINY, f"data.root={wider}", "--dir", str(folder), *words])
    jobs = list(folder.glob("jobs/*"))
    assert code == 0, [(job / "error.txt").read_text() for job in jobs]
    return [read_object(job / "job.json") for job in jobs]


@pytest.mark.slow
def test_joblib_with_two_workers(wider, tmp_path):
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher", reason="facedet[joblib] is missing")
    # The workers start loading processes of their own.
    records = sweep_of_two(wider, tmp_path / "sweep", "launcher=joblib", "data.num_workers=1")
    assert len({one["by"] for one in records}) == 2


@pytest.mark.slow
def test_submitit_on_this_machine(wider, tmp_path):
    pytest.importorskip("hydra_plugins.hydra_submitit_launcher", reason="facedet[slurm] is missing")
    records = sweep_of_two(wider, tmp_path / "sweep", "launcher=submitit_local")
    assert len({one["by"] for one in records}) == 2
    assert list((tmp_path / "sweep" / ".hydra" / "submitit").iterdir())


def train_nothing(config):
    """Leaves weights and returns the seed."""
    (Path(config.paths.output) / "weights.safetensors").touch()
    return float(config.seed)


@pytest.mark.slow
def test_submitit_in_this_process(wider, tmp_path, monkeypatch):
    module = pytest.importorskip(
        "hydra_plugins.hydra_submitit_launcher.submitit_launcher",
        reason="facedet[slurm] is missing",
    )
    monkeypatch.setattr(module.LocalLauncher, "_EXECUTOR", "debug")
    monkeypatch.setattr("facedet.training.fit.train", train_nothing)
    records = sweep_of_two(wider, tmp_path / "sweep", "launcher=submitit_local")
    assert sorted(one["objective"] for one in records) == [0.0, 1.0]


@pytest.mark.slow
def test_ray_started_for_the_sweep(wider, tmp_path):
    pytest.importorskip("hydra_plugins.hydra_ray_launcher", reason="facedet[ray] is not installed")
    ray = pytest.importorskip("ray", reason="facedet[ray] is not installed")
    try:
        sweep_of_two(
            wider, tmp_path / "sweep", "launcher=ray", "hydra.launcher.ray.init.num_cpus=1"
        )
    finally:
        ray.shutdown()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="this machine has no GPU")
def test_a_job_per_gpu(wider, tmp_path):
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher", reason="facedet[joblib] is missing")
    sweep_of_two(wider, tmp_path / "sweep", "launcher=joblib_gpus", "trainer=gpu")
