"""The benchmarks: what files each reads and writes, and what it makes of its metric.

A protocol (`conf/protocol/NAME.yaml`) chooses one of these classes, or one of your own, as
`benchmark: {_target_: …}`.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from facedet.data.readers.afw_pascal import read_afw_ground_truth, read_pascal_ground_truth
from facedet.data.readers.fddb import bounding_boxes, read_fddb_ground_truth
from facedet.data.readers.wider import (
    count_all_faces,
    read_ground_truth,
    require_subsets,
    subset_names,
)
from facedet.errors import FacedetError
from facedet.evaluation.detect import DetectionWriter
from facedet.evaluation.detection_files import EventFiles, read_detections, to_detections
from facedet.evaluation.detection_lists import (
    FoldFile,
    ScoredLines,
    read_fddb_detections,
    read_scored_lines,
)
from facedet.metrics.fddb import EllipseDetections, EllipseTarget, FddbRoc
from facedet.metrics.voc import VocAP
from facedet.metrics.wider import WiderAP
from facedet.plots import plot_precision_recall, plot_roc
from facedet.structures import Record, Target


class Row(NamedTuple):
    """One number of a report."""

    label: str
    kind: str  # "AP", say
    value: float  # in [0, 1]
    faces: int  # that it refers to


class Benchmark(ABC):
    """A data set's files and numbers; the defaults are result files and AP as of WIDER FACE.

    The metric is the protocol's: it has `update`, `compute`, `images`, `detections` and
    `settings`, as `facedet.metrics.wider.WiderAP`.
    """

    title: str  # for a reader
    entry = "detection file"  # what one picture has in a result, for messages
    entries = "detection files"
    columns = "x y w h score"  # of a line of the result files
    picture = "precision_recall.png"  # the file with the drawn curves

    @abstractmethod
    def read_truth(self, path: Path) -> list[Record]:
        """All annotated pictures, for `facedet score`; none needs to be on disk."""

    @abstractmethod
    def describe(self, metric: Any) -> list[str]:  # noqa: ANN401
        """How the numbers are computed, the main thing first."""

    @abstractmethod
    def rows(self, metric: Any, report: Mapping[str, Any]) -> list[Row]:  # noqa: ANN401
        """The numbers for a reader, in a table or a figure."""

    @abstractmethod
    def curves(self, metric: Any) -> dict[str, np.ndarray]:  # noqa: ANN401
        """The metric's curves by the name of their column in curves.csv, [T] each."""

    @abstractmethod
    def draw(self, path: Path, metric: Any, report: Mapping[str, Any], title: str) -> None:  # noqa: ANN401
        """Draws the curves into a PNG file."""

    def read_detections(self, path: Path) -> dict[str, np.ndarray]:
        """By record name, detections [N, 5] as x, y, w, h, score in pixels."""
        return read_detections(path)

    def writer(self, folder: Path, **layout: Any) -> DetectionWriter:  # noqa: ANN401
        """What writes the result files; `layout` are the protocol's `files`."""
        return EventFiles(folder, **layout)

    def require(self, records: Sequence[Record], root: Path, split: str) -> None:  # noqa: B027
        """Raises `FacedetError` where records of a data set cannot be scored."""

    def metric_arguments(self, records: Sequence[Record]) -> dict[str, Any]:
        """The arguments of the metric that the records decide."""
        return {}

    def feed(self, metric: Any, record: Record, rows: np.ndarray, index: int) -> None:  # noqa: ANN401
        """Gives the metric one picture and what was found in it [N, 5]."""
        boxes, ignore = map(torch.from_numpy, (record.boxes, record.ignore))
        none = np.zeros((len(boxes), 0), dtype=bool)
        subsets = torch.from_numpy(record.tags.get("subsets", none))
        metric.update([to_detections(rows)], [Target(boxes, ignore, subsets, index, (0, 0))])


class WiderFace(Benchmark):
    """WIDER FACE (Yang et al., 2016): AP on easy, medium and hard faces."""

    title = "WIDER FACE val"

    def read_truth(self, path: Path) -> list[Record]:
        """The folder of the official .mat files, or one that holds ground_truth/."""
        return read_ground_truth(path)

    def require(self, records: Sequence[Record], root: Path, split: str) -> None:
        """The official lists are of val; without any, all faces of another split count."""
        if split != "val":
            count_all_faces(records)
        require_subsets(records, root)

    def metric_arguments(self, records: Sequence[Record]) -> dict[str, Any]:
        """The names of the subsets."""
        return {"subsets": subset_names(records)}

    def describe(self, metric: WiderAP) -> list[str]:
        """IoU and thresholds."""
        rounding = "rounded as by the official toolbox" if metric.integer_quirk else "not rounded"
        return [f"IoU {metric.iou} ({rounding})", f"{metric.thresholds:,} thresholds"]

    def rows(self, metric: WiderAP, report: Mapping[str, Any]) -> list[Row]:
        """AP of each subset."""
        curves = metric.curves().items()
        return [Row(name, "AP", report[f"wider/{name}"], curve.faces) for name, curve in curves]

    def curves(self, metric: WiderAP) -> dict[str, np.ndarray]:
        """Precision and recall of each subset over the threshold."""
        columns = {"threshold": 1 - np.arange(1, metric.thresholds + 1) / metric.thresholds}
        for name, curve in metric.curves().items():
            columns[f"{name}_recall"] = curve.recall.numpy()
            columns[f"{name}_precision"] = curve.precision.numpy()
        return columns

    def draw(self, path: Path, metric: WiderAP, report: Mapping[str, Any], title: str) -> None:
        """Precision over recall, a line per subset."""
        curves = {
            name: (curve.precision.numpy(), curve.recall.numpy())
            for name, curve in metric.curves().items()
        }
        values = {name: report[f"wider/{name}"] for name in curves}
        plot_precision_recall(path, curves, values, title)


