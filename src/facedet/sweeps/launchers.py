"""`launcher=WORD`: what each needs, and which combinations cannot work."""

import os
import shutil
from importlib.util import find_spec
from typing import Any

from filelock import FileLock, Timeout
from omegaconf import DictConfig

from facedet.errors import FacedetError, UsageError
from facedet.sweeps.folder import SweepFolder

# By the first name of the launcher's class: the extra that brings it.
_EXTRAS = {
    "hydra_plugins.hydra_joblib_launcher": "joblib",
    "hydra_plugins.hydra_submitit_launcher": "slurm",
    "hydra_plugins.hydra_ray_launcher": "ray",
    "hydra_plugins.facedet": "optuna",
}
_NEEDED = {"optuna": ("optuna", "sqlalchemy"), "ray": ("ray", "hydra_plugins.hydra_ray_launcher")}

# A worker keeps its GPU for life: CUDA reads CUDA_VISIBLE_DEVICES only once.
_own_gpu: list[FileLock] = []


def check_launcher(word: str, config: DictConfig) -> list[str]:
    """Refuses what cannot work, before anything is started.

    Args:
        word: of `launcher=WORD`.
        config: of the sweep, with Hydra's node.

    Returns:
        The GPUs to hand out, one to a worker; none: the jobs find theirs by themselves.

    Raises:
        UsageError: the plugin, SLURM or the GPUs are missing, or settings exclude each other.
    """
    for node in (config.hydra.launcher, config.hydra.sweeper):
        _check_plugin(str(node._target_))
    launcher, trainer = config.hydra.launcher, config.trainer
    target = str(launcher._target_)
    processes = _processes(trainer)
    if "joblib" in target:
        _check_joblib(word, launcher, trainer, processes)
    if "ray" in target:
        _check_ray(word, launcher, trainer, processes)
    if target.endswith("SlurmLauncher"):
        _check_slurm(word, launcher, trainer, processes)
    return _gpus() if word == "joblib_gpus" else []


def _check_plugin(target: str) -> None:
    for prefix, extra in _EXTRAS.items():
        needed = _NEEDED.get(extra, (prefix,))
        if target.startswith(prefix) and not all(map(_is_installed, needed)):
            raise UsageError(
                f"{needed[0]} is not installed: pip install 'facedet[{extra}]' brings it"
            )


def _is_installed(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except ModuleNotFoundError:  # the parent package is not there
        return False


def _processes(trainer: DictConfig) -> int:
    """Processes of a job; 2 stands for some number above 1."""
    devices = trainer.devices
    if isinstance(devices, int):
        return (devices if devices > 0 else 2) * int(trainer.get("num_nodes", 1))
    if isinstance(devices, str) and devices.isdecimal():
        return int(devices)
    return 2 if str(trainer.get("strategy", "auto")).startswith("ddp") else 1


def _check_joblib(word: str, launcher: DictConfig, trainer: DictConfig, processes: int) -> None:
    if processes != 1:
        raise UsageError(
            f"launcher={word} with trainer.devices={trainer.devices}: several jobs of several "
            "processes each; take trainer.devices=1, or launcher=serial"
        )
    if word == "joblib_gpus":
        if trainer.accelerator == "cpu" or not _gpus():
            raise UsageError(
                f"launcher={word}: there is no GPU to hand out (trainer.accelerator="
                f"{trainer.accelerator}); launcher=joblib runs on CPU cores"
            )
    elif launcher.n_jobs != 1 and _takes_gpu(trainer):
        raise UsageError(
            f"launcher={word} with trainer.accelerator={trainer.accelerator}: all jobs would share "
            "the first GPU; launcher=joblib_gpus hands each its own, trainer=cpu does without"
        )


def _check_ray(word: str, launcher: DictConfig, trainer: DictConfig, processes: int) -> None:
    if processes != 1:
        raise UsageError(
            f"launcher={word} with trainer.devices={trainer.devices}: Ray's workers start no "
            "processes of their own; take trainer.devices=1, or launcher=serial"
        )
    # What a job that is given none then sees, all GPUs or none, depends on Ray's version.
    if not launcher.ray.remote.num_gpus and _takes_gpu(trainer):
        raise UsageError(
            f"launcher={word} with trainer.accelerator={trainer.accelerator}: "
            "hydra.launcher.ray.remote.num_gpus=1 hands each job a GPU of its own; trainer=cpu "
            "does without"
        )


def _check_slurm(word: str, launcher: DictConfig, trainer: DictConfig, processes: int) -> None:
    if shutil.which("sbatch") is None:
        raise UsageError(
            f"launcher={word}: there is no sbatch here; start the sweep on a machine that submits "
            "to SLURM, or take launcher=submitit_local"
        )
    tasks = int(launcher.tasks_per_node) * int(launcher.nodes)
    if processes != tasks and isinstance(trainer.devices, int):
        raise UsageError(
            f"trainer.devices={trainer.devices} on {trainer.get('num_nodes', 1)} nodes with "
            f"hydra.launcher.tasks_per_node={launcher.tasks_per_node} and nodes={launcher.nodes}: "
            "under SLURM each process is a task"
        )


def _takes_gpu(trainer: DictConfig) -> bool:
    """Whether a job takes the first GPU it sees; elsewhere than here there may be others."""
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


def take_gpu(folder: SweepFolder, plan: dict[str, Any]) -> None:
    """Lets this process see one GPU of the plan's only; the first call decides for all jobs.

    Raises:
        FacedetError: all are taken by other workers.
    """
    gpus = plan["gpus"]
    if not gpus or _own_gpu:
        return
    for name in gpus:
        lock = FileLock(folder.hydra / f"gpu-{name.replace('/', '-')}.lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            continue
        _own_gpu.append(lock)
        os.environ["CUDA_VISIBLE_DEVICES"] = name
        return
    raise FacedetError(f"all {len(gpus)} GPUs are taken: hydra.launcher.n_jobs is too high")
