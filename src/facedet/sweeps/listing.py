"""What a sweep prints: its jobs and their cost before, their states and objectives after."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from omegaconf import DictConfig

from facedet.config import build, plain
from facedet.profiling.cost import measure_cost
from facedet.profiling.timing import time_calls
from facedet.sweeps.folder import SweepFolder
from facedet.sweeps.plan import Sweep, jobs_of
from facedet.sweeps.tables import settings_text

_SAID = {"failed": "failed before", "running": "running elsewhere", "finished": "finished before"}


class Effort(NamedTuple):
    """What one job takes."""

    images: int  # through the network, forwards and backwards, over all steps and processes
    size: tuple[int, int]  # of each, px
    madds: int  # multiply-adds of one image's forward pass


def print_start(
    sweep: Sweep, folder: SweepFolder, jobs: Mapping[str, Mapping[str, str]], leaves_failed: bool
) -> bool:
    """Says what is there already and what is to be done.

    Returns:
        Whether nothing is left to be done.
    """
    if not sweep.is_grid:
        print(f"{sweep.name}: a search in {folder.path}; {len(folder.hashes())} jobs are there")
        return False
    states = Counter(folder.status(name, mend=True)["state"] for name in jobs)
    told = ", ".join(f"{n} {_SAID.get(state, state)}" for state, n in sorted(states.items()))
    print(f"{sweep.name}: {len(jobs)} jobs in {folder.path}: {told}")
    others = len(set(folder.hashes()) - jobs.keys())
    if others:
        print(f"{others} jobs of other settings lie there too: they stay as they are")
    if states["failed"] and leaves_failed:
        print(f"{states['failed']} failed jobs stay failed: --on-error retry tries them once more")
    left = {"finished", "failed"} if leaves_failed else {"finished"}
    return states.keys() <= left


def print_result(folder: SweepFolder, names: Sequence[str]) -> bool:
    """The table of all jobs, and of those that are not finished why.

    Returns:
        Whether all are finished.
    """
    statuses = [folder.status(name) for name in names]
    objective = next(
        (s["objective_name"] for s in statuses if s.get("objective_name")), "objective"
    )
    print(f"{'job':12}  {'state':11}  {objective:>12}  settings")
    for name, status in zip(names, statuses, strict=True):
        value = status.get("objective")
        shown = "-" if value is None else f"{value:.4f}"
        settings = settings_text(status.get("overrides", {}))
        print(f"{name}  {status['state']:11}  {shown:>12}  {settings}")
        if status["state"] != "finished" and status.get("error"):
            print(f"{'':12}  {status['error']}  ({folder.job(name) / 'job.log'})")
    states = Counter(status["state"] for status in statuses)
    told = ", ".join(f"{n} {state}" for state, n in sorted(states.items()))
    print(f"{len(names)} jobs: {told or 'none'}")
    return states.keys() <= {"finished"} and bool(names)


def print_plan(sweep: Sweep, folder: SweepFolder, timed: bool) -> None:
    """Lists the jobs with their settings, cost, folder and state; runs none of them.

    Args:
        sweep: what would be run.
        folder: where; only read.
        timed: also try how long an image takes on this machine.
    """
    if not sweep.is_grid:
        _print_search(sweep, folder, timed)
        return
    head = f"{'hours':>9}  " if timed else ""
    print(
        f"{'job':12}  {'state':11}  {'images':>12}  {'size':>11}  {'G madds':>12}  {head}settings"
    )
    seen: dict[str, Any] = {}
    total, hours, names, twice = 0, 0.0, [], 0
    for job in jobs_of(sweep):
        if job.hash in names:
            twice += 1
            continue
        names.append(job.hash)
        effort = measure_effort(job.config, seen)
        work = effort.images * effort.madds
        total += work
        time = ""
        if timed:
            spent = effort.images * seconds_per_image(job.config, effort.size, seen) / 3600
            hours += spent
            time = f"{spent:9.2f}  "
        state = folder.status(job.hash)["state"]
        size = f"{effort.size[0]} x {effort.size[1]}"
        print(
            f"{job.hash}  {state:11}  {effort.images:>12,}  {size:>11}  {work / 1e9:>12,.0f}  "
            f"{time}{settings_text(job.settings)}"
        )
    print(f"{len(names)} jobs in {folder.path}/jobs/; {total / 1e9:,.0f} G multiply-adds in all")
    if twice:
        print(f"{twice} further jobs are the same as one of these: each is run once")
    if timed:
        print(f"{hours:,.1f} hours one after the other, without validation, as this machine trains")


def _print_search(sweep: Sweep, folder: SweepFolder, timed: bool) -> None:
    node = sweep.config.hydra.sweeper
    for key, value in node.get("search_space", {}).items():
        print(f"{key}={value}")
    effort, trials = measure_effort(sweep.config, {}), int(node.get("n_trials", 1))
    work = trials * effort.images * effort.madds
    print(f"{trials} jobs in {folder.path}/jobs/, of which {len(folder.hashes())} are there")
    print(f"{effort.images:,} images each; {work / 1e9:,.0f} G multiply-adds in all")
    if timed:
        spent = effort.images * seconds_per_image(sweep.config, effort.size, {}) / 3600
        print(f"{spent * trials:,.2f} hours one after the other, without validation")


def measure_effort(config: DictConfig, seen: dict[str, Any]) -> Effort:
    """Counts a job's training images and what each costs.

    Where the crops' size is drawn, it is the middle one of the short sides, and 3 : 2.
    Multiply-adds are those of the forward passes; the backward ones take about twice as many.

    Args:
        config: of the job, complete.
        seen: what is known of networks already; added to.
    """
    trainer, augmentation = config.trainer, config.augmentation
    devices = trainer.devices if isinstance(trainer.devices, int) else 1
    batch = config.data.batch_size * trainer.accumulate_grad_batches * max(devices, 1)
    if "size" in augmentation:
        size = (int(augmentation.size), int(augmentation.size))
    else:
        sides = sorted(augmentation.get("scales", [640]))
        side = int(sides[len(sides) // 2])
        size = (side, side * 3 // 2)
    key = f"cost {size} {_net(config)}"
    if key not in seen:
        seen[key] = measure_cost(build(config.model.net), size).madds
    return Effort(int(trainer.max_steps) * batch, size, seen[key])


def seconds_per_image(config: DictConfig, size: tuple[int, int], seen: dict[str, Any]) -> float:
    """Seconds that one image takes forwards and backwards on this machine's CPU, by a short try.

    Args:
        config: of a job, complete.
        size: (height, width) of the image, px.
        seen: what is known of networks already; added to.
    """
    import torch

    key = f"time {size} {_net(config)}"
    if key not in seen:
        # Of one image a small last map has one cell, which cannot be normalised.
        net, images = build(config.model.net).train(), torch.zeros(2, 3, *size, dtype=torch.uint8)

        def step() -> None:
            predictions = net(images)
            (predictions.logits.sum() + predictions.deltas.sum()).backward()

        seen[key] = time_calls(step, runs=2, warmup=1).median / len(images)
    return seen[key]


def _net(config: DictConfig) -> str:
    """What tells one network from another."""
    parts = {key: config._get_node(key) for key in config if key not in ("hydra", "paths")}
    copied = DictConfig({**parts, "paths": {"output": "", "cache": ""}})
    return json.dumps(plain(copied)["model"]["net"], sort_keys=True, default=str)