class Fddb(Benchmark):
    """FDDB (Jain and Learned-Miller, 2010): true positive rates over false positives."""

    title = "FDDB"
    entry, entries = "block of detections", "blocks of detections"
    picture = "roc.png"

    def read_truth(self, path: Path) -> list[Record]:
        """The folds' lists of ellipses, or a folder of them."""
        return read_fddb_ground_truth(path)

    def read_detections(self, path: Path) -> dict[str, np.ndarray]:
        """FDDB's result files: rectangles [N, 5], or ellipses and their scores [N, 6]."""
        return read_fddb_detections(path)

    def writer(self, folder: Path, **layout: Any) -> DetectionWriter:  # noqa: ANN401
        """One file of all folds."""
        return FoldFile(folder, **layout)

    def require(self, records: Sequence[Record], root: Path, split: str) -> None:
        """Every face is an ellipse."""
        if any("ellipses" not in record.tags for record in records):
            raise FacedetError(f"{root}: its faces are no ellipses, expected FDDB (data=fddb)")

    def feed(self, metric: FddbRoc, record: Record, rows: np.ndarray, index: int) -> None:
        """Gives the metric ellipses, and rectangles [N, 5] or ellipses [N, 6]."""
        boxes, ellipses = map(torch.from_numpy, (record.boxes, record.tags["ellipses"]))
        target = EllipseTarget(boxes, ellipses, index, record.tags["size"])
        if rows.shape[1] == 5:
            metric.update([to_detections(rows)], [target])
            return
        parts = (bounding_boxes(rows[:, :5]), rows[:, 5].copy(), rows[:, :5].copy())
        metric.update([EllipseDetections(*map(torch.from_numpy, parts))], [target])

    def describe(self, metric: FddbRoc) -> list[str]:
        """Similarity, and where regions end."""
        drawn = {
            "masks": "ellipses drawn as by the official tool",
            "boxes": "ellipses replaced by boxes, not comparable with published values",
        }
        similarity = f"similarity above {metric.threshold} ({drawn[metric.ellipses]})"
        return [similarity, f"cut at the borders: {metric.settings()['border']}"]

    def rows(self, metric: FddbRoc, report: Mapping[str, Any]) -> list[Row]:
        """Both rates at each number of false positives."""
        faces = metric.curves().faces
        return [
            Row(f"{name}, {limit:,} FP", "TPR", report[f"fddb/{name}_{limit}"], faces)
            for limit in metric.false_positives
            for name in ("discrete", "continuous")
        ]

    def curves(self, metric: FddbRoc) -> dict[str, np.ndarray]:
        """Both rates over the threshold."""
        columns = metric.curves()._asdict()
        return {name: values for name, values in columns.items() if name != "faces"}

    def draw(self, path: Path, metric: FddbRoc, report: Mapping[str, Any], title: str) -> None:
        """Both rates over the false positives."""
        roc = metric.curves()
        rates = {"discrete": roc.discrete, "continuous": roc.continuous}
        plot_roc(path, roc.false_positives, rates, max(metric.false_positives), title)


class RefinedVoc(Benchmark):
    """The protocol of AFW and Pascal Faces (Mathias et al., 2014): AP after refining all boxes."""

    entry, entries = "detection", "names with detections"
    columns = "score x1 y1 x2 y2"

    def read_detections(self, path: Path) -> dict[str, np.ndarray]:
        """Lines `name score x1 y1 x2 y2`."""
        return read_scored_lines(path)

    def writer(self, folder: Path, **layout: Any) -> DetectionWriter:  # noqa: ANN401
        """One file of such lines."""
        return ScoredLines(folder, **layout)

    def describe(self, metric: VocAP) -> list[str]:
        """IoU, and which faces count."""
        return [
            f"IoU above {metric.iou}, boxes refined {metric.rounds - 1} times",
            f"faces below {metric.min_face} px ignored",
        ]

    def rows(self, metric: VocAP, report: Mapping[str, Any]) -> list[Row]:
        """AP over all points and eleven points, and before the refinement."""
        faces = metric.curves()[-1].faces
        labels = {"ap": "all points", "ap_11": "11 points", "ap_unrefined": "unrefined"}
        return [
            Row(label, "AP", report[f"{metric.name}/{key}"], faces) for key, label in labels.items()
        ]

    def curves(self, metric: VocAP) -> dict[str, np.ndarray]:
        """Precision and recall of the last round over the threshold."""
        curve = metric.curves()[-1]
        return {name: getattr(curve, name).numpy() for name in ("threshold", "recall", "precision")}

    def draw(self, path: Path, metric: VocAP, report: Mapping[str, Any], title: str) -> None:
        """Precision over recall of the last round."""
        curve, name = metric.curves()[-1], metric.name
        drawn = {name: (curve.precision.numpy(), curve.recall.numpy())}
        plot_precision_recall(path, drawn, {name: report[f"{name}/ap"]}, title)


class Afw(RefinedVoc):
    """AFW: 205 pictures, 473 faces."""

    title = "AFW"

    def read_truth(self, path: Path) -> list[Record]:
        """The .mat or text of annotations, or its folder."""
        return read_afw_ground_truth(path)


class PascalFaces(RefinedVoc):
    """Pascal Faces: 851 pictures, 1,335 faces."""

    title = "Pascal Faces"

    def read_truth(self, path: Path) -> list[Record]:
        """The .mat or text of annotations, or its folder."""
        return read_pascal_ground_truth(path)
