"""A sweep's report as Markdown, CSV and a picture."""

from collections.abc import Mapping, Sequence
from os.path import relpath
from pathlib import Path
from textwrap import wrap
from typing import Any
from urllib.parse import quote

from facedet.data.readers.wider_annotations import SUBSETS
from facedet.files import replacing_table
from facedet.sweeps.plan import settings_text
from facedet.sweeps.report import COSTS, NOTHING, Entry, Report
from facedet.sweeps.statistics import Effect, Job, Row, Spread, axes, effects, grid_cells
from facedet.tables import pipe_table
from facedet.training.objective import ARROWS

_AP = {subset: f"wider/{subset}" for subset in SUBSETS}


def markdown(report: Report, fronts: Mapping[str, list[Entry]], links: Path | None) -> str:
    """The report as Markdown, which is also what the terminal shows.

    Args:
        report: of the sweep.
        fronts: of `trade_offs`.
        links: folder from which the links to the runs start; None: only their names.
    """
    jobs = report.sweep.jobs
    parts = [f"# Sweep {report.sweep.name}", _items(report.header)]
    parts += ["## Ranking", _ranking(report, links)]
    if any(entry.row.objective for entry in report.entries):
        if found := effects(jobs):
            parts += ["## Effect of each setting", *_effects(found, grid_cells(jobs), report.mode)]
    else:
        parts.append("No job has finished with an objective.")
    if fronts:
        about = f"What no other job beats in {report.objective} at this cost or less, by rank."
        lines = [f"{cost}: {_front_text(report, front)}" for cost, front in fronts.items()]
        parts += ["## Trade-offs", about, _items(lines)]
        parts += [f"![{report.objective} over cost](pareto.png)"] if links else []
    if rest := [_job_text(job, links) for job in jobs if job.objective is None]:
        parts += ["## Jobs without a number", _items(rest)]
    if report.problems:
        parts += ["## Problems", _items(report.problems)]
    return "\n\n".join(parts) + "\n"


def draw_trade_offs(path: Path, report: Report, fronts: Mapping[str, list[Entry]]) -> None:
    """Writes the objective over each cost as a picture."""
    from facedet.plots import Point, plot_trade_off

    panels = {}
    for label, front in fronts.items():
        panels[label] = [
            Point(cost, mean.mean, mean.deviation, entry.rank, entry in front)
            for entry in report.entries
            if (mean := entry.row.objective) and (cost := COSTS[label](entry)) is not None
        ]
    about = f"{report.sweep.name}: numbers are ranks, steps join the best trade-offs"
    title = "\n".join([about, *wrap(report.caption, 62 * len(panels))])
    plot_trade_off(path, panels, report.objective, title)


def write_csv(path: Path, report: Report) -> None:
    """One line per row of the ranking; empty cells where nothing was measured."""
    names = list(axes(report.sweep.jobs))
    numbers = {"objective": report.objective, **{f"ap_{key}": key for key in _AP}}
    columns = [f"{name}_{part}" for name in numbers for part in ("mean", "std")]
    header = ["rank", *names, "n", "objective_name", "mode", *columns, "parameters", "madds"]
    with replacing_table(path) as table:
        table.writerow([*header, "latency_seconds", "seconds", "state", "runs", "measured"])
        for rank, row, cost, latency in report.entries:
            line: list[Any] = [rank.strip(NOTHING), *(row.settings.get(name, "") for name in names)]
            line += [row.objective.number if row.objective else 0, report.objective, report.mode]
            for one in (row.objective, *map(row.metrics.get, _AP.values())):
                line += [
                    "" if number is None else f"{number:.6f}" for number in (one or (None,) * 2)[:2]
                ]
            line += [cost.parameters, cost.madds] if cost else ["", ""]
            line.append(f"{latency.median:.6f}" if latency else "")
            line.append(f"{row.seconds.mean:.3f}" if row.seconds else "")
            runs = ";".join(relpath(job.folder, path.parent) for job in row.jobs)
            table.writerow([*line, _state_text(row), runs, report.caption])


def show(value: Spread | None) -> str:
    """Mean ± sample standard deviation; of one measurement the deviation is not known.

    >>> show(Spread(0.5, None, 1)), show(Spread(0.5, 0.01, 3)), show(None)
    ('0.5000 ± –', '0.5000 ± 0.0100', '–')
    """
    if value is None:
        return NOTHING
    deviation = NOTHING if value.deviation is None else f"{value.deviation:.4f}"
    return f"{value.mean:.4f} ± {deviation}"


