"""What a training will take, from one measured step: memory and time, before its first step.

The step is made on a copy of the network with two small crops, and scaled: feature maps, their
gradients and the time of a step grow with the number of pixels.
"""

import copy
import logging
import math
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.nn import functional

from facedet.errors import UsageError
from facedet.structures import Target

log = logging.getLogger(__name__)

GB = 1e9
_PROBE_SIDE = 320  # px, of the crops in the measured step at most
_PROBE_CROPS = 2
# Beside what is saved for the backward pass a step holds the gradients of its largest maps, the
# buffers of its kernels and, in bfloat16, casts of them.
_OVERHEAD = 1.35
_WORKER_BYTES = 0.1 * GB  # a loader's process, whose libraries are shared with this one


class Estimate(NamedTuple):
    """What a training takes on this machine."""

    fixed: float  # bytes, whatever the batch; the process as it is included
    per_crop: float  # bytes of each crop of a batch
    available: float  # bytes, what is free within the container's limit, and the process has
    batch: int  # crops per process and step
    processes: int  # on this machine that share the memory
    height: int  # px of the largest crop drawn
    width: int
    seconds: float  # of a training, its validations left out

    @property
    def needed(self) -> float:
        """Bytes of all processes of this machine."""
        return self.processes * (self.fixed + self.batch * self.per_crop)

    def fitting_batch(self) -> int:
        """The largest number of crops per step that fits, 0 for none."""
        return max(0, int((self.available / self.processes - self.fixed) / self.per_crop))

    def fitting_side(self) -> int:
        """The side of square crops of which the batch fits, px, a multiple of 32; 0 for none."""
        free = max(0.0, self.available / self.processes - self.fixed)
        pixels = self.height * self.width * free / (self.batch * self.per_crop)
        return int(math.sqrt(pixels)) // 32 * 32


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
    steps = trainer.max_steps - done if trainer.max_steps > 0 else 0
    found = estimate(trainer, module, datamodule, steps)
    crops = f"{found.batch} crops of {found.height} x {found.width} px"
    took = f", about {duration(found.seconds)} for {steps:,} steps" if steps > 0 else ""
    log.info(
        "%s need about %.1f GB of memory of %.1f GB available%s; validations come on top",
        crops, found.needed / GB, found.available / GB, took,
    )  # fmt: skip
    if found.needed <= found.available:
        return
    batch, side = found.fitting_batch(), found.fitting_side()
    fitting = [f"data.batch_size={batch}"] * (batch > 0)
    if "size" in (config.data.get("augmentation") or {}):
        fitting += [f"augmentation.size={side}"] * (side > 0)
    text = (
        f"{crops} need about {found.needed / GB:.1f} GB of memory, {found.available / GB:.1f} GB "
        f"are available: {' or '.join(fitting) or 'no batch'} would fit"
    )
    if config.estimate == "refuse":
        raise UsageError(f"{text} (estimate=warn trains all the same)")
    log.warning("%s", text)


def estimate(trainer: Any, module: Any, datamodule: Any, steps: int) -> Estimate:  # noqa: ANN401
    """Measures a step on a copy of the module's network, and scales it; draws no random numbers."""
    images, targets, height, width = _probe_batch(datamodule)
    device = trainer.strategy.root_device
    taken = _taken_memory(device)
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        saved, seconds = _measure_step(trainer, module, images.to(device), targets, device)
    # As many times the pixels as the training's own step has.
    scale = height * width / (images.shape[-2] * images.shape[-1]) / len(targets)
    batch = datamodule.batch_size
    # The weights' gradients and an optimiser's two moments, and the process as it is.
    fixed = 3.0 * sum(p.numel() * p.element_size() for p in module.net.parameters()) + taken
    if device.type == "cpu":
        fixed += datamodule.num_workers * _WORKER_BYTES
    processes = trainer.num_devices if device.type == "cpu" else 1
    time_of_all = steps * trainer.accumulate_grad_batches * seconds * scale * batch
    available = available_memory(device) + taken
    per_crop = _OVERHEAD * scale * saved
    return Estimate(fixed, per_crop, available, batch, processes, height, width, time_of_all)


