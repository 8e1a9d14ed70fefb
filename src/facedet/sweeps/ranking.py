"""A sweep's jobs ranked, with what their networks cost and how their numbers came about."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from tqdm import tqdm

from facedet.errors import FacedetError
from facedet.sweeps.reading import Sweep, read_config, setting
from facedet.sweeps.statistics import SEED, STATES, UNREADABLE, Job, Row, axes, rows
from facedet.sweeps.tables import NOTHING
from facedet.training.objective import goal_of

if TYPE_CHECKING:
    from facedet.profiling.cost import Cost
    from facedet.profiling.timing import Timing

_SIZE = (640, 640)  # px: height and width at which costs are counted and timed
_RUNS = 10  # timed passes of each network
# The shorter of the papers' schedules, SmallHardFace's; EXTD's has 480,000 steps.
_FULL_STEPS = 60_000


class Entry(NamedTuple):
    """A line of the ranking."""

    rank: str  # NOTHING where nothing was measured
    row: Row
    cost: Cost | None  # None: the network is not known
    latency: Timing | None  # None: not asked for


class Report(NamedTuple):
    """Everything that is told of a sweep."""

    sweep: Sweep
    entries: list[Entry]
    axes: list[str]
    objective: str
    goal: str  # "max" or "min"
    caption: str  # how the AP was measured and after what training: stands over every table
    header: list[str]
    problems: list[str]


def make_report(sweep: Sweep, with_latency: bool = False) -> Report:
    """Ranks the jobs of a sweep and counts, or times, their networks.

    Args:
        sweep: with at least one job.
        with_latency: time a pass of each network at 640 x 640 on this machine.
    """
    named = Counter(job.objective_name for job in sweep.jobs if job.objective_name)
    objective = named.most_common(1)[0][0] if named else "objective"
    configs = {job.folder: read_config(job.folder) for job in sweep.jobs}
    jobs = _completed([_ranked_by(job, objective) for job in sweep.jobs], configs)
    known = [config for config in configs.values() if config]
    judged = [configs[job.folder] for job in sweep.jobs if job.objective_name == objective]
    goal = goal_of(next(filter(None, judged), {}), objective)
    problems = list(sweep.problems)
    if len(known) < len(jobs):
        problems.append(f"{len(jobs) - len(known):,} jobs without a readable config.yaml")
    ranked = rows(jobs, goal)
    costs = _costs(ranked, configs, with_latency, problems)
    entries = [
        Entry(str(place) if row.objective else NOTHING, row, *cost)
        for place, (row, cost) in enumerate(zip(ranked, costs, strict=True), start=1)
    ]
    protocols = sorted({validation_of(config) for config in known})
    if len(protocols) > 1:
        problems.append("the jobs were validated in several ways: their AP does not compare")
    steps = [config["trainer"].get("max_steps") for config in known]
    is_short = any(isinstance(one, int) and 0 <= one < _FULL_STEPS for one in steps)
    caption = (
        f"AP by {' / '.join(protocols) or 'an unknown protocol, no job tells its config'}. "
        f"Training: {training_of(known) or 'unknown'}."
    )
    if is_short:
        caption += f" SHORT TRAINING (the papers: {_FULL_STEPS:,} and 480,000 steps)."
    states = [job.state for job in jobs]
    counts = [f"{states.count(one):,} {one}" for one in (*STATES, UNREADABLE) if one in states]
    header = [
        *([f"settings of all jobs: {sweep.overrides}"] if sweep.overrides else []),
        f"jobs: {', '.join(counts)}",
        f"objective: {objective}, {'higher' if goal == 'max' else 'lower'} is better; "
        "mean ± sample standard deviation over the n seeds that have finished",
        "seconds: of a job's last attempt",
        *_parts_text([job for job in jobs if job.parts]),
        *([_describe_latency("running" in states)] if with_latency else []),
    ]
    found = sweep._replace(jobs=jobs)
    names = list(axes(jobs))
    return Report(found, entries, names, objective, goal, caption, header, problems)


def validation_of(config: Mapping[str, Any]) -> str:
    """How a training's own validation measures, from its resolved config."""
    metric, data = dict(config.get("metric") or {}), config["data"]
    kind = str(metric.pop("_target_", "unknown metric")).rpartition(".")[2]
    settings = ", ".join(f"{key}={setting(value)}" for key, value in metric.items())
    limit, prepare = config["trainer"].get("limit_val_batches", 1.0), data.get("prepare")
    number = prepare.get("val_images") if isinstance(prepare, dict) else None
    whole = "the validation pictures" if number is None else f"{number:,} validation pictures"
    if isinstance(limit, float):
        share = f"all of {whole}" if limit >= 1 else f"{limit:.3%} of {whole}"
    else:
        share = f"at most the first {limit} of {whole}"
    score = (config.get("postprocess") or {}).get("score")
    return (
        f"{kind}({settings}) over {share} of {data.get('root')}, one pass at a picture's own size "
        f"as in protocol wider_single, scores from {setting(score)}"
    )


