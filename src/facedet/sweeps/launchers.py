"""`launcher=WORD`: what each needs, and which combinations cannot work."""

import os
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

from filelock import FileLock, Timeout
from omegaconf import DictConfig

from facedet import DISTRIBUTION
from facedet.errors import FacedetError, UsageError

# By what a launcher's or sweeper's class begins with: a module that it needs, and the extra.
_NEEDS = {
    "hydra_plugins.hydra_joblib_launcher": ("hydra_plugins.hydra_joblib_launcher", "joblib"),
    "hydra_plugins.hydra_submitit_launcher": ("hydra_plugins.hydra_submitit_launcher", "slurm"),
    "hydra_plugins.hydra_ray_launcher": ("hydra_plugins.hydra_ray_launcher", "ray"),
    "hydra_plugins.facedet": ("optuna", "optuna"),
}

# A worker keeps its GPU for life: CUDA reads CUDA_VISIBLE_DEVICES only once.
_own_gpu: list[FileLock] = []


def check_launcher(word: str, config: DictConfig) -> list[str]:
    """Refuses what cannot work with `launcher=WORD`, before anything is started.

    Returns:
        The GPUs to hand out, one to a worker; []: the jobs find theirs by themselves.

    Raises:
        UsageError: the plugin or the GPUs are missing, or settings exclude each other.
    """
    launcher, trainer = config.hydra.launcher, config.trainer
    for target in (str(launcher._target_), str(config.hydra.sweeper._target_)):
        for prefix, (module, extra) in _NEEDS.items():
            if target.startswith(prefix) and not _is_installed(module):
                raise UsageError(
                    f"{module} is not installed: pip install '{DISTRIBUTION}[{extra}]'"
                )
    if word not in ("joblib", "joblib_gpus", "ray"):
        return []
    gpus = _gpus()
    is_cpu = trainer.accelerator == "cpu" or (trainer.accelerator == "auto" and not gpus)
    problem = ""
    if str(trainer.devices) != "1":
        problem = "a worker's job is one process; use trainer.devices=1, or launcher=serial"
    elif word == "joblib_gpus" and (is_cpu or not gpus):
        problem = "no GPU to hand out; launcher=joblib runs on CPU cores"
    elif word == "joblib" and launcher.n_jobs != 1 and not is_cpu:
        problem = "the jobs would share a GPU; launcher=joblib_gpus gives each its own"
    # What a job then sees, all GPUs or none, depends on Ray's version.
    elif word == "ray" and not launcher.ray.remote.num_gpus and not is_cpu:
        problem = "hydra.launcher.ray.remote.num_gpus=1 gives each job a GPU, trainer=cpu uses none"
    if problem:
        given = f"launcher={word} trainer.devices={trainer.devices}"
        raise UsageError(f"{given} trainer.accelerator={trainer.accelerator}: {problem}")
    return gpus if word == "joblib_gpus" else []


def take_gpu(folder: Path, gpus: list[str]) -> None:
    """Lets this process see one of the GPUs only; the first call decides for all its jobs.

    The locks are in `folder`, which all workers share. Without `gpus` nothing is done; raises
    `FacedetError` where all are taken by other workers.
    """
    if not gpus or _own_gpu:
        return
    for name in gpus:
        lock = FileLock(folder / f"gpu-{name.replace('/', '-')}.lock")
        with suppress(Timeout):
            lock.acquire(timeout=0)
            _own_gpu.append(lock)
            os.environ["CUDA_VISIBLE_DEVICES"] = name
            return
    raise FacedetError(f"all {len(gpus)} GPUs are taken: hydra.launcher.n_jobs is too high")


def _is_installed(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except ModuleNotFoundError:  # the parent package is missing
        return False


def _gpus() -> list[str]:
    """Names of the GPUs that this process may use, as CUDA_VISIBLE_DEVICES has them."""
    import torch

    shown = os.environ.get("CUDA_VISIBLE_DEVICES")
    if shown is not None:
        return [name for name in shown.split(",") if name.strip()]
    return [str(index) for index in range(torch.cuda.device_count())]
