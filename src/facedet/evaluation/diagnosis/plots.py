"""The pictures of a diagnosis: bars and lines of its tables, and the AP of single images."""

from pathlib import Path
from typing import Any

import numpy as np

from facedet.evaluation.diagnosis.report import Table
from facedet.plots import drawing

# An AP that is a sum of recall steps misses 1 by rounding.
SOLVED = 1 - 1e-6
_STRONG, _PALE, _LOSS = "#1f77b4", "#aec7e8", "#d62728"


def plot_diagnosis(path: Path, tables: dict[str, Table], title: str) -> None:
    """Writes recall by height and by attribute, AP by score and the cost of errors as a PNG."""
    with drawing(path, (13, 9.5), dpi=110) as figure:
        ((heights, errors), (attributes, scores)) = figure.subplots(2, 2)
        for axes, key in ((heights, "recall_height"), (attributes, "recall_attributes")):
            rows = [row for row in tables[key].rows if row[1]]
            labels = [f"{row[0]} ({row[1]:,})" for row in rows]
            for column, colour in ((3, _PALE), (2, _STRONG)):
                _bars(axes, tables[key].title, labels, [row[column] for row in rows], colour)
            text = "recall from the operating score on; pale: boxes of any score (faces)"
            axes.set(xlim=(0, 1.02), xlabel=text)  # a legend would cover bars
        rows = sorted(
            (row for row in tables["errors"].rows if not str(row[0]).startswith("all ")),
            key=lambda row: -row[5],  # type: ignore[operator]
        )
        labels = [f"{row[0]}\n{row[1]:,} {row[2]}, {row[5]:+.4f}" for row in rows]
        _bars(errors, tables["errors"].title, labels, [row[5] for row in rows], _LOSS)
        errors.set_xlabel("gain in AP")
        table = tables["ap_by_score"]
        columns = np.array(table.rows, dtype=np.float64).T
        for name, curve in zip(table.header[1:-1], columns[1:-1], strict=True):
            scores.plot(columns[0], curve, "o-" if name.startswith("AP ") else "--", label=name)
        scores.set(xlabel="score", ylim=(0, 1.02), xlim=(-0.02, 1))
        scores.set_title(table.title, fontsize=10)
        scores.legend(fontsize=8)
        scores.grid(alpha=0.3)
        figure.suptitle(title, fontsize=11)


def plot_image_aps(path: Path, values: np.ndarray, title: str) -> None:
    """Writes the sorted AP of single images and their histogram as a PNG.

    In the manner of arXiv 1811.11662, figure 1; of `values` [I] those that are no number are left
    out.
    """
    values = np.sort(values[~np.isnan(values)])[::-1]
    solved = int((values >= SOLVED).sum())
    with drawing(path, (10, 4), dpi=110) as figure:
        curve, bars = figure.subplots(1, 2)
        curve.fill_between(np.arange(len(values)), values, step="post", color=_PALE)
        curve.axvline(solved, color="black", linewidth=0.8, linestyle="--")
        curve.set(xlabel="images, best first", ylabel="AP of the image", ylim=(0, 1.02))
        share = f"{solved / max(len(values), 1):.1%}"
        curve.set_title(f"{solved:,} of {len(values):,} images solved, AP 1 ({share})", fontsize=9)
        bars.hist(values, np.linspace(0, 1, 21).tolist(), color=_STRONG)
        bars.set(xlabel="AP of the image", ylabel="images", xlim=(0, 1))
        figure.suptitle(title, fontsize=9)


def _bars(axes: Any, title: str, labels: list[str], values: list, colour: str) -> None:  # noqa: ANN401
    """Bars from above to below."""
    places = range(len(labels))[::-1]
    axes.barh(places, values, color=colour, height=0.6)
    axes.set_yticks(places, labels, fontsize=8)
    axes.set_title(title, fontsize=10)
    axes.grid(axis="x", alpha=0.3)
    axes.set_axisbelow(True)
