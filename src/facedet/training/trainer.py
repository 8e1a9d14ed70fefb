"""The Lightning trainer of a config: its batches dealt out, and the precision that suits."""

import logging
from typing import Any

from omegaconf import DictConfig

from facedet.config import build
from facedet.errors import UsageError
from facedet.training.objective import mode_of

log = logging.getLogger(__name__)


def build_trainer(config: DictConfig, callbacks: list) -> Any:  # noqa: ANN401
    """The Lightning trainer of a config.

    Raises:
        UsageError: the settings do not go together.
    """
    if config.trainer.sync_batchnorm and not uses_gpu(config.trainer):
        raise UsageError(
            "trainer.sync_batchnorm=true: normalising over all processes works on GPUs only"
        )
    for key in ("val_check_interval", "accumulate_grad_batches"):
        if isinstance(value := config.trainer[key], int) and value < 1:
            raise UsageError(f"trainer.{key}={value}: expected a whole number, at least 1")
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


def share_total_batch(config: DictConfig) -> None:
    """Sets the batch of a process and the batches to accumulate so that they make the total.

    `data.batch_size` is what a process holds at the most; where the total leaves it fewer images,
    it holds those. With `lr_batch_size` the learning rate is scaled to the total, in proportion.
    Without a total all stays as it is. The config is changed in place.

    Raises:
        UsageError: the total does not divide; says what would.
    """
    total, data, trainer = config.get("total_batch_size"), config.data, config.trainer
    if total is None:
        return
    world = num_processes(trainer)
    if total < 1 or total % world:
        raise UsageError(
            f"total_batch_size={total}: does not divide into equal parts for {world} processes "
            f"(trainer.devices x trainer.num_nodes); {_divisors(total)} processes would do"
        )
    share = total // world
    size = min(data.batch_size, share)
    if size < 1 or share % size:
        raise UsageError(
            f"total_batch_size={total}: the {share} images of each of {world} processes do not "
            f"divide into batches of data.batch_size={data.batch_size}; {_divisors(share)} would do"
        )
    accumulated = share // size
    if trainer.accumulate_grad_batches not in (1, accumulated):
        raise UsageError(
            f"trainer.accumulate_grad_batches={trainer.accumulate_grad_batches}: "
            f"total_batch_size={total} in {world} processes of data.batch_size={size} makes it "
            f"{accumulated}; leave it out, or set total_batch_size=null"
        )
    data.batch_size, trainer.accumulate_grad_batches = size, accumulated
    log.info(
        "an update has %d images: processes %d, batch %d, accumulated %d",
        total, world, size, accumulated,
    )  # fmt: skip
    if config.lr_batch_size is not None:
        config.optimizer.lr *= total / config.lr_batch_size
        # A further process composes from this config: it must not scale again.
        config.lr_batch_size = total


def num_processes(trainer: DictConfig) -> int:
    """Training processes of a trainer's config, over all machines."""
    devices = trainer.devices
    if devices in ("auto", -1, "-1"):
        import torch

        own = torch.cuda.device_count() if uses_gpu(trainer) else 1
    elif str(devices).isdecimal():
        own = int(devices)
    else:  # [0, 1] or "0,1": which devices
        own = len(devices.split(",") if isinstance(devices, str) else devices)
    return own * int(trainer.num_nodes)


def _divisors(number: int) -> str:
    return " or ".join(str(one) for one in range(1, number + 1) if number % one == 0) or "none"
