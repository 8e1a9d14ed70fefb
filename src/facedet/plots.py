"""Drawings: boxes, sheets of pictures, precision-recall curves, histograms, trade-offs."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeVar

import cv2
import numpy as np
from PIL import Image

from facedet.errors import FacedetError
from facedet.files import replacing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from torch import Tensor

FOUND = (46, 204, 64)  # RGB
MISSED = (255, 65, 54)
FALSE_ALARM = (255, 200, 0)
# Stands in the header of every JPEG drawn here, so that nobody takes it for a photo.
_MARK = b"drawn by facedet"
Item = TypeVar("Item")
_Corner = Literal["best", "lower left", "lower right"]
_BARS = 40  # of a histogram, over the range of all numbers
_BEST, _BEATEN = "tab:orange", "tab:blue"  # trade-offs


class Point(NamedTuple):
    """Something with a cost and a value, to be drawn as a point."""

    cost: float
    value: float
    deviation: float | None  # of the value; None: not known
    name: str  # short: it is drawn next to the point
    is_on_front: bool


class Box(NamedTuple):
    """A box to draw."""

    corners: Sequence[float]  # x1, y1, x2, y2 px
    colour: tuple[int, int, int] = FOUND
    text: str = ""


def draw_boxes(rgb: np.ndarray, boxes: Sequence[Box]) -> np.ndarray:
    """A copy of an RGB image, uint8 [H, W, 3], with the boxes and their texts drawn on it.

    Lines and letters grow with the picture; a text stays inside it, and is left out over a face.
    """
    canvas = np.ascontiguousarray(rgb).copy()
    height, width = canvas.shape[:2]
    line = max(1, round(max(height, width) / 500))
    font = (cv2.FONT_HERSHEY_SIMPLEX, max(0.32, max(height, width) / 2600))
    # OpenCV takes no numbers as large as a diverging training gives; its lines lie outside anyway.
    low, high = -2 * line, 2 * line + np.array([width, height, width, height])
    corners = np.array([[*map(float, box.corners)] for box in boxes]).reshape(-1, 4)
    corners = np.rint(np.clip(corners, low, high)).astype(int)
    middles = (corners[:, :2] + corners[:, 2:]) / 2
    for box, (x1, y1, x2, y2) in zip(boxes, corners.tolist(), strict=True):
        cv2.rectangle(canvas, (x1, y1), (x2, y2), box.colour, line)
        (w, h), base = cv2.getTextSize(box.text, *font, 1)
        x = int(np.clip(x1, 0, max(0, width - w)))
        y = y1 - line if y1 - h - base > 0 else min(y2 + h + line, height - base)
        start, end = (x, y - h - 1), (x + w, y + base - 1)
        if box.text and not ((middles > start) & (middles < end)).all(axis=1).any():
            cv2.rectangle(canvas, start, end, box.colour, -1)
            cv2.putText(canvas, box.text, (x, y), *font, (0, 0, 0), 1, cv2.LINE_AA)
    return canvas


def judge_boxes(
    found: "Tensor", scores: Sequence[float], faces: "Tensor", counts: "Tensor | None" = None
) -> list[Box]:
    """Boxes to draw: missed faces, then found ones and false alarms with their scores.

    A face is found where a detection overlaps it with an IoU of at least 0.5. `found` [N, 4] and
    `faces` [G, 4] are xyxy pixels; `counts` [G] says which faces can be missed, None: all.
    """
    # A command that draws curves only does not wait for torch.
    from facedet.boxes import iou

    hit = iou(found, faces) >= 0.5
    missed = ~hit.any(dim=0) if counts is None else counts & ~hit.any(dim=0)
    drawn = [Box(face, MISSED) for face in faces[missed].tolist()]
    for box, score, is_hit in zip(found.tolist(), scores, hit.any(dim=1).tolist(), strict=True):
        drawn.append(Box(box, FOUND if is_hit else FALSE_ALARM, f"{score:.2f}"))
    return drawn


def fitted(rgb: np.ndarray, side: int) -> tuple[np.ndarray, float]:
    """A picture whose longer side has so many pixels, and the factor; boxes are drawn after it."""
    scale = side / max(rgb.shape[:2])
    # The shorter side of a panorama would round to nothing.
    size = [max(1, round(length * scale)) for length in rgb.shape[1::-1]]
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return cv2.resize(rgb, size, interpolation=method), scale


def evenly(items: Sequence[Item], count: int) -> list[Item]:
    """So many of the items, or all where they are fewer, evenly chosen."""
    places = np.linspace(0, len(items) - 1, min(count, len(items))).round().astype(int)
    return [items[place] for place in places]


def sheet(pictures: Sequence[np.ndarray], columns: int, cell: int) -> np.ndarray:
    """RGB pictures of any sizes side by side, each fitted into a square cell of `cell` px."""
    rows = -(-len(pictures) // columns)
    canvas = np.full((rows * cell, columns * cell, 3), 255, np.uint8)
    for position, picture in enumerate(pictures):
        small, _ = fitted(picture, cell - 4)
        y, x = (position // columns) * cell + 2, (position % columns) * cell + 2
        canvas[y : y + small.shape[0], x : x + small.shape[1]] = small
    return canvas


def save_picture(path: Path, rgb: np.ndarray, durable: bool = True, quality: int = 75) -> None:
    """Writes an RGB image, whole or not at all; raises `FacedetError` where it cannot."""
    try:
        with replacing(path, durable) as aside:
            Image.fromarray(rgb).save(aside, comment=_MARK, quality=quality)
    except ValueError as error:  # more pixels than the format takes
        raise FacedetError(f"{path} cannot be written: {error}") from error


def is_drawn(path: Path) -> bool:
    """Whether a file is a JPEG that `save_picture` wrote."""
    try:
        with Image.open(path) as image:
            return image.info.get("comment") == _MARK
    except Exception:  # whatever is no picture was not drawn here
        return False


@contextmanager
def drawing(path: Path, size: tuple[float, float], dpi: int = 120) -> "Iterator[Figure]":
    """A matplotlib figure of `size` inches that the block draws on; then it is written to `path`.

    Raises:
        FacedetError: the file cannot be written.
    """
    # Without pyplot, which would choose a window or a notebook to draw in.
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, dpi=dpi)
    yield figure
    if figure.get_layout_engine() is None:
        figure.tight_layout()
    with replacing(path) as aside:
        figure.savefig(aside)


@contextmanager
def _axes(
    path: Path, size: tuple[float, float], title: str, legend: _Corner = "best"
) -> "Iterator[Axes]":
    """The axes of a single drawing, with title, grid and legend."""
    with drawing(path, size) as figure:
        axes = figure.subplots()
        yield axes
        axes.set_title(title, fontsize=9)
        axes.grid(alpha=0.3)
        if axes.get_legend_handles_labels()[1]:
            axes.legend(loc=legend)


def plot_precision_recall(
    path: Path,
    curves: Mapping[str, tuple[np.ndarray, np.ndarray]],
    values: Mapping[str, float],
    title: str,
) -> None:
    """Writes precision [T] over recall [T], by subset, as a PNG file; `values` has their APs."""
    with _axes(path, (6, 5), title, "lower left") as axes:
        for name, (precision, recall) in curves.items():
            # Before the first detection precision is undefined, not 0.
            shown = recall > 0
            axes.plot(recall[shown], precision[shown], label=f"{name}  AP {values[name]:.3f}")
        axes.set(xlabel="recall", ylabel="precision", xlim=(0, 1), ylim=(0, 1.02))


def plot_roc(
    path: Path, curves: Mapping[str, tuple[np.ndarray, np.ndarray]], limit: int, title: str
) -> None:
    """Writes curves of false positives [T] and true positive rates [T] up to `limit` as a PNG."""
    with _axes(path, (6, 5), title, "lower right") as axes:
        for name, points in curves.items():
            axes.plot(*points, label=name)
        axes.set(
            xlabel="false positives", ylabel="true positive rate", xlim=(0, limit), ylim=(0, 1)
        )


def plot_histogram(path: Path, values: Mapping[str, np.ndarray], label: str, title: str) -> None:
    """Writes a histogram of positive numbers, by series, over a logarithmic axis `label` as PNG."""
    with _axes(path, (6, 4), title) as axes:
        together = np.concatenate([np.zeros(0), *values.values()])
        if len(together):
            # A range of one value would have no width.
            edges = np.geomspace(together.min() * 0.99, together.max() * 1.01, _BARS + 1)
            for name, series in values.items():
                axes.hist(series, edges.tolist(), histtype="stepfilled", alpha=0.6, label=name)
            axes.set_xscale("log")
        axes.set(xlabel=label, ylabel="number")


def pareto_front(costs: Sequence[float], values: Sequence[float]) -> list[bool]:
    """Which points no other one beats: none costs as little and is as good, and better in one.

    >>> pareto_front([1, 2, 3, 3], [0.5, 0.4, 0.6, 0.6])
    [True, False, True, True]
    """
    points = list(zip(costs, values, strict=True))
    return [
        not any(c <= cost and v >= value and (c, v) != (cost, value) for c, v in points)
        for cost, value in points
    ]


def plot_trade_off(
    path: Path, panels: Mapping[str, Sequence[Point]], label: str, title: str
) -> None:
    """Writes values over one or several costs as a PNG file, the best trade-offs joined by steps.

    `panels` has the points by the label of their cost, with its unit; `label` is the value's.
    """
    from matplotlib.ticker import EngFormatter, LogLocator, NullFormatter

    with drawing(path, (0.8 + 4.6 * len(panels), 4.6)) as figure:
        drawings = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
        for axes, (cost, points) in zip(drawings, panels.items(), strict=True):
            front = sorted(point[:2] for point in points if point.is_on_front)
            # Between two of its points a front offers what the cheaper one does.
            axes.plot(*zip(*front, strict=True), drawstyle="steps-post", color=_BEST, zorder=1)
            for point in points:
                axes.errorbar(
                    point.cost, point.value, point.deviation, fmt="o", markersize=5, capsize=3,
                    color=_BEST if point.is_on_front else _BEATEN, elinewidth=1,
                )  # fmt: skip
            costs = [point.cost for point in points]
            if max(costs) > 10 * min(costs) > 0:
                axes.set_xscale("log")
                axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
                axes.xaxis.set_minor_formatter(NullFormatter())
            axes.xaxis.set_major_formatter(EngFormatter(sep=" "))
            axes.set_xlabel(cost)
            axes.margins(0.08)
            axes.grid(alpha=0.3)
        drawings[0].set_ylabel(label)
        figure.suptitle(title, fontsize=9)
        figure.tight_layout()  # names are placed where the points are in the end
        for axes, points in zip(drawings, panels.values(), strict=True):
            _name_points(axes, points)


def _name_points(axes: "Axes", points: Sequence[Point]) -> None:
    """Names the points, the best first. A name that would lie over a point or name is left out."""
    from matplotlib.transforms import Bbox

    places = axes.transData.transform([point[:2] for point in points])
    taken = [Bbox([place, place]).padded(5) for place in places]  # a point's radius and a little
    for point in sorted(points, key=lambda point: not point.is_on_front):
        for right, up in product((True, False), repeat=2):
            name = axes.annotate(
                point.name, point[:2], (5 if right else -5, 4 if up else -4), fontsize=8,
                textcoords="offset points", ha="left" if right else "right",
                va="bottom" if up else "top", color=_BEST if point.is_on_front else _BEATEN,
                bbox={"color": "white", "alpha": 0.85, "pad": 0},  # on the steps
            )  # fmt: skip
            box = name.get_window_extent()
            is_inside = all(axes.bbox.contains(*corner) for corner in (box.min, box.max))
            if is_inside and not any(box.overlaps(other) for other in taken):
                taken.append(box)
                break
            name.remove()
