"""A sweep's jobs ranked, with what their networks cost and how their numbers were measured."""

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from facedet.errors import FacedetError
from facedet.sweeps.listing import FoundSweep, read_sweep_folder, setting_text
from facedet.sweeps.statistics import SEED, Job, Row, axes, pareto_front, rows
from facedet.training.hydra_app import select
from facedet.training.objective import goal_of

if TYPE_CHECKING:
    from facedet.profiling.cost import Cost
    from facedet.profiling.timing import Timing

NOTHING = "–"  # where nothing was measured
_SIZE = (640, 640)  # px: height and width at which costs are counted and timed
_RUNS = 10  # timed passes of each network
# The shorter of the papers' schedules, SmallHardFace's; EXTD's has 480,000 steps.
_FULL_STEPS = 60_000


class Entry(NamedTuple):
    """A line of the ranking."""

    rank: str  # NOTHING where nothing was measured
    row: Row
    cost: "Cost | None"  # None: the network is not known
    latency: "Timing | None"  # None: not asked for


class Report(NamedTuple):
    """Everything that is reported of a sweep."""

    sweep: FoundSweep
    entries: list[Entry]  # best first
    objective: str
    mode: str  # "max" or "min"
    caption: str  # how the AP was measured and after what training
    header: list[str]
    problems: list[str]


# By the label of a cost: its value, None where it is not known.
COSTS: dict[str, Callable[[Entry], float | None]] = {
    "parameters, thousand": lambda entry: entry.cost and entry.cost.parameters / 1e3,
    "true multiply-adds at 640 x 640, G": lambda entry: entry.cost and entry.cost.madds / 1e9,
    "latency at 640 x 640, ms": lambda entry: entry.latency and entry.latency.median * 1e3,
}


def make_report(folder: Path, with_latency: bool = False) -> Report:
    """Ranks the jobs of a sweep and counts, or times, their networks.

    Args:
        folder: of the sweep; only read.
        with_latency: time a pass of each network at 640 x 640 on this machine.

    Raises:
        FacedetError: no sweep is there, or it has no jobs yet.
    """
    sweep = read_sweep_folder(folder)
    if not sweep.jobs:
        raise FacedetError(f"{folder}: the sweep {sweep.name} has no jobs yet")
    objective = Counter(job.objective_name for job in sweep.jobs).most_common(1)[0][0]
    configs = [job.config for job in sweep.jobs if job.config]
    judged = [job.config for job in sweep.jobs if job.config and job.objective_name == objective]
    mode = goal_of(judged[0] if judged else {}, objective)
    sweep = sweep._replace(jobs=_completed([_ranked_by(job, objective) for job in sweep.jobs]))
    problems = list(sweep.problems)
    ways = sorted({_validation_text(config) for config in configs})
    if len(ways) > 1:
        problems.append("the jobs were validated in several ways: their AP does not compare")
    known: dict[str, tuple[Cost | None, Timing | None]] = {}
    entries = [
        Entry(
            str(place) if row.objective else NOTHING,
            row,
            *_measured(row, with_latency, known, problems),
        )
        for place, row in enumerate(rows(sweep.jobs, mode), start=1)
    ]
    states = Counter(job.state for job in sweep.jobs)
    caption = f"AP by {' / '.join(ways) or 'an unknown protocol'}. {_training_text(configs)}"
    header = [
        *([f"settings of all jobs: {sweep.overrides}"] if sweep.overrides else []),
        f"jobs: {', '.join(f'{number:,} {state}' for state, number in sorted(states.items()))}",
        f"objective: {objective}, {'higher' if mode == 'max' else 'lower'} is better; "
        "mean ± sample standard deviation over the n seeds that have finished",
        caption,
        *([_latency_text(bool(states["running"]))] if with_latency else []),
    ]
    return Report(sweep, entries, objective, mode, caption, header, problems)


def trade_offs(report: Report) -> dict[str, list[Entry]]:
    """By cost, the entries that no other one beats, cheapest first."""
    fronts = {}
    sign = 1 if report.mode == "max" else -1
    for label, cost_of in COSTS.items():
        known = [
            (cost, sign * entry.row.objective.mean, entry)
            for entry in report.entries
            if entry.row.objective and (cost := cost_of(entry)) is not None
        ]
        if known:
            is_best = pareto_front([one[0] for one in known], [one[1] for one in known])
            best = [one for one, chosen in zip(known, is_best, strict=True) if chosen]
            fronts[label] = [entry for *_, entry in sorted(best, key=lambda one: one[:2])]
    return fronts


