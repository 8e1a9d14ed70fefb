"""Tables and pictures of studies: CSV, Markdown, bars and lines."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from facedet.files import replacing_table
from facedet.plots import drawing
from facedet.tables import pipe_table

Rows = Sequence[Mapping[str, Any]]


def save_csv(path: Path, rows: Rows, stamp: Mapping[str, Any]) -> None:
    """Writes rows of one set of columns as CSV, the stamp's values at the end of each.

    Args:
        path: the file.
        rows: column to value; floats are written with six digits, None as nothing.
        stamp: what the numbers belong to; it comes along when a row is copied elsewhere.
    """
    with replacing_table(path, errors="surrogateescape") as table:
        table.writerow([*rows[0], *stamp])
        for row in rows:
            table.writerow([_plain(value) for value in (*row.values(), *stamp.values())])


def markdown(rows: Rows) -> str:
    """Rows as an aligned Markdown table; APs and other floats with four decimals, None as "–"."""
    cells = [[_shown(value) for value in row.values()] for row in rows]
    is_number = [not isinstance(value, str) for value in rows[0].values()]
    return "\n".join(pipe_table(list(rows[0]), cells, is_number))


def plot_bars(
    path: Path, groups: Sequence[str], series: Mapping[str, Sequence[float]], title: str
) -> None:
    """Writes bars of values in 0 … 1, side by side within each group, as a picture.

    Args:
        path: the PNG file.
        groups: names along the axis.
        series: by name, a value for each group.
        title: says protocol, weights and image count.
    """
    width = 0.84 / len(series)
    with drawing(path, (max(6.0, 0.4 * len(groups) * len(series) + 1.5), 5)) as figure:
        axes = figure.subplots()
        for place, (name, values) in enumerate(series.items()):
            left = np.arange(len(groups)) + (place - (len(series) - 1) / 2) * width
            bars = axes.bar(left, values, width, label=name)
            axes.bar_label(bars, fmt="%.3f", fontsize=6, rotation=90, padding=2)
        axes.set_xticks(range(len(groups)), groups, rotation=35, ha="right", fontsize=8)
        axes.margins(x=0.01)
        # Room for the numbers above bars of 1.
        axes.set(ylim=(0, 1.12), yticks=np.arange(0, 1.1, 0.2))
        axes.set_title(title, fontsize=9)
        axes.grid(axis="y", alpha=0.3)
        figure.legend(*axes.get_legend_handles_labels(), loc="outside right upper", fontsize=8)
        figure.set_layout_engine("constrained")


def plot_lines(
    path: Path,
    series: Mapping[str, tuple[Sequence[float], Sequence[float]]],
    labels: tuple[str, str],
    title: str,
    log: bool = False,
) -> None:
    """Writes points joined by lines as a picture.

    Args:
        path: the PNG file.
        series: by name, x [N] and y [N].
        labels: of the x and the y axis, with their units.
        title: says what the numbers belong to.
        log: both axes are logarithmic, with a tick at every x that is there.
    """
    from matplotlib.ticker import LogLocator, NullFormatter

    with drawing(path, (6.5, 5)) as figure:
        axes = figure.subplots()
        for name, (x, y) in series.items():
            axes.plot(x, y, marker="o", markersize=4, label=name)
        axes.set(xlabel=labels[0], ylabel=labels[1])
        if log:
            axes.set(xscale="log", yscale="log")
            axes.set_xticks(sorted({value for x, _ in series.values() for value in x}))
            axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            for axis in (axes.xaxis, axes.yaxis):
                axis.set_major_formatter("{x:g}")
                axis.set_minor_formatter(NullFormatter())
        axes.set_title(title, fontsize=9)
        axes.grid(alpha=0.3, which="both")
        axes.legend(fontsize=8)


def _plain(value: object) -> object:
    if value is None:
        return ""
    return f"{value:.6g}" if isinstance(value, float) else value


def _shown(value: object) -> str:
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:.4f}"
    return f"{value:,}" if isinstance(value, int) else str(value)