def _ranking(report: Report, links: Path | None) -> str:
    names = list(axes(report.sweep.jobs))
    latency = ["latency, ms"] if any(entry.latency for entry in report.entries) else []
    header = ["rank", *names, "n", f"{report.objective} {ARROWS[report.mode]}"]
    header += [*(f"AP {one}" for one in _AP), "parameters", "multiply-adds, G", *latency]
    cells = []
    for rank, row, cost, timing in report.entries:
        line = [rank, *(row.settings.get(name) or NOTHING for name in names)]
        line.append(str(row.objective.number if row.objective else 0))
        line += [show(one) for one in (row.objective, *map(row.metrics.get, _AP.values()))]
        line += [f"{cost.parameters:,}", f"{cost.madds / 1e9:.4f}"] if cost else [NOTHING] * 2
        if latency:
            line.append(f"{timing.median * 1e3:.1f}" if timing else NOTHING)
        line += [f"{row.seconds.mean:,.0f}" if row.seconds else NOTHING, _state_text(row)]
        cells.append([*line, " ".join(_run_text(job.folder, links) for job in row.jobs)])
    return _table([*header, "seconds", "state", "run"], cells)


def _effects(found: Sequence[Effect], grid: tuple[int, int], mode: str) -> list[str]:
    """One table for all axes, and how far its comparisons go; `grid`: of `grid_cells`."""
    cells, remarks = [], []
    for axis in dict.fromkeys(effect.axis for effect in found):
        own = [effect for effect in found if effect.axis == axis]
        paired = [effect.paired.mean for effect in own if effect.paired]
        best = (max(paired) if mode == "max" else min(paired)) if paired else None
        cells += [_effect_cells(effect, best) for effect in own]
        if not paired:
            remarks.append(f"{axis}: no two measured jobs differ in it alone: no effect is claimed")
        missing = [effect.value or NOTHING for effect in own if effect.finished is None]
        if missing:
            remarks.append(f"{axis}: nothing was measured yet at {', '.join(missing)}")
    measured, whole = grid
    if measured < whole:
        remarks.append(
            f"the grid is incomplete: {measured:,} of {whole:,} combinations of the values seen "
            "are measured; only the paired columns compare like with like"
        )
    else:
        remarks.append(f"the grid is complete: all {whole:,} combinations of the values seen")
    header = ["setting", "value", "jobs", "mean", "paired", "paired mean", "to the best"]
    about = (
        "Marginal means of the objective. paired: settings of everything else, seed included, at "
        "which all values were measured."
    )
    return [about, _table(header, cells), _items(remarks)]


def _effect_cells(effect: Effect, best: float | None) -> list[str]:
    cells = [effect.axis, effect.value or NOTHING]
    for one in (effect.finished, effect.paired):
        cells += ["0", NOTHING] if one is None else [str(one.number), f"{one.mean:.4f}"]
    if effect.paired is None or best is None:
        return [*cells, NOTHING]
    return [*cells, f"{effect.paired.mean - best:+.4f}"]


def _front_text(report: Report, front: Sequence[Entry]) -> str:
    names = axes(report.sweep.jobs)
    texts = []
    for entry in front:
        settings = settings_text({name: entry.row.settings.get(name) or NOTHING for name in names})
        shown = ", ".join(filter(None, (settings, show(entry.row.objective))))
        texts.append(f"{entry.rank} ({shown})")
    return "; ".join(texts)


def _job_text(job: Job, links: Path | None) -> str:
    """A job that has no number, and why."""
    about = ", ".join(filter(None, (job.state, settings_text(job.overrides))))
    return f"{_run_text(job.folder, links)} ({about}){f': {job.error}' if job.error else ''}"


def _run_text(folder: Path, links: Path | None) -> str:
    if links is None:
        return folder.name
    return f"[{folder.name}]({quote(Path(relpath(folder, links)).as_posix())})"


def _state_text(row: Row) -> str:
    """How far the row's jobs are: `finished`, or `2 finished, 1 failed`."""
    states = [job.state for job in row.jobs]
    if len(set(states)) == 1:
        return states[0]
    return ", ".join(f"{states.count(one)} {one}" for one in dict.fromkeys(states))


def _table(header: list[str], cells: list[list[str]]) -> str:
    """A table whose columns of numbers are flush right."""
    columns = zip(*cells, strict=True)
    is_number = [all(one[:1].isdigit() or one == NOTHING for one in column) for column in columns]
    return "\n".join(pipe_table(header, cells, is_number))


def _items(lines: Sequence[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)
