"""Launchers: what is refused before anything starts, and real ones where they are installed."""

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
from reference.small_training import SMALL_TRAINING, TINY_NET

TINY = [*SMALL_TRAINING, *TINY_NET, "data=wider", "trainer.max_steps=1",
        "trainer.val_check_interval=1", "seeds=2"]  # fmt: skip


@pytest.fixture
def everything_installed(monkeypatch):
    monkeypatch.setattr(sweep_launchers, "find_spec", lambda name: object())


def config_of(word, **trainer):
    """The part of a sweep's config that is read."""
    launcher = {"_target_": f"hydra_plugins.hydra_{word}_launcher.X", "n_jobs": 2}
    launcher["ray"] = {"remote": {"num_gpus": 0}}
    sweeper = {"_target_": "hydra._internal.core_plugins.basic_sweeper.BasicSweeper"}
    parts = {"devices": 1, "accelerator": "cpu"} | trainer
    return OmegaConf.create({"hydra": {"launcher": launcher, "sweeper": sweeper}, "trainer": parts})


@pytest.mark.parametrize(
    ("word", "gpus", "trainer", "said"),
    [
        ("joblib", "", {"devices": 2}, "=joblib trainer.devices=2 .* use trainer.devices=1"),
        ("ray", "", {"devices": 4, "strategy": "ddp"}, "launcher=ray trainer.devices=4 "),
        ("ray", "", {"devices": "auto"}, "use trainer.devices=1, or launcher=serial"),
        ("joblib_gpus", "4", {}, "trainer.accelerator=cpu: no GPU to hand out"),
        ("joblib_gpus", "", {"accelerator": "gpu"}, "no GPU to hand out"),
        ("joblib", "", {"accelerator": "gpu"}, "launcher=joblib_gpus gives each its own"),
        ("joblib", "4,7", {"accelerator": "auto"}, "launcher=joblib_gpus gives each its own"),
        ("ray", "", {"accelerator": "gpu"}, "hydra.launcher.ray.remote.num_gpus=1 gives each"),
        ("ray", "4,7", {"accelerator": "auto"}, "trainer=cpu uses none"),
    ],
)
@pytest.mark.usefixtures("everything_installed")
def test_what_cannot_work(monkeypatch, word, gpus, trainer, said):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", gpus)
    with pytest.raises(UsageError, match=said):
        check_launcher(word, config_of(word, **trainer))


@pytest.mark.usefixtures("everything_installed")
def test_what_works(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,7")
    assert check_launcher("serial", config_of("x", devices=2, strategy="ddp")) == []
    assert check_launcher("joblib", config_of("joblib")) == []
    assert check_launcher("submitit_slurm", config_of("submitit", devices=4)) == []
    assert check_launcher("joblib_gpus", config_of("joblib", accelerator="gpu")) == ["4", "7"]
    for word in ("joblib", "ray"):
        config = config_of(word, accelerator="auto")
        config.hydra.launcher.n_jobs = config.hydra.launcher.ray.remote.num_gpus = 1
        assert check_launcher(word, config) == []
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
        assert check_launcher(word, config_of(word, accelerator="auto")) == []


def test_a_missing_plugin_names_its_extra(monkeypatch):
    monkeypatch.setattr(sweep_launchers, "find_spec", lambda name: None)
    for word, extra in {"joblib": "joblib", "submitit": "slurm", "ray": "ray"}.items():
        said = rf"is not installed: pip install '{DISTRIBUTION}\[{extra}\]'"
        with pytest.raises(UsageError, match=said):
            check_launcher(word, config_of(word))


def test_one_word_chooses():
    launchers = {"joblib_gpus": "Joblib", "ray": "Ray", "submitit_local": "Local"}
    for word, name in launchers.items():
        sweep = read_sweep("seeds", [f"launcher={word}"])
        assert sweep.config.hydra.launcher._target_.endswith(f".{name}Launcher")


def test_what_slurm_would_get(tmp_path, monkeypatch):
    submitit = pytest.importorskip("submitit", reason="facedet[slurm] is not installed")
    module = pytest.importorskip("hydra_plugins.hydra_submitit_launcher.submitit_launcher")
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
