"""What a training will take, from one measured step: memory and time, before its first step.

The step is made on a copy of the network with two small crops, and scaled: feature maps, their
gradients and the time of a step, a teacher's part included, grow with the number of pixels.
"""

import copy
import logging
import math
import os
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks

from facedet.callbacks.distillation import Distillation
from facedet.errors import UsageError
from facedet.structures import Target

log = logging.getLogger(__name__)

GB = 1e9
_PROBE_SIDE = 320  # px, of the crops in the measured step at most
_PROBE_CROPS = 2
# Next to what is saved for the backward pass a step holds the gradients of its largest maps, the
# buffers of its kernels and, in bfloat16, casts of them.
_OVERHEAD = 1.35
_WORKER_BYTES = 0.1 * GB  # a loader's process, whose libraries are shared with this one


class Estimate(NamedTuple):
    """What a training takes on this machine."""

    fixed: float  # bytes, whatever the batch; the process as it is included
    per_crop: float  # bytes of each crop of a batch
    available: float  # bytes for each process, what it has already included
    batch: int  # crops per process and step
    height: int  # px of the largest crop drawn
    width: int
    seconds: float  # of a training, its validations left out

    @property
    def needed(self) -> float:
        """Bytes of a process."""
        return self.fixed + self.batch * self.per_crop

    def fitting(self) -> tuple[int, int]:
        """The number of crops that fits, and the side of square crops of which the batch does.

        The side, px, is a multiple of 32; both are 0 for none.
        """
        crops = max(0.0, self.available - self.fixed) / self.per_crop
        side = math.sqrt(self.height * self.width * crops / self.batch)
        return int(crops), int(side) // 32 * 32


def check_fit(config: Any, trainer: Any, module: Any, datamodule: Any, done: int) -> None:  # noqa: ANN401
    """Logs what the training will take after the steps that are `done`.

    Raises:
        UsageError: with `estimate=refuse`, it does not fit into the memory; says what would.
    """
    if config.estimate not in ("refuse", "warn", "off"):
        raise UsageError(f"estimate={config.estimate}: expected refuse, warn or off")
    if config.estimate == "off":
        return
    datamodule.prepare_data()
    datamodule.setup("fit")
    steps = max(0, trainer.max_steps - done)
    found = estimate(trainer, module, datamodule, steps)
    text = f"{found.batch} crops of {found.height} x {found.width} px need about "
    text += f"{found.needed / GB:.1f} GB of memory, {found.available / GB:.1f} GB are available"
    took = f"; {steps:,} steps take about {duration(found.seconds)}" if steps > 0 else ""
    log.info("%s%s; validations come on top", text, took)
    if found.needed <= found.available:
        return
    batch, side = found.fitting()
    fitting = [f"data.batch_size={batch}"] * (batch > 0)
    if "size" in (config.data.get("augmentation") or {}):
        fitting += [f"augmentation.size={side}"] * (side > 0)
    text = f"{text}: {' or '.join(fitting) or 'no batch'} would fit"
    if config.estimate == "refuse":
        raise UsageError(f"{text} (estimate=warn trains all the same)")
    log.warning("%s", text)


def estimate(trainer: Any, module: Any, datamodule: Any, steps: int) -> Estimate:  # noqa: ANN401
    """Measures a step on a copy of the module's network, and scales it; draws no random numbers."""
    images, target, height, width = _probe_batch(datamodule)
    device = trainer.strategy.root_device
    free, taken = free_memory(device)
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        saved, seconds = _measure_step(trainer, module, images.to(device), target, device)
    # As many times the pixels as a crop of the training's own step has.
    scale = height * width / images[:, 0].numel()
    # The weights' gradients and an optimiser's two moments, and the process as it is.
    fixed = 3.0 * sum(p.numel() * p.element_size() for p in module.net.parameters()) + taken
    processes = 1
    if device.type == "cpu":
        fixed += datamodule.num_workers * _WORKER_BYTES
        processes = trainer.num_devices
    batch = datamodule.batch_size
    seconds *= steps * trainer.accumulate_grad_batches * scale * batch
    available, per_crop = (free + taken) / processes, _OVERHEAD * scale * saved
    return Estimate(fixed, per_crop, available, batch, height, width, seconds)


