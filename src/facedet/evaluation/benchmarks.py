"""What each benchmark is made of: the files it reads and writes, its metric and its curves.

`facedet score --protocol NAME` and the key `protocol.benchmark` of `facedet evaluate` name them.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from facedet.data.readers.afw import read_afw_ground_truth
from facedet.data.readers.fddb import bounding_boxes, read_fddb_ground_truth
from facedet.data.readers.pascal import read_pascal_ground_truth
from facedet.data.readers.wider import count_all_faces, read_ground_truth, subset_names
from facedet.errors import FacedetError, UsageError
from facedet.evaluation.detect import DetectionWriter
from facedet.evaluation.detection_files import EventFiles, read_detections
from facedet.evaluation.detection_lists import (
    FoldFile,
    ScoredLines,
    read_fddb_detections,
    read_scored_lines,
)
from facedet.evaluation.scoring import Feed, Row, feed_wider, require_subsets, to_detections
from facedet.metrics.fddb import EllipseDetections, EllipseTarget, FddbRoc
from facedet.metrics.voc import VocAP
from facedet.metrics.wider import WiderAP
from facedet.plots import plot_precision_recall, plot_roc
from facedet.structures import Record, Target


@dataclass(frozen=True)
class Benchmark:
    """The parts of a benchmark.

    Args:
        title: its name for a reader.
        entry, entries: what one picture and what several have in a result, for messages.
        metric: makes the metric as published, but for keyword arguments.
        options: the metric's arguments that the command line may set.
        read_truth: path to all annotated pictures; none needs to be on disk.
        read_found: path to detections by picture.
        writer: (folder, **layout) to what writes the benchmark's result files.
        require: (records, root, split): refuses records that cannot be scored.
        given: (records): the arguments of the metric that the records decide.
        feed: gives the metric one picture and what was found in it.
        describe: how the metric's values are computed, the main thing first.
        rows: (metric, report): the values for a reader.
        columns: the metric's curves for a file.
        picture: name of the file with the drawn curves.
        draw: (path, metric, report, title): draws them.
    """

    title: str
    entry: str
    entries: str
    metric: Callable[..., Any]
    options: tuple[str, ...]
    read_truth: Callable[[Path], list[Record]]
    read_found: Callable[[Path], dict[str, np.ndarray]]
    writer: Callable[..., DetectionWriter]
    require: Callable[[Sequence[Record], Path, str], None]
    given: Callable[[Sequence[Record]], dict[str, Any]]
    feed: Feed
    describe: Callable[[Any], list[str]]
    rows: Callable[[Any, Mapping[str, Any]], list[Row]]
    columns: Callable[[Any], dict[str, np.ndarray]]
    picture: str
    draw: Callable[[Path, Any, Mapping[str, Any], str], None]


def _require_lists(records: Sequence[Record], root: Path, split: str) -> None:
    # The official lists are of val; without any, all faces of another split count.
    if split != "val":
        count_all_faces(records)
    require_subsets(records, root)


def _give_subsets(records: Sequence[Record]) -> dict[str, Any]:
    return {"subsets": subset_names(records)}


def _describe_wider(metric: WiderAP) -> list[str]:
    rounding = "rounded as by the official toolbox" if metric.integer_quirk else "not rounded"
    return [f"IoU {metric.iou} ({rounding})", f"{metric.thresholds:,} thresholds"]


def _wider_rows(metric: WiderAP, report: Mapping[str, Any]) -> list[Row]:
    curves = metric.curves().items()
    return [Row(name, "AP", report[f"wider/{name}"], curve.faces) for name, curve in curves]


def _wider_columns(metric: WiderAP) -> dict[str, np.ndarray]:
    columns = {"threshold": 1 - np.arange(1, metric.thresholds + 1) / metric.thresholds}
    for name, curve in metric.curves().items():
        columns[f"{name}_recall"] = curve.recall.numpy()
        columns[f"{name}_precision"] = curve.precision.numpy()
    return columns


def _draw_wider(path: Path, metric: WiderAP, report: Mapping[str, Any], title: str) -> None:
    curves = {
        name: (curve.precision.numpy(), curve.recall.numpy())
        for name, curve in metric.curves().items()
    }
    plot_precision_recall(path, curves, {name: report[f"wider/{name}"] for name in curves}, title)


def _require_ellipses(records: Sequence[Record], root: Path, split: str) -> None:
    if any("ellipses" not in record.tags for record in records):
        raise FacedetError(f"{root}: its faces are no ellipses, wanted FDDB (data=fddb)")


def _feed_fddb(metric: FddbRoc, record: Record, rows: np.ndarray, index: int) -> None:
    boxes, ellipses = map(torch.from_numpy, (record.boxes, record.tags["ellipses"]))
    target = EllipseTarget(boxes, ellipses, index, record.tags["size"])
    found = to_detections(rows) if rows.shape[1] == 5 else _to_ellipses(rows)
    metric.update([found], [target])


def _to_ellipses(rows: np.ndarray) -> EllipseDetections:
    """Rows [N, 6] of an ellipse and a score."""
    boxes, scores, ellipses = bounding_boxes(rows[:, :5]), rows[:, 5], rows[:, :5]
    return EllipseDetections(*map(torch.from_numpy, (boxes, scores.copy(), ellipses.copy())))


def _describe_fddb(metric: FddbRoc) -> list[str]:
    drawn = {
        "masks": "ellipses drawn as by the official tool",
        "boxes": "ellipses replaced by boxes, not comparable with published values",
    }
    similarity = f"similarity above {metric.threshold} ({drawn[metric.ellipses]})"
    return [similarity, f"cut at the borders: {metric.settings()['border']}"]


def _fddb_rows(metric: FddbRoc, report: Mapping[str, Any]) -> list[Row]:
    faces = metric.roc().faces
    return [
        Row(f"{name}, {limit:,} FP", "TPR", report[f"fddb/{name}_{limit}"], faces)
        for limit in metric.false_positives
        for name in ("discrete", "continuous")
    ]


def _fddb_columns(metric: FddbRoc) -> dict[str, np.ndarray]:
    columns = metric.roc()._asdict()
    return {name: values for name, values in columns.items() if name != "faces"}


def _draw_fddb(path: Path, metric: FddbRoc, report: Mapping[str, Any], title: str) -> None:
    roc = metric.roc()
    rates = {"discrete": roc.discrete, "continuous": roc.continuous}
    plot_roc(path, roc.false_positives, rates, max(metric.false_positives), title)


def _require_nothing(records: Sequence[Record], root: Path, split: str) -> None:
    """Every record has boxes."""


def _give_nothing(records: Sequence[Record]) -> dict[str, Any]:
    return {}


def _feed_voc(metric: VocAP, record: Record, rows: np.ndarray, index: int) -> None:
    boxes, ignore = map(torch.from_numpy, (record.boxes, record.ignore))
    subsets = torch.zeros((len(boxes), 0), dtype=torch.bool)
    metric.update([to_detections(rows)], [Target(boxes, ignore, subsets, index, (0, 0))])


def _describe_voc(metric: VocAP) -> list[str]:
    return [
        f"IoU above {metric.iou}, boxes refined {metric.rounds - 1} times",
        f"faces below {metric.min_face} px ignored",
    ]


def _voc_rows(metric: VocAP, report: Mapping[str, Any]) -> list[Row]:
    faces = metric.curves()[-1].faces
    labels = {"ap": "all points", "ap_11": "11 points", "ap_unrefined": "unrefined"}
    return [
        Row(label, "AP", report[f"{metric.name}/{key}"], faces) for key, label in labels.items()
    ]


def _voc_columns(metric: VocAP) -> dict[str, np.ndarray]:
    curve = metric.curves()[-1]
    return {name: getattr(curve, name).numpy() for name in ("threshold", "recall", "precision")}


def _draw_voc(path: Path, metric: VocAP, report: Mapping[str, Any], title: str) -> None:
    curve = metric.curves()[-1]
    drawn = {metric.name: (curve.precision.numpy(), curve.recall.numpy())}
    plot_precision_recall(path, drawn, {metric.name: report[f"{metric.name}/ap"]}, title)


_VOC = partial(
    Benchmark,
    entry="detection",
    entries="names with detections",
    options=("rounds",),
    read_found=read_scored_lines,
    writer=ScoredLines,
    require=_require_nothing,
    given=_give_nothing,
    feed=_feed_voc,
    describe=_describe_voc,
    rows=_voc_rows,
    columns=_voc_columns,
    picture="precision_recall.png",
    draw=_draw_voc,
)

BENCHMARKS = {
    "wider": Benchmark(
        title="WIDER FACE val",
        entry="detection file",
        entries="detection files",
        metric=WiderAP,
        options=("integer_quirk",),
        read_truth=read_ground_truth,
        read_found=read_detections,
        writer=EventFiles,
        require=_require_lists,
        given=_give_subsets,
        feed=feed_wider,
        describe=_describe_wider,
        rows=_wider_rows,
        columns=_wider_columns,
        picture="precision_recall.png",
        draw=_draw_wider,
    ),
    "fddb": Benchmark(
        title="FDDB",
        entry="block of detections",
        entries="blocks of detections",
        metric=FddbRoc,
        options=("ellipses",),
        read_truth=read_fddb_ground_truth,
        read_found=read_fddb_detections,
        writer=FoldFile,
        require=_require_ellipses,
        given=_give_nothing,
        feed=_feed_fddb,
        describe=_describe_fddb,
        rows=_fddb_rows,
        columns=_fddb_columns,
        picture="roc.png",
        draw=_draw_fddb,
    ),
    "afw": _VOC(title="AFW", metric=partial(VocAP, "afw"), read_truth=read_afw_ground_truth),
    "pascal": _VOC(
        title="Pascal Faces",
        metric=partial(VocAP, "pascal"),
        read_truth=read_pascal_ground_truth,
    ),
}


def find_benchmark(name: str) -> Benchmark:
    """The benchmark of that name; raises `UsageError` where there is none."""
    if name not in BENCHMARKS:
        names = ", ".join(BENCHMARKS)
        raise UsageError(f"protocol.benchmark={name}: there is no such one; there are {names}")
    return BENCHMARKS[name]
