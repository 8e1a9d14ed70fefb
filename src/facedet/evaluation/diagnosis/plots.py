"""The pictures of a diagnosis: bars and lines of its tables, and the worst pictures themselves."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from facedet.evaluation.diagnosis.report import SOLVED, Row, Table
from facedet.plots import FALSE_ALARM, FOUND, MISSED, Box, draw_boxes, drawing
from facedet.structures import Record

CELL = 640  # px: the side of a cell of the sheet
_STRONG, _PALE, _LOSS = "#1f77b4", "#aec7e8", "#d62728"


def plot_diagnosis(path: Path, tables: dict[str, Table], title: str) -> None:
    """Writes recall by height and by attribute, AP by score and the cost of errors as a picture.

    Args:
        path: the PNG file.
        tables: by name, those of `facedet.evaluation.diagnosis.report`.
        title: says subset, AP, weights and image count.
    """
    with drawing(path, (13, 9.5), dpi=110) as figure:
        ((heights, errors), (attributes, scores)) = figure.subplots(2, 2)
        _draw_recalls(heights, tables["recall_height"], "recall over ceiling")
        _draw_recalls(attributes, tables["recall_attributes"], "recall")
        _draw_errors(errors, tables["errors"])
        _draw_scores(scores, tables["ap_by_score"])
        figure.suptitle(title, fontsize=11)


def plot_image_aps(path: Path, values: np.ndarray, title: str) -> None:
    """Writes the sorted AP of single images (arXiv 1811.11662, figure 1), and their histogram.

    Args:
        path: the PNG file.
        values: [I] in [0, 1]; those that are no number are left out.
        title: says subset, weights and image count.
    """
    values = np.sort(values[~np.isnan(values)])[::-1]
    places, solved = np.arange(len(values)), int((values >= SOLVED).sum())
    with drawing(path, (10, 4), dpi=110) as figure:
        curve, bars = figure.subplots(1, 2)
        curve.fill_between(places, values, step="post", color=_PALE)
        curve.step(places, values, where="post", color=_STRONG)
        curve.axvline(solved, color="black", linewidth=0.8, linestyle="--")
        curve.set(xlabel="images, best first", ylabel="AP of the image", ylim=(0, 1.02))
        curve.set_xlim(0, max(len(values), 1))
        share = f"{solved / max(len(values), 1):.1%}"
        curve.set_title(f"{solved:,} of {len(values):,} images solved, AP 1 ({share})", fontsize=9)
        bars.hist(values, np.linspace(0, 1, 21).tolist(), color=_STRONG)
        bars.set(xlabel="AP of the image", ylabel="images", xlim=(0, 1))
        for axes in (curve, bars):
            axes.grid(alpha=0.3)
        figure.suptitle(title, fontsize=9)


def draw_verdicts(
    rgb: np.ndarray,
    record: Record,
    rows: np.ndarray,
    verdicts: tuple[np.ndarray, np.ndarray, np.ndarray],
    caption: str,
) -> np.ndarray:
    """A picture as large as a sheet's cell, with what the protocol says of its faces and boxes.

    Green: found; red: missed; yellow: a false box. Faces outside the subset, and the boxes that
    match them, are not drawn.

    Args:
        rgb: uint8 [H, W, 3], the record's picture.
        record: its faces.
        rows: the detections [N, 5] as x, y, w, h, score.
        verdicts: of `Verdicts.picture`.
        caption: for its upper left corner.
    """
    # Shrunk first, so that lines and letters are not.
    scale = (CELL - 4) / max(rgb.shape[:2])
    size = [max(1, round(side * scale)) for side in rgb.shape[1::-1]]
    rgb = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    corners = np.hstack([rows[:, :2], rows[:, :2] + rows[:, 2:4]])
    missed, right, wrong = verdicts
    drawn = ((MISSED, record.boxes[missed]), (FALSE_ALARM, corners[wrong]), (FOUND, corners[right]))
    boxes = [Box(box * scale, colour) for colour, some in drawn for box in some]
    return draw_boxes(rgb, [*boxes, Box((0, 0, 1, 1), (255, 255, 255), caption)])


def _draw_recalls(axes: Any, table: Table, label: str) -> None:  # noqa: ANN401
    """Recall over ceiling recall of each group of faces, with the numbers of faces."""
    rows = [row for row in table.rows if row[1]][::-1]
    places, ceilings = range(len(rows)), _column(rows, 3)
    axes.barh(places, ceilings, color=_PALE, label="boxes of any score")
    axes.barh(places, _column(rows, 2), color=_STRONG, height=0.6, label="operating score")
    for place, row in zip(places, rows, strict=True):
        axes.text(ceilings[place] + 0.01, place, f"{row[1]:,}", va="center", fontsize=8)
    axes.set_yticks(list(places), [row[0] for row in rows], fontsize=8)
    axes.set(xlim=(0, 1.12), xlabel=label)
    axes.set_title(f"{table.title} (at the bars: their number)", fontsize=10)
    axes.legend(loc="lower right", fontsize=8)
    _grid(axes)


def _draw_errors(axes: Any, table: Table) -> None:  # noqa: ANN401
    """The gain in AP if each kind of error were fixed, most first from above."""
    single = [row for row in table.rows if not str(row[0]).startswith("all ")]
    rows = [single[place] for place in np.argsort(_column(single, 5), kind="stable")]
    places, gains = range(len(rows)), _column(rows, 5)
    axes.barh(places, gains, color=_LOSS)
    for place, row in zip(places, rows, strict=True):
        axes.text(max(gains[place], 0), place, f" {row[5]:+.4f}", va="center", fontsize=8)
    labels = [f"{row[0]}\n{row[1]:,} {row[2]}" for row in rows]
    axes.set_yticks(list(places), labels, fontsize=8)
    axes.set_xlim(min(gains.min(), 0), max(gains.max(), 0.001) * 1.18)
    axes.set_xlabel("gain in AP")
    axes.set_title(table.title, fontsize=10)
    _grid(axes)


def _draw_scores(axes: Any, table: Table) -> None:  # noqa: ANN401
    """AP of each subset, precision and recall over the score below which boxes are dropped."""
    lowest = _column(table.rows, 0)
    for column, name in enumerate(table.header[1:-1], start=1):
        style = {"marker": "o", "markersize": 4} if name.startswith("AP ") else {"linestyle": "--"}
        axes.plot(lowest, _column(table.rows, column), label=name, **style)
    axes.set(xlabel="score", ylim=(0, 1.02), xlim=(-0.02, 1))
    axes.set_title(table.title, fontsize=10)
    axes.legend(fontsize=8)
    axes.grid(alpha=0.3)


def _grid(axes: Any) -> None:  # noqa: ANN401
    axes.grid(axis="x", alpha=0.3)
    axes.set_axisbelow(True)


def _column(rows: Sequence[Row], place: int) -> np.ndarray:
    """A column of numbers, or of texts that are numbers."""
    return np.array([row[place] for row in rows], dtype=np.float64)