def training_of(configs: Sequence[Mapping[str, Any]]) -> str:
    """Steps, batch and crops of trainings, all values where they differ."""
    parts = {
        "{} steps (trainer.max_steps)": [one["trainer"].get("max_steps") for one in configs],
        "batches of {}": [one["data"].get("batch_size") for one in configs],
        "crops of {} px": [(one.get("augmentation") or {}).get("size") for one in configs],
    }
    shown = []
    for text, values in parts.items():
        known = sorted({value for value in values if isinstance(value, int)})
        if known:
            shown.append(text.format(" / ".join(f"{value:,}" for value in known)))
    return ", ".join(shown)


def measure_latency(net: Any) -> Timing:  # noqa: ANN401
    """Seconds of one pass of a detector, folded as for prediction, at 640 x 640 on the CPU."""
    from facedet.profiling.latency import network_latency

    return network_latency(net, _SIZE, _RUNS)


def _parts_text(jobs: Sequence[Job]) -> list[str]:
    """One line on what a job takes beyond its training; none where no job tells."""
    totals: Counter[str] = Counter()
    for job in jobs:
        totals.update(job.parts)
    means = {part: total / len(jobs) for part, total in totals.items()}
    training = means.pop("training", 0.0)
    told = ", ".join(f"{part} {seconds:.1f}" for part, seconds in means.items())
    text = (
        f"a job takes {sum(means.values()):.1f} s beyond the {training:.1f} s of its training: "
        f"{told}; means over {len(jobs):,} finished jobs"
    )
    return [text] if jobs else []


def _ranked_by(job: Job, objective: str) -> Job:
    """The job, without its number where that is of another objective than the sweep's."""
    if job.objective is None or job.objective_name in ("", objective):
        return job
    said = f"not ranked: its objective is {job.objective_name}, not {objective}"
    return job._replace(objective=None, metrics={}, error=said)


def _completed(jobs: Sequence[Job], configs: Mapping[Path, Mapping[str, Any]]) -> list[Job]:
    """The jobs with the settings that others have and their own configs tell.

    A job that was run before its sweep varied a setting does not name that setting.
    """
    names = [*axes(jobs), *([SEED] if any(SEED in job.overrides for job in jobs) else [])]
    found = []
    for job in jobs:
        told = {name: _select(configs[job.folder], name) for name in names}
        known = {name: setting(one) for name, one in told.items() if one is not None}
        # Its own come first and count, so that the settings stay in the sweep's order.
        settings = job.overrides | known | job.overrides
        found.append(job if job.state == UNREADABLE else job._replace(overrides=settings))
    return found


def _select(node: Any, key: str) -> Any:  # noqa: ANN401
    """The plain value under a dotted key; None where there is none, or a part."""
    from facedet.training.hydra_app import select

    value = select(node, key)
    return None if isinstance(value, (dict, list)) else value


def _costs(
    ranked: Sequence[Row],
    configs: dict[Path, dict[str, Any]],
    with_latency: bool,
    problems: list[str],
) -> list[tuple[Cost | None, Timing | None]]:
    """Cost and latency of each row's network; equal networks are measured once."""
    from facedet.profiling.cost import measure_cost
    from facedet.weights.trusted import build_untrusted

    known: dict[str, tuple[Cost | None, Timing | None]] = {"null": (None, None)}
    found = []
    # disable=None: no bar where stderr is no terminal.
    for row in tqdm(ranked, desc="counting", delay=3, disable=None, leave=False):
        described = [(job.folder, configs[job.folder]) for job in row.jobs if configs[job.folder]]
        folder, node = (
            (described[0][0], described[0][1]["model"].get("net")) if described else (None, None)
        )
        key = json.dumps(node, sort_keys=True, default=str)
        if key not in known:
            try:
                net = build_untrusted(node, str(folder))
                cost = measure_cost(net, _SIZE)
                known[key] = cost, measure_latency(net) if with_latency else None
            except FacedetError as error:
                problems.append(str(error))
                known[key] = None, None
        found.append(known[key])
    return found


def _describe_latency(is_busy: bool) -> str:
    from facedet.profiling.timing import describe_machine

    machine = describe_machine()
    text = (
        f"latency: median of {_RUNS} passes at {_SIZE[0]} x {_SIZE[1]}, folded, with "
        f"{machine['threads']} threads on {machine['cpu']}"
    )
    return f"{text}; while jobs ran, so not to be relied on" if is_busy else text
