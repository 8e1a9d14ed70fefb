"""The tables of a sweep's report, for a terminal and for Markdown, and how their cells read."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from facedet.sweeps.statistics import Effect, Row, Spread
from facedet.tables import pipe_table

NOTHING = "–"  # where nothing was measured


class Table(NamedTuple):
    """A table of texts."""

    header: list[str]
    rows: list[list[str]]


class Section(NamedTuple):
    """A part of a report: lines, then a table, then lines."""

    title: str
    lines: Sequence[str] = ()
    table: Table | None = None
    remarks: Sequence[str] = ()


def to_text(table: Table) -> str:
    """Columns side by side; those of numbers are flush right."""
    columns = list(zip(table.header, *table.rows, strict=True))
    widths = [max(map(len, column)) for column in columns]
    is_number = [all(cell[:1].isdigit() or cell == NOTHING for cell in one[1:]) for one in columns]
    lines = []
    for row in (table.header, *table.rows):
        cells = [
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(row, widths, is_number, strict=True)
        ]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def to_markdown(table: Table) -> str:
    """A pipe table."""
    return "\n".join(pipe_table(table.header, table.rows))


def settings_text(settings: Mapping[str, str]) -> str:
    """`key=value` of each setting."""
    return " ".join(f"{key}={value}" for key, value in settings.items())


def show(value: Spread | None, digits: int = 4) -> str:
    """Mean ± sample standard deviation; of one measurement the deviation is not known.

    >>> show(Spread(0.5, None, 1)), show(Spread(0.5, 0.01, 3)), show(None)
    ('0.5000 ± –', '0.5000 ± 0.0100', '–')
    """
    if value is None:
        return NOTHING
    deviation = NOTHING if value.deviation is None else f"{value.deviation:.{digits}f}"
    return f"{value.mean:.{digits}f} ± {deviation}"


def state_of(row: Row) -> str:
    """How far the row's jobs are: `finished`, or `2 finished, 1 failed`."""
    states = [job.state for job in row.jobs]
    if len(set(states)) == 1:
        return states[0]
    return ", ".join(f"{states.count(one)} {one}" for one in dict.fromkeys(states))


def axis_cells(row: Row, axes: Sequence[str]) -> list[str]:
    """The row's value on each axis, NOTHING where it was not set."""
    return [row.settings.get(axis) or NOTHING for axis in axes]


def effect_sections(
    effects: Sequence[Effect], grid: tuple[int, int], goal: str, caption: str
) -> list[Section]:
    """One table for all axes, and how far its comparisons go.

    Args:
        effects: of `sweep_results.effects`.
        grid: measured and all combinations, of `sweep_results.grid_cells`.
        goal: "max" or "min".
        caption: protocol and steps of the numbers.
    """
    if not effects:
        return []
    pick: Callable[..., float] = max if goal == "max" else min
    cells, remarks = [], []
    for axis in dict.fromkeys(effect.axis for effect in effects):
        own = [effect for effect in effects if effect.axis == axis]
        paired = [effect.paired.mean for effect in own if effect.paired]
        best = pick(paired) if paired else None
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
    lines = (
        f"Marginal means of the objective. {caption}",
        "paired: settings of everything else, seed included, at which all values were measured",
    )
    return [Section("Effect of each setting", lines, Table(header, cells), remarks)]


def _effect_cells(effect: Effect, best: float | None) -> list[str]:
    cells = [effect.axis, effect.value or NOTHING]
    for one in (effect.finished, effect.paired):
        cells += ["0", NOTHING] if one is None else [str(one.number), f"{one.mean:.4f}"]
    if effect.paired is None or best is None:
        return [*cells, NOTHING]
    return [*cells, f"{effect.paired.mean - best:+.4f}"]
