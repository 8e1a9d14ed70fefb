"""`launcher=WORD`: what each needs, and which combinations cannot work."""

import os
import shutil
from importlib.util import find_spec
from pathlib import Path

from filelock import FileLock, Timeout
from omegaconf import DictConfig

from facedet import DISTRIBUTION
from facedet.errors import FacedetError, UsageError

# By what a launcher's or sweeper's class begins with: the extra that brings it, and its modules.
_NEEDS = {
    "hydra_plugins.hydra_joblib_launcher": ("joblib", ["hydra_plugins.hydra_joblib_launcher"]),
    "hydra_plugins.hydra_submitit_launcher": ("slurm", ["hydra_plugins.hydra_submitit_launcher"]),
    "hydra_plugins.hydra_ray_launcher": ("ray", ["ray", "hydra_plugins.hydra_ray_launcher"]),
    "hydra_plugins.facedet": ("optuna", ["optuna", "sqlalchemy"]),
}

# A worker keeps its GPU for life: CUDA reads CUDA_VISIBLE_DEVICES only once.
_own_gpu: list[FileLock] = []


def check_launcher(word: str, config: DictConfig) -> list[str]:
    """Refuses what cannot work, before anything is started.

    Args:
        word: of `launcher=WORD`.
        config: of the sweep, with Hydra's node.

    Returns:
        The GPUs to hand out, one to a worker; []: the jobs find theirs by themselves.

    Raises:
        UsageError: the plugin, SLURM or the GPUs are missing, or settings exclude each other.
    """
    launcher, trainer = config.hydra.launcher, config.trainer
    for target in (str(launcher._target_), str(config.hydra.sweeper._target_)):
        for prefix, (extra, modules) in _NEEDS.items():
            missing = [name for name in modules if not _is_installed(name)]
            if target.startswith(prefix) and missing:
                package = f"{DISTRIBUTION}[{extra}]"
                raise UsageError(f"{missing[0]} is not installed: pip install '{package}'")
    target, processes = str(launcher._target_), _processes(trainer)
    problem = ""
    if "joblib" in target:
        problem = _joblib_problem(word, launcher, trainer, processes)
    elif "ray" in target:
        problem = _ray_problem(word, launcher, trainer, processes)
    elif target.endswith("SlurmLauncher"):
        problem = _slurm_problem(word, launcher, trainer, processes)
    if problem:
        raise UsageError(problem)
    return _gpus() if word == "joblib_gpus" else []


def take_gpu(folder: Path, gpus: list[str]) -> None:
    """Lets this process see one of the GPUs only; the first call decides for all its jobs.

    Args:
        folder: for the locks, shared by all workers.
        gpus: as `check_launcher` returned them; []: nothing is done.

    Raises:
        FacedetError: all are taken by other workers.
    """
    if not gpus or _own_gpu:
        return
    for name in gpus:
        lock = FileLock(folder / f"gpu-{name.replace('/', '-')}.lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            continue
        _own_gpu.append(lock)
        os.environ["CUDA_VISIBLE_DEVICES"] = name
        return
    raise FacedetError(f"all {len(gpus)} GPUs are taken: hydra.launcher.n_jobs is too high")


def _is_installed(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except ModuleNotFoundError:  # the parent package is missing
        return False


def _processes(trainer: DictConfig) -> int:
    """Processes of a job; 2 stands for some number above 1."""
    devices = trainer.devices
    if isinstance(devices, int):
        return (devices if devices > 0 else 2) * int(trainer.get("num_nodes", 1))
    if isinstance(devices, str) and devices.isdecimal():
        return int(devices)
    return 2 if str(trainer.get("strategy", "auto")).startswith("ddp") else 1


def _joblib_problem(word: str, launcher: DictConfig, trainer: DictConfig, processes: int) -> str:
    given = f"launcher={word} with trainer.accelerator={trainer.accelerator}"
    if processes != 1:
        return (
            f"launcher={word} with trainer.devices={trainer.devices}: several jobs of several "
            "processes each; use trainer.devices=1, or launcher=serial"
        )
    if word == "joblib_gpus":
        if trainer.accelerator == "cpu" or not _gpus():
            return f"{given}: there is no GPU to hand out; launcher=joblib runs on CPU cores"
    elif launcher.n_jobs != 1 and _takes_gpu(trainer):
        return (
            f"{given}: all jobs would share the first GPU; launcher=joblib_gpus gives each its "
            "own, trainer=cpu uses none"
        )
    return ""


def _ray_problem(word: str, launcher: DictConfig, trainer: DictConfig, processes: int) -> str:
    if processes != 1:
        return (
            f"launcher={word} with trainer.devices={trainer.devices}: Ray's workers start no "
            "processes of their own; use trainer.devices=1, or launcher=serial"
        )
    # What a job then sees, all GPUs or none, depends on Ray's version.
    if not launcher.ray.remote.num_gpus and _takes_gpu(trainer):
        return (
            f"launcher={word} with trainer.accelerator={trainer.accelerator}: "
            "hydra.launcher.ray.remote.num_gpus=1 gives each job its own GPU, trainer=cpu uses none"
        )
    return ""


def _slurm_problem(word: str, launcher: DictConfig, trainer: DictConfig, processes: int) -> str:
    if shutil.which("sbatch") is None:
        return (
            f"launcher={word}: there is no sbatch here; start the sweep on a machine that submits "
            "to SLURM, or use launcher=submitit_local"
        )
    tasks = int(launcher.tasks_per_node) * int(launcher.nodes)
    if isinstance(trainer.devices, int) and processes != tasks:
        return (
            f"trainer.devices={trainer.devices} on {trainer.get('num_nodes', 1)} nodes with "
            f"hydra.launcher.tasks_per_node={launcher.tasks_per_node} and nodes={launcher.nodes}: "
            "under SLURM each process is a task"
        )
    return ""


def _takes_gpu(trainer: DictConfig) -> bool:
    """Whether a job takes the first GPU it sees; on other machines than this there may be more."""
    return trainer.accelerator in ("gpu", "cuda") or (
        trainer.accelerator == "auto" and bool(_gpus())
    )


def _gpus() -> list[str]:
    """Names of the GPUs that this process may use, as CUDA_VISIBLE_DEVICES has them."""
    import torch

    shown = os.environ.get("CUDA_VISIBLE_DEVICES")
    if shown is not None:
        return [name for name in shown.split(",") if name.strip()]
    return [str(index) for index in range(torch.cuda.device_count())]
