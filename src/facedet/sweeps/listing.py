"""What is printed of a sweep: its plan, with what the jobs will take, and its result."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from omegaconf import OmegaConf

from facedet.config import build, plain
from facedet.sweeps.jobs import read_record, state_of
from facedet.sweeps.plan import PlannedJob, Sweep, search_hash, settings_text, without_places
from facedet.sweeps.results import read_job
from facedet.training.estimate import duration

_TRIED_SIDE = 320  # px: larger crops are tried at this size, and the time grows with their pixels
_PLAN = "{:12}  {:11}  {:>12}  {:>11}  {:>12}  {}"
_RESULT = "{:12}  {:11}  {:>12}  {}"


class Effort(NamedTuple):
    """What one job takes."""

    steps: int
    batch: int  # images of a step, over all processes
    size: tuple[int, int]  # of each image, px
    madds: int  # multiply-adds of one image's forward pass

    @property
    def images(self) -> int:
        """Images that pass the network, forwards and backwards."""
        return self.steps * self.batch


def effort_of(config: Mapping[str, Any]) -> Effort:
    """What a job of this resolved config takes; of drawn crop sizes, the middle one at 3 : 2."""
    trainer, augmentation = config["trainer"], config["augmentation"]
    devices = trainer["devices"] if isinstance(trainer["devices"], int) else 1
    batch = config.get("total_batch_size") or (
        config["data"]["batch_size"] * trainer["accumulate_grad_batches"] * max(devices, 1)
    )
    if "size" in augmentation:
        size = (int(augmentation["size"]), int(augmentation["size"]))
    else:
        sides = sorted(augmentation.get("scales", [640]))
        side = int(sides[len(sides) // 2])
        size = (side, side * 3 // 2)
    madds = _madds(json.dumps(config["model"]["net"]), size)
    return Effort(trainer["max_steps"], batch, size, madds)


def expected_seconds(config: Mapping[str, Any], efforts: Sequence[Effort]) -> float:
    """Time of all trainings one after the other, from a short try of the first one's network."""
    import torch

    from facedet.profiling.timing import time_calls
    from facedet.training.trainer import precision, uses_gpu

    trainer, first = OmegaConf.create(config["trainer"]), efforts[0]
    device = "cuda" if uses_gpu(trainer) else "cpu"
    shrunk = min(1.0, _TRIED_SIDE / min(first.size))
    height, width = (max(64, round(side * shrunk)) for side in first.size)
    # Of one image a small last map has one cell, which cannot be normalised.
    images = torch.zeros(2, 3, height, width, dtype=torch.uint8, device=device)
    net = build(OmegaConf.create(config["model"]["net"])).train().to(device)

    def step() -> None:
        with torch.autocast(device, torch.bfloat16, "bf16" in precision(trainer)):
            predictions = net(images)
        (predictions.logits.float().sum() + predictions.deltas.float().sum()).backward()
        if device == "cuda":
            torch.cuda.synchronize()

    madds = len(images) * first.madds * height * width / (first.size[0] * first.size[1])
    seconds_per_madd = time_calls(step, runs=2, warmup=1).median / madds
    return seconds_per_madd * sum(effort.images * effort.madds for effort in efforts)


@lru_cache
def _madds(net: str, size: tuple[int, int]) -> int:
    import torch

    from facedet.profiling.cost import measure_cost

    with torch.device("meta"):
        return measure_cost(build(OmegaConf.create(json.loads(net))), size).madds


def print_plan(sweep: Sweep, folder: Path, jobs: Sequence[PlannedJob], with_jobs: bool) -> None:
    """Prints budget, steps and expected time, and how far the jobs are already.

    `jobs` are those of a grid, which are listed `with_jobs`: state, cost and settings. A search
    has none yet; its trials take what the file's own settings do.
    """
    configs = [job.config for job in jobs]
    if not sweep.is_grid:
        number = int(sweep.config.hydra.sweeper.get("n_trials", 1))
        configs = [plain(without_places(sweep.config))] * number
    efforts = [effort_of(config) for config in configs]
    steps, crops = (
        " to ".join(f"{value:,}" for value in sorted({min(values), max(values)}))
        for values in zip(*(effort[:2] for effort in efforts), strict=True)
    )
    print(
        f"{sweep.name}: {len(efforts):,} x {steps} steps of {crops} crops "
        f"(budget={sweep.choice('budget', 'null')}), about "
        f"{duration(expected_seconds(configs[0], efforts))} one after the other at this machine's "
        "present speed, without validation",
        flush=True,
    )
    states = [state_of(folder / "jobs" / name) for name in own_jobs(sweep, folder, jobs)]
    print(f"{folder}: {states_text(states)}")
    if with_jobs and jobs:
        print(_PLAN.format("job", "state", "images", "size", "G madds", "settings"))
        for job, state, effort in zip(jobs, states, efforts, strict=True):
            size, madds = (
                "{} x {}".format(*effort.size),
                f"{effort.images * effort.madds / 1e9:,.0f}",
            )
            settings = settings_text(job.settings)
            print(_PLAN.format(job.hash, state, f"{effort.images:,}", size, madds, settings))


def own_jobs(sweep: Sweep, folder: Path, jobs: Sequence[PlannedJob]) -> list[str]:
    """Names of the jobs: those of a grid; of a search those begun, without another search's."""
    search = search_hash(sweep)
    begun = ((path.name, read_record(path)) for path in sorted(folder.glob("jobs/*")))
    return [job.hash for job in jobs] or [
        name for name, record in begun if record.get("search", search) == search
    ]


def print_result(folder: Path, names: Sequence[str]) -> bool:
    """The table of the named jobs; returns whether there are jobs and all are finished."""
    jobs = [read_job(folder / "jobs" / name) for name in names]
    objective = next((job.objective_name for job in jobs), "objective")
    print(_RESULT.format("job", "state", objective, "settings"))
    for job in jobs:
        shown = "-" if job.objective is None else f"{job.objective:.4f}"
        print(_RESULT.format(job.folder.name, job.state, shown, settings_text(job.overrides)))
        if job.state == "failed":
            print(f"{'':12}  {job.error}  ({job.folder / 'error.txt'})")
    states = [job.state for job in jobs]
    print(f"jobs: {states_text(states)}")
    if "failed" in states:
        print("--on-error retry runs the failed ones again")
    return set(states) == {"finished"}


def states_text(states: Sequence[str]) -> str:
    """How many jobs are in each state.

    >>> states_text(["new", "finished", "new"]), states_text([])
    ('1 finished, 2 new', 'no jobs yet')
    """
    counted = sorted(Counter(states).items())
    return ", ".join(f"{number:,} {state}" for state, number in counted) or "no jobs yet"
