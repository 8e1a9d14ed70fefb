"""The Lightning trainer of a config, and the precision that suits the machine."""

from typing import Any

from omegaconf import DictConfig

from facedet.config import build
from facedet.errors import UsageError
from facedet.training.objective import mode_of


def build_trainer(config: DictConfig, callbacks: list) -> Any:  # noqa: ANN401
    """The Lightning trainer of a config.

    Raises:
        UsageError: the settings do not go together.
    """
    if config.trainer.sync_batchnorm and not uses_gpu(config.trainer):
        raise UsageError(
            "trainer.sync_batchnorm=true: normalising over all processes works on GPUs only"
        )
    from omegaconf import OmegaConf
    from pytorch_lightning.plugins.environments import SLURMEnvironment

    from facedet.callbacks.checkpoint_io import DurableCheckpointIO

    changes = {"precision": precision(config.trainer)}
    if isinstance(config.trainer.val_check_interval, int):
        # Lightning counts batches.
        accumulated = config.trainer.accumulate_grad_batches
        changes["val_check_interval"] = config.trainer.val_check_interval * accumulated
    settings = OmegaConf.merge(config.trainer, changes)
    logger = build_loggers(config.get("logger"))
    plugins: list[Any] = [DurableCheckpointIO()]
    if SLURMEnvironment.detect():
        # The last checkpoint handles the signals; Lightning's would be of the middle of a step.
        plugins.append(SLURMEnvironment(auto_requeue=False))
    return build(settings, callbacks=callbacks, logger=logger, plugins=plugins)


def build_callbacks(config: DictConfig) -> list:
    """The callbacks of a config; the one that writes the last checkpoint comes last.

    Raises:
        UsageError: a node under `callbacks` does not say what it is.
    """
    from facedet.callbacks.last_checkpoint import LastCheckpoint
    from facedet.callbacks.starting_point import StartingPoint

    for name, node in config.callbacks.items():
        if not isinstance(node, DictConfig) or "_target_" not in node:
            raise UsageError(f"callbacks.{name} has no _target_: callbacks={name} adds one")
    callbacks = list(build(config.callbacks).values())
    if config.weights is not None:
        judged = (config.callbacks.get("best") or {}).get("monitor") or config.objective
        callbacks.append(StartingPoint(judged, mode_of(config, judged)))
    # Its file holds the others' states, that of the best checkpoint too.
    return sorted(callbacks, key=lambda callback: isinstance(callback, LastCheckpoint))


def build_loggers(node: DictConfig | None) -> Any:  # noqa: ANN401
    """The logger or loggers of a config; False for none."""
    if not node:
        return False
    return build(node) if "_target_" in node else list(build(node).values())


def precision(trainer: DictConfig) -> str:
    """The trainer's precision; `auto` is bfloat16 where the machine computes in it."""
    import torch

    if trainer.precision != "auto":
        return trainer.precision
    if uses_gpu(trainer):
        return "bf16-mixed" if torch.cuda.is_bf16_supported() else "32-true"
    capabilities: dict = getattr(torch.cpu, "get_capabilities", dict)()
    quick = capabilities.get("avx512_bf16") or capabilities.get("amx_bf16")
    return "bf16-mixed" if quick else "32-true"


def uses_gpu(trainer: DictConfig) -> bool:
    """Whether the trainer will run on a GPU of this machine."""
    import torch

    return trainer.accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available()