def _probe_batch(datamodule: Any) -> tuple[Tensor, list[Target], int, int]:  # noqa: ANN401
    """Two training crops, shrunk to a small side, and the size of the largest of a few crops."""
    dataset = datamodule.train_dataloader().dataset
    samples = [dataset[entry] for entry in range(min(4, len(dataset)))]
    image, target = max(samples, key=lambda sample: sample[0].shape[-2] * sample[0].shape[-1])
    height, width = image.shape[-2:]
    factor = min(1.0, _PROBE_SIDE / max(height, width))
    size = (max(1, round(height * factor)), max(1, round(width * factor)))
    small = functional.interpolate(image[None].float(), size=size).to(image.dtype)
    target = target._replace(boxes=target.boxes * factor, size=size)
    return small.repeat(_PROBE_CROPS, 1, 1, 1), [target] * _PROBE_CROPS, height, width


def _measure_step(
    trainer: Any,  # noqa: ANN401
    module: Any,  # noqa: ANN401
    images: Tensor,
    targets: list[Target],
    device: torch.device,
) -> tuple[float, float]:
    """Bytes saved for the backward pass of a step, and its seconds once it is warm."""
    net = copy.deepcopy(module.net).to(device).train()
    criterion = copy.deepcopy(module.criterion)
    if isinstance(criterion, nn.Module):
        criterion.to(device)
    targets = [
        one._replace(boxes=one.boxes.to(device), ignore=one.ignore.to(device)) for one in targets
    ]
    images = images.contiguous(memory_format=module.memory_format)
    seconds = 0.0
    for _ in range(2):
        with _counting() as sizes, trainer.precision_plugin.forward_context():
            begun = time.perf_counter()
            losses = criterion(net(images), targets)
            loss = losses.classification + losses.box
        if loss.requires_grad:
            loss.backward()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        seconds = time.perf_counter() - begun
    return float(sum(sizes.values())), seconds


@contextmanager
def _counting() -> Iterator[dict[int, int]]:
    """By address, the bytes of each storage that is saved for a backward pass."""
    sizes: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        sizes.setdefault(storage.data_ptr(), storage.nbytes())
        return tensor

    with saved_tensors_hooks(pack, lambda tensor: tensor):
        yield sizes


def available_memory(device: torch.device) -> float:
    """Bytes that are free on the device, and for the CPU within the container's limit."""
    if device.type == "cuda":
        return float(torch.cuda.mem_get_info(device)[0])
    free = _cgroup_free()
    with suppress(OSError):
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        fields = dict(line.split(":", 1) for line in lines)
        free.append(float(fields["MemAvailable"].split()[0]) * 1024)
    return min(free, default=math.inf)


def _taken_memory(device: torch.device) -> float:
    """Bytes that this process has on the device; 0 where the system does not say so."""
    if device.type == "cuda":
        return float(torch.cuda.memory_reserved(device))
    with suppress(OSError):
        pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
        return float(pages) * os.sysconf("SC_PAGE_SIZE")
    return 0.0


def _cgroup_free(
    root: Path = Path("/sys/fs/cgroup"), own: Path = Path("/proc/self/cgroup")
) -> list[float]:
    """Bytes that this process's control groups leave it, one number for each that has a limit."""
    free = []
    for line in own.read_text(encoding="utf-8").splitlines() if own.is_file() else []:
        _, controllers, path = line.split(":", 2)
        if controllers and "memory" not in controllers.split(","):
            continue
        top, names = (root, ("memory.max", "memory.current")) if not controllers else (
            root / "memory", ("memory.limit_in_bytes", "memory.usage_in_bytes"))  # fmt: skip
        for part in range(len(Path(path).parts)):
            folder = top.joinpath(*Path(path).parts[1 : part + 1])
            with suppress(OSError, ValueError):  # no such group, or "max"
                most, used = (int((folder / name).read_text()) for name in names)
                rows = (folder / "memory.stat").read_text().splitlines()
                # The file cache can be given back.
                free.append(most - used + float(dict(map(str.split, rows)).get("inactive_file", 0)))
    return free


def duration(seconds: float) -> str:
    """A time to about two digits.

    >>> [duration(one) for one in (4, 89, 90, 7200, 864000)]
    ['4 s', '89 s', '2 min', '2.0 h', '10.0 days']
    """
    for unit, length, most in (("s", 1, 90), ("min", 60, 90), ("h", 3600, 48)):
        if seconds < most * length:
            return f"{seconds / length:.{1 if unit == 'h' else 0}f} {unit}"
    return f"{seconds / 86400:.1f} days"
