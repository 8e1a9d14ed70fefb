"""`facedet sweep report`: what a sweep has found so far, as a table, as files and as a picture."""

import argparse
import textwrap
from collections.abc import Callable, Sequence
from os.path import relpath
from pathlib import Path
from urllib.parse import quote

from facedet.data.readers.wider_annotations import SUBSETS
from facedet.errors import FacedetError
from facedet.files import replacing, replacing_table
from facedet.sweeps.ranking import Entry, Report, make_report
from facedet.sweeps.reading import read_sweep, steps_done
from facedet.sweeps.statistics import Job, Spread, effects, grid_cells, pareto_front
from facedet.sweeps.tables import (
    NOTHING,
    Section,
    Table,
    axis_cells,
    effect_sections,
    settings_text,
    show,
    state_of,
    to_markdown,
    to_text,
)
from facedet.training.objective import ARROWS

HELP = """Rank the jobs of a sweep by their objective, joined over seeds, with the effect of each
setting and the best trade-offs of AP and cost. The jobs are only read, also while they run; the
files are report.md, report.csv and pareto.png."""
EXAMPLE = """examples:
  facedet sweep report outputs/sweeps/extd_grid
  facedet sweep report outputs/sweeps/extd_grid --latency --output report/"""

_AP = {subset: f"wider/{subset}" for subset in SUBSETS}
# By the label of a cost: its value, None where it is not known.
_COSTS: dict[str, Callable[[Entry], float | None]] = {
    "parameters, thousand": lambda entry: entry.cost and entry.cost.parameters / 1e3,
    "true multiply-adds at 640 x 640, G": lambda entry: entry.cost and entry.cost.madds / 1e9,
    "latency at 640 x 640, ms": lambda entry: entry.latency and entry.latency.median * 1e3,
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    parser.add_argument("folder", type=Path, metavar="DIR", help="the sweep's folder")
    parser.add_argument(
        "--latency", action="store_true", help="also time each network on this machine"
    )
    parser.add_argument("--output", type=Path, metavar="DIR", help="for the files (the sweep's)")


def run(args: argparse.Namespace) -> int:
    """Reads, prints, and writes the files."""
    sweep = read_sweep(args.folder)
    if not sweep.jobs:
        raise FacedetError(f"{args.folder}: the sweep {sweep.name} has no jobs yet")
    report = make_report(sweep, args.latency)
    output = args.output or args.folder
    fronts = _fronts(report)
    names = ["report.md", "report.csv", *(["pareto.png"] if fronts else [])]
    if fronts:
        _draw(output / names[-1], report, fronts)
    _write_csv(output / "report.csv", report, output)
    with replacing(output / "report.md") as aside:
        aside.write_text(_markdown(report, fronts, output), encoding="utf-8")
    print(_text(report, fronts))
    print(f"\nfiles: {', '.join(str(output / name) for name in names)}")
    return 0


def _text(report: Report, fronts: dict[str, list[Entry]]) -> str:
    """The report for a terminal."""
    parts = ["\n".join([f"sweep {report.sweep.name}", *report.header])]
    for one in _sections(report, fronts, lambda folder: folder.name):
        table = [to_text(one.table)] if one.table else []
        parts.append("\n".join([one.title, *one.lines, *table, *one.remarks]))
    return "\n\n".join(parts)


def _markdown(report: Report, fronts: dict[str, list[Entry]], output: Path) -> str:
    """The report as a page whose links start from the folder `output`."""
    parts = [f"# Sweep {report.sweep.name}", _items(report.header)]
    for one in _sections(report, fronts, lambda folder: _link(folder, output)):
        parts += [f"## {one.title}", *one.lines]
        parts += [to_markdown(one.table)] if one.table else []
        parts += [_items(one.remarks)] if one.remarks else []
        if one.title == _TRADE_OFFS:
            parts.append(f"![{report.objective} over cost](pareto.png)")
    return "\n\n".join(parts) + "\n"


_TRADE_OFFS = "Trade-offs"


def _sections(
    report: Report, fronts: dict[str, list[Entry]], name_run: Callable[[Path], str]
) -> list[Section]:
    """The parts of the report; a run's folder is shown as `name_run` has it."""
    found = [Section("Ranking", [report.caption], _ranking(report, name_run))]
    jobs = report.sweep.jobs
    if any(entry.row.objective for entry in report.entries):
        found += effect_sections(effects(jobs), grid_cells(jobs), report.goal, report.caption)
    else:
        found.append(Section("Nothing measured yet", ["no job has finished with an objective"]))
    if fronts:
        lines = [
            f"{cost}: " + "; ".join(_point_text(entry, report.axes) for entry in front)
            for cost, front in fronts.items()
        ]
        about = f"What no other job beats in {report.objective} at this cost or less, by rank."
        found.append(Section(_TRADE_OFFS, [about, report.caption], None, lines))
    rest = [_job_text(job, name_run) for job in jobs if job.objective is None]
    if rest:
        found.append(Section("Jobs without a number", [], None, rest))
    if report.problems:
        found.append(Section("What could not be read or compared", [], None, report.problems))
    return found


def _ranking(report: Report, name_run: Callable[[Path], str]) -> Table:
    has_latency = any(entry.latency for entry in report.entries)
    objective = f"{report.objective} {ARROWS[report.goal]}"
    header = ["rank", *report.axes, "n", objective, *(f"AP {one}" for one in _AP)]
    header += ["parameters", "multiply-adds, G", *(["latency, ms"] * has_latency)]
    cells = []
    for entry in report.entries:
        row, cost, latency = entry.row, entry.cost, entry.latency
        line = [entry.rank, *axis_cells(row, report.axes)]
        line.append(str(row.objective.number if row.objective else 0))
        line += [show(one) for one in (row.objective, *map(row.metrics.get, _AP.values()))]
        line += [f"{cost.parameters:,}", f"{cost.madds / 1e9:.4f}"] if cost else [NOTHING] * 2
        if has_latency:
            line.append(f"{latency.median * 1e3:.1f}" if latency else NOTHING)
        line += [f"{row.seconds.mean:,.0f}" if row.seconds else NOTHING, state_of(row)]
        cells.append([*line, " ".join(name_run(job.folder) for job in row.jobs)])
    return Table([*header, "seconds", "state", "run"], cells)


def _fronts(report: Report) -> dict[str, list[Entry]]:
    """By cost, the entries that no other one beats, cheapest first."""
    fronts = {}
    sign = 1 if report.goal == "max" else -1
    for label, cost_of in _COSTS.items():
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


def _draw(path: Path, report: Report, fronts: dict[str, list[Entry]]) -> None:
    from facedet.plots import Point, plot_trade_off

    panels = {}
    for label, front in fronts.items():
        panels[label] = [
            Point(cost, mean.mean, mean.deviation, entry.rank, entry in front)
            for entry in report.entries
            if (mean := entry.row.objective) and (cost := _COSTS[label](entry)) is not None
        ]
    title = "\n".join(
        [
            f"{report.sweep.name}: numbers are ranks, steps join the best trade-offs",
            *textwrap.wrap(report.caption, 62 * len(panels)),
        ]
    )
    plot_trade_off(path, panels, report.objective, title)


def _write_csv(path: Path, report: Report, output: Path) -> None:
    """One line per row of the ranking; empty cells where nothing was measured."""
    numbers = {"objective": report.objective, **{f"ap_{key}": key for key in _AP}}
    columns = [f"{name}_{part}" for name in numbers for part in ("mean", "std")]
    header = ["rank", *report.axes, "n", "objective_name", "goal", *columns, "parameters", "madds"]
    header += ["latency_seconds", "seconds", "state", "runs", "measured"]
    with replacing_table(path) as table:
        table.writerow(header)
        for rank, row, cost, latency in report.entries:
            line = [rank.strip(NOTHING), *(row.settings.get(axis, "") for axis in report.axes)]
            line += [str(row.objective.number if row.objective else 0)]
            line += [report.objective, report.goal]
            for one in (row.objective, *map(row.metrics.get, _AP.values())):
                line += _plain_numbers(one)
            line += [str(cost.parameters), str(cost.madds)] if cost else ["", ""]
            line += [f"{latency.median:.6f}" if latency else "", *_plain_numbers(row.seconds)[:1]]
            runs = ";".join(_relative(job.folder, output) for job in row.jobs)
            table.writerow([*line, state_of(row), runs, report.caption])


def _plain_numbers(value: Spread | None) -> list[str]:
    if value is None:
        return ["", ""]
    return [f"{value.mean:.6f}", "" if value.deviation is None else f"{value.deviation:.6f}"]


def _point_text(entry: Entry, axes: Sequence[str]) -> str:
    settings = settings_text(dict(zip(axes, axis_cells(entry.row, axes), strict=True)))
    return f"{entry.rank} ({f'{settings}, ' * bool(settings)}{show(entry.row.objective)})"


def _job_text(job: Job, name_run: Callable[[Path], str]) -> str:
    """A job that has no number, and why."""
    steps = steps_done(job.folder) if job.state == "running" else None
    said = job.error or (f"{steps:,} steps logged" if steps else "")
    about = ", ".join(filter(None, (job.state, settings_text(job.overrides))))
    return f"{name_run(job.folder)} ({about}){f': {said}' * bool(said)}"


def _items(lines: Sequence[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def _relative(folder: Path, start: Path) -> str:
    return Path(relpath(folder, start)).as_posix()


def _link(folder: Path, start: Path) -> str:
    return f"[{folder.name}]({quote(_relative(folder, start))})"