def _probe_batch(datamodule: Any) -> tuple[Tensor, Target, int, int]:  # noqa: ANN401
    """A corner of the largest of a few training crops, twice; its faces; the crop's size."""
    dataset = datamodule.train_dataloader().dataset
    samples = [dataset[entry] for entry in range(min(4, len(dataset)))]
    image, target = max(samples, key=lambda sample: sample[0].shape[-2] * sample[0].shape[-1])
    corner = image[:, :_PROBE_SIDE, :_PROBE_SIDE].expand(_PROBE_CROPS, -1, -1, -1)
    return corner, target, image.shape[-2], image.shape[-1]


def _measure_step(
    trainer: Any,  # noqa: ANN401
    module: Any,  # noqa: ANN401
    images: Tensor,
    target: Target,
    device: torch.device,
) -> tuple[float, float]:
    """Bytes saved for the backward pass of a step, and its seconds once it is warm."""
    net = copy.deepcopy(module.net).to(device).train()
    criterion = copy.deepcopy(module.criterion)
    if isinstance(criterion, nn.Module):
        criterion.to(device)
    moved = target._replace(boxes=target.boxes.to(device), ignore=target.ignore.to(device))
    images = images.contiguous(memory_format=module.memory_format)
    teaching = [one for one in trainer.callbacks if isinstance(one, Distillation)]
    sizes: dict[int, int] = {}  # of the storages that are saved, by address

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        sizes.setdefault(storage.data_ptr(), storage.nbytes())
        return tensor

    seconds = 0.0
    for _ in range(2):
        sizes.clear()
        begun = time.perf_counter()
        for one in teaching:
            one.ask(trainer, module, images)
        with saved_tensors_hooks(pack, lambda one: one), trainer.precision_plugin.forward_context():
            losses = criterion(net(images), [moved] * len(images))
            loss = losses.classification + losses.box
        if loss.requires_grad:
            loss.backward()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        seconds = time.perf_counter() - begun
    return float(sum(sizes.values())), seconds


def free_memory(device: torch.device) -> tuple[float, float]:
    """Bytes that are free on the device, on the CPU within the container's limit, and our own."""
    if device.type == "cuda":
        return float(torch.cuda.mem_get_info(device)[0]), float(torch.cuda.memory_reserved(device))
    taken, free = 0.0, list(_cgroup_free())
    with suppress(OSError):  # where the system does not say so
        pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
        taken = float(pages) * os.sysconf("SC_PAGE_SIZE")
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        fields = dict(line.split(":", 1) for line in lines)
        free.append(float(fields["MemAvailable"].split()[0]) * 1024)
    return min(free, default=math.inf), taken


def _cgroup_free(
    root: Path = Path("/sys/fs/cgroup"), own: Path = Path("/proc/self/cgroup")
) -> Iterator[float]:
    """Bytes that this process's control groups leave it, one number for each that has a limit."""
    for line in own.read_text(encoding="utf-8").splitlines() if own.is_file() else []:
        _, controllers, path = line.split(":", 2)
        top, most, used = root, "memory.max", "memory.current"
        if "memory" in controllers.split(","):  # version 1
            top, most, used = root / "memory", "memory.limit_in_bytes", "memory.usage_in_bytes"
        folder = top / path.strip("/")
        for group in (folder, *folder.parents):
            with suppress(OSError, ValueError):  # no such group, or "max"
                rows = (group / "memory.stat").read_text().splitlines()
                # The file cache can be given back.
                cache = float(dict(map(str.split, rows)).get("inactive_file", 0))
                yield int((group / most).read_text()) - int((group / used).read_text()) + cache


def duration(seconds: float) -> str:
    """A time to about two digits.

    >>> [duration(one) for one in (4, 89, 90, 7200, 864000)]
    ['4 s', '89 s', '2 min', '2.0 h', '10.0 days']
    """
    for unit, length, most in (("s", 1, 90), ("min", 60, 90), ("h", 3600, 48)):
        if seconds < most * length:
            return f"{seconds / length:.{1 if unit == 'h' else 0}f} {unit}"
    return f"{seconds / 86400:.1f} days"
