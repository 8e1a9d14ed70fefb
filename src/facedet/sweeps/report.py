"""A sweep's jobs ranked, with what their networks cost, as Markdown, CSV and a picture."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from textwrap import wrap
from typing import Any, NamedTuple

from facedet.config import flat, is_under
from facedet.errors import FacedetError
from facedet.files import replacing, replacing_table
from facedet.plots import Point, pareto_front, plot_trade_off
from facedet.sweeps import results
from facedet.sweeps.listing import states_text
from facedet.sweeps.plan import hashed, settings_text
from facedet.sweeps.results import SEED, Job, axes, setting_text, spread
from facedet.tables import pipe_table
from facedet.training.objective import mode_of

_SIZE = (640, 640)  # px: height and width at which networks are counted and timed
_RUNS = 10  # timed passes of each network
_AP = {f"ap_{subset}": f"wider/{subset}" for subset in ("easy", "medium", "hard")}
_COSTS = ("parameters", "madds", "latency_seconds")
# What an AP depends on: how it was measured, and after what training.
_VALIDATION = ("metric", "data.root", "data.prepare.val_images", "trainer.limit_val_batches",
               "postprocess.score")  # fmt: skip
_TRAINING = ("trainer.max_steps", "trainer.max_time", "total_batch_size", "data.batch_size",
             "augmentation.size")  # fmt: skip
# The shorter of the papers' schedules, SmallHardFace's; EXTD's has 480,000 steps.
_FULL_STEPS = 60_000


class Report(NamedTuple):
    """Everything that is reported of a sweep."""

    name: str
    jobs: list[Job]
    table: list[dict[str, Any]]  # by row, best first, its cells by column; None: not measured
    objective: str
    mode: str  # "max" or "min"
    measured: str  # how the AP was measured, and after what training
    header: list[str]
    problems: list[str]


def make_report(folder: Path, with_latency: bool = False) -> Report:
    """Ranks the jobs of a sweep and counts, or times, their networks; the folder is only read.

    Raises:
        FacedetError: no sweep is there, or it has no jobs yet.
    """
    sweep = results.read_sweep_folder(folder)
    if not sweep.jobs:
        raise FacedetError(f"{folder}: the sweep {sweep.name} has no jobs yet")
    objective = Counter(job.objective_name for job in sweep.jobs).most_common(1)[0][0]
    jobs, problems = _comparable(sweep.jobs, objective), list(sweep.problems)
    configs = [job.config for job in jobs if job.config]
    judged = (job.config for job in jobs if job.config and job.objective_name == objective)
    mode = mode_of(next(judged, {}), objective)
    values = {
        key: sorted({setting_text(_get(config, key)) for config in configs} - {"null"})
        for key in (*_VALIDATION, *_TRAINING)
    }
    if any(len(values[key]) > 1 for key in _VALIDATION):
        problems.append("the jobs were validated in several ways: their AP does not compare")
    shown = {key: " / ".join(found) for key, found in values.items() if found}
    measured = f"AP of one pass at a picture's own size; {settings_text(shown)}"
    if any(0 <= int(steps) < _FULL_STEPS for steps in values["trainer.max_steps"]):
        measured += f"; SHORT TRAINING (the papers: {_FULL_STEPS:,} and 480,000 steps)"
    states = [job.state for job in jobs]
    header = [
        f"settings of all jobs: {sweep.overrides or 'those of the file'}",
        f"jobs: {states_text(states)}",
        f"objective: {objective}, {'higher' if mode == 'max' else 'lower'} is better; mean and "
        "sample standard deviation over the n seeds that have finished",
        measured,
    ]
    if with_latency:
        from facedet.profiling.timing import describe_machine

        text = "latency at 640 x 640: median of {} passes with {threads} threads on {cpu}"
        busy = "; unreliable: jobs were running" if "running" in states else ""
        header.append(text.format(_RUNS, **describe_machine()) + busy)
    table = _table(jobs, mode, _costs(jobs, with_latency, problems))
    return Report(sweep.name, jobs, table, objective, mode, measured, header, problems)


def trade_offs(report: Report) -> dict[str, list[Point]]:
    """By cost, the measured rows as points named by rank, and value where one setting varies."""
    sign, panels = 1 if report.mode == "max" else -1, {}
    varying = list(axes(report.jobs))
    named = ["rank", *varying] if len(varying) == 1 else ["rank"]
    for cost in _COSTS:
        if known := [line for line in report.table if None not in (line["rank"], line[cost])]:
            means = [sign * line["mean"] for line in known]
            front = pareto_front([line[cost] for line in known], means)
            names = [": ".join(str(line[key]) for key in named) for line in known]
            panels[cost] = [
                Point(line[cost], line["mean"], line["std"], name, is_best)
                for line, name, is_best in zip(known, names, front, strict=True)
            ]
    return panels


def write_report(folder: Path, report: Report) -> list[Path]:
    """Writes report.md, report.csv and, where a row was measured, pareto.png; gives the paths."""
    paths = [folder / "report.md", folder / "report.csv"]
    with replacing(paths[0]) as aside:
        aside.write_text(markdown(report), encoding="utf-8")
    with replacing_table(paths[1]) as table:
        table.writerow([*report.table[0], "objective", "mode", "measured"])
        for line in report.table:
            cells = (f"{one:.6f}" if isinstance(one, float) else one for one in line.values())
            table.writerow([*cells, report.objective, report.mode, report.measured])
    if panels := trade_offs(report):
        paths.append(folder / "pareto.png")
        title = f"{report.name}: numbers are ranks, steps join the best trade-offs"
        lines = [title, *wrap(report.measured, 62 * len(panels))]
        plot_trade_off(paths[-1], panels, report.objective, "\n".join(lines))
    return paths


def markdown(report: Report) -> str:
    """The report as Markdown, which is also what the terminal shows."""
    is_known = {key: any(line[key] is not None for line in report.table) for key in report.table[0]}
    names = [name for name, known in is_known.items() if known]
    cells = [[line[name] for name in names] for line in report.table]
    parts = {f"# Sweep {report.name}": _items(report.header)}
    parts["## Ranking"] = _text_table(names, cells)
    if found := results.effects(report.jobs):
        header = ["setting", "value", "n", "mean", "paired n", "paired mean"]
        cells = []
        for axis, value, *means in found:
            numbers = [(mean.number, mean.mean) if mean else (0, None) for mean in means]
            cells.append([axis, value, *numbers[0], *numbers[1]])
        parts["## Effect of each setting"] = (
            "Means of the objective. paired: over the settings of everything else, seed included, "
            f"at which all values were measured; compare these.\n\n{_text_table(header, cells)}"
        )
    if panels := trade_offs(report):
        parts["## Trade-offs (pareto.png): ranks of what no other row beats at this cost"] = _items(
            f"{cost}: {', '.join(point.name for point in points if point.is_on_front)}"
            for cost, points in panels.items()
        )
    if rest := [job for job in report.jobs if job.objective is None]:
        parts["## Jobs without a number"] = _items(
            f"{job.folder.name} ({job.state}) {settings_text(job.overrides)} {job.error}".rstrip()
            for job in rest
        )
    if report.problems:
        parts["## Problems"] = _items(report.problems)
    return "\n\n".join(f"{title}\n\n{text}" for title, text in parts.items()) + "\n"


def _table(jobs: Sequence[Job], mode: str, costs: Mapping) -> list[dict[str, Any]]:
    """The columns of each row of the ranking."""
    lines = []
    for rank, row in enumerate(results.rows(jobs, mode), start=1):
        mean, deviation, number = row.objective or (None, None, 0)
        line: dict[str, Any] = {"rank": rank if number else None}
        line |= {name: row.settings.get(name) or None for name in axes(jobs)}
        line |= {"n": number, "mean": mean, "std": deviation}
        for name, key in _AP.items():
            found = spread([job.metrics.get(key) for job in row.jobs])
            line[name], line[f"{name}_std"] = (found or (None, None))[:2]
        config = next((job.config for job in row.jobs if job.config), {})
        line |= zip(_COSTS, costs.get(_network(config), (None,) * 3), strict=True)
        seconds = spread([job.seconds for job in row.jobs])
        line["seconds"] = seconds and round(seconds.mean)
        line["state"] = states_text([job.state for job in row.jobs])
        line["jobs"] = " ".join(job.folder.name for job in row.jobs)
        lines.append(line)
    return lines


def _costs(jobs: Sequence[Job], with_latency: bool, problems: list[str]) -> dict[str, tuple]:
    """By network, its `_COSTS`; why one may not be built is added to `problems`."""
    import torch

    from facedet.profiling.cost import measure_cost
    from facedet.profiling.latency import network_latency
    from facedet.weights.trusted import build_untrusted

    found: dict[str, tuple] = {}
    for job in jobs:
        if not job.config or (key := _network(job.config)) in found:
            continue
        found[key], node, source = (None,) * 3, job.config["model"]["net"], str(job.folder)
        try:
            with torch.device("meta"):
                cost = measure_cost(build_untrusted(node, source), _SIZE)
            latency = None
            if with_latency:
                latency = network_latency(build_untrusted(node, source), _SIZE, _RUNS).median
            found[key] = cost.parameters, cost.madds, latency
        except FacedetError as error:
            problems.append(str(error))
    return found


def _network(config: Mapping[str, Any]) -> str:
    return json.dumps(config.get("model", {}).get("net"), sort_keys=True)


def _comparable(jobs: Sequence[Job], objective: str) -> list[Job]:
    """The jobs, without a number of another objective, and with the settings that others vary.

    A job that was run before its sweep varied a setting does not name it; its config does.
    """
    names = [*axes(jobs), *([SEED] if any(SEED in job.overrides for job in jobs) else [])]
    names += _unnamed([job for job in jobs if job.config and job.objective_name == objective])
    found = []
    for job in jobs:
        known = {name: _get(job.config, name) for name in names}
        kinds = (str, float, int, list)
        texts = {k: setting_text(v) for k, v in known.items() if isinstance(v, kinds)}
        # Its own come first and count, so that the settings stay in the sweep's order.
        found.append(job._replace(overrides=job.overrides | texts | job.overrides))
        if job.objective is not None and job.objective_name != objective:
            error = f"not ranked: its objective is {job.objective_name}, not {objective}"
            found[-1] = found[-1]._replace(objective=None, metrics={}, error=error)
    return found


def _unnamed(jobs: Sequence[Job]) -> list[str]:
    """Settings, as few as do, that tell apart what differs in more than it names and the seed.

    Such jobs are of several starts in one folder, with other budgets or experiments.
    """
    kinds: list[tuple] = [
        tuple(sorted(one for one in job.overrides.items() if one[0] != SEED)) for job in jobs
    ]
    configs = [_trained(job.config) for job in jobs]
    keys = sorted(set().union(*configs), key=lambda k: ("_target_" in k, k.count("."), k))
    found = []
    for key in (*_TRAINING, *keys):
        finer = [(*kind, config.get(key)) for kind, config in zip(kinds, configs, strict=True)]
        if len(set(finer)) > len(set(kinds)):
            found.append(key)
            kinds = finer
    return found


def _trained(config: Mapping[str, Any]) -> dict[str, str]:
    """The settings of a training, by dotted key; not where it lies, its seed and its validation."""
    output = str(_get(config, "paths.output"))
    texts = {key: setting_text(value) for key, value in flat(hashed(config)).items()}
    return {
        key: text
        for key, text in texts.items()
        if text != "null"
        and not (is_under(key, _VALIDATION) or key.endswith(SEED) or output in text)
    }


def _get(config: Mapping[str, Any], key: str) -> Any:  # noqa: ANN401
    """The value under a dotted key; None where there is none."""
    value: Any = config
    for part in key.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value


def _text_table(header: list[str], cells: Sequence[Sequence[Any]]) -> str:
    """A table whose columns of numbers are flush right."""
    texts = [[_text(cell) for cell in line] for line in cells]
    columns = zip(*texts, strict=True)
    is_number = [all(one[:1].isdigit() or one == "–" for one in column) for column in columns]
    return "\n".join(pipe_table(header, texts, is_number))


def _text(cell: str | float | None) -> str:
    if isinstance(cell, (int, float)):
        return f"{cell:,}" if isinstance(cell, int) else f"{cell:.4f}"
    return cell or "–"


def _items(lines: Iterable[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)