def _ranked_by(job: Job, objective: str) -> Job:
    """The job, without its number where that is of another objective than the sweep's."""
    if job.objective is None or job.objective_name == objective:
        return job
    said = f"not ranked: its objective is {job.objective_name}, not {objective}"
    return job._replace(objective=None, metrics={}, error=said)


def _completed(jobs: Sequence[Job]) -> list[Job]:
    """The jobs with the settings that others have and their own configs give.

    A job that was run before its sweep varied a setting does not name that setting.
    """
    names = [*axes(jobs), *([SEED] if any(SEED in job.overrides for job in jobs) else [])]
    found = []
    for job in jobs:
        values = {name: select(job.config, name) for name in names}
        known = {
            name: setting_text(one)
            for name, one in values.items()
            if one is not None and not isinstance(one, (dict, list))
        }
        # Its own come first and count, so that the settings stay in the sweep's order.
        found.append(job._replace(overrides=job.overrides | known | job.overrides))
    return found


def _measured(
    row: Row,
    with_latency: bool,
    known: dict[str, "tuple[Cost | None, Timing | None]"],
    problems: list[str],
) -> "tuple[Cost | None, Timing | None]":
    """Cost and latency of a row's network; those in `known` are not measured again."""
    import torch

    from facedet.profiling.cost import measure_cost
    from facedet.profiling.latency import network_latency
    from facedet.weights.trusted import build_untrusted

    job = next((job for job in row.jobs if job.config), None)
    if job is None:
        return None, None
    node, source = job.config["model"]["net"], str(job.folder)
    key = json.dumps(node, sort_keys=True)
    if key not in known:
        try:
            with torch.device("meta"):
                cost = measure_cost(build_untrusted(node, source), _SIZE)
            net = build_untrusted(node, source) if with_latency else None
            known[key] = cost, network_latency(net, _SIZE, _RUNS) if net else None
        except FacedetError as error:
            problems.append(str(error))
            known[key] = None, None
    return known[key]


def _validation_text(config: Mapping[str, Any]) -> str:
    """How a training's own validation measures, from its resolved config."""
    metric, data = dict(config.get("metric") or {}), config["data"]
    kind = str(metric.pop("_target_", "unknown metric")).rpartition(".")[2]
    settings = ", ".join(f"{key}={setting_text(value)}" for key, value in metric.items())
    limit, number = config["trainer"].get("limit_val_batches", 1.0), None
    if isinstance(data.get("prepare"), dict):
        number = data["prepare"].get("val_images")
    whole = "the validation pictures" if number is None else f"{number:,} validation pictures"
    share = f"at most the first {limit} of {whole}"
    if isinstance(limit, float):
        share = f"all of {whole}" if limit >= 1 else f"{limit:.3%} of {whole}"
    score = (config.get("postprocess") or {}).get("score")
    return (
        f"{kind}({settings}) over {share} of {data.get('root')}, one pass at a picture's own size "
        f"as in protocol wider_single, scores from {setting_text(score)}"
    )


def _training_text(configs: Sequence[Mapping[str, Any]]) -> str:
    """Steps, batch and crops of trainings, all values where they differ."""
    steps = {config["trainer"].get("max_steps") for config in configs}
    parts = {
        "{} steps (trainer.max_steps)": steps,
        "batches of {}": {config["data"].get("batch_size") for config in configs},
        "crops of {} px": {(config.get("augmentation") or {}).get("size") for config in configs},
    }
    shown = [
        text.format(" / ".join(f"{value:,}" for value in sorted(values - {None})))
        for text, values in parts.items()
        if values - {None}
    ]
    text = f"Training: {', '.join(shown) or 'unknown'}."
    if any(0 <= one < _FULL_STEPS for one in steps - {None}):
        text += f" SHORT TRAINING (the papers: {_FULL_STEPS:,} and 480,000 steps)."
    return text


def _latency_text(is_busy: bool) -> str:
    from facedet.profiling.timing import describe_machine

    machine = describe_machine()
    text = (
        f"latency: median of {_RUNS} passes at {_SIZE[0]} x {_SIZE[1]}, folded, with "
        f"{machine['threads']} threads on {machine['cpu']}"
    )
    return f"{text}; unreliable, as jobs were running" if is_busy else text
