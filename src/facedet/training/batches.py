"""A recipe's total batch, dealt out to processes and accumulated batches."""

import logging

from omegaconf import DictConfig

from facedet.errors import UsageError
from facedet.training.trainer import uses_gpu

log = logging.getLogger(__name__)


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
