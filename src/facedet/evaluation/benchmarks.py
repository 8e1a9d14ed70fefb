"""The benchmarks: what files each reads and writes, and what it makes of its metric.

A protocol (`conf/protocol/NAME.yaml`) chooses one of these classes, or one of your own, as
`benchmark: {_target_: …}`.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
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
from facedet.evaluation.detection_files import (
    read_detections,
    read_fddb_detections,
    read_scored_lines,
    to_detections,
)
from facedet.evaluation.detection_writers import DetectionWriter, EventFiles, FoldFile, ScoredLines
from facedet.metrics.fddb import EllipseDetections, EllipseTarget, FddbRoc
from facedet.metrics.functional import average_precision
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
    columns = "x y w h score"  # of a line of the result files
    picture = "precision_recall.png"  # the file with the drawn curves
    # All annotated pictures, for `facedet score`; none needs to be on disk.
    read_truth: Callable[[Path], list[Record]]
    # By record name, detections [N, 5] as x, y, w, h, score in pixels.
    read_detections: Callable[[Path], dict[str, np.ndarray]] = staticmethod(read_detections)
    # Made with a folder and the protocol's `files`.
    writer: Callable[..., DetectionWriter] = EventFiles

    @abstractmethod
    def describe(self, metric: Any) -> list[str]:  # noqa: ANN401
        """How the numbers are computed, the main thing first."""

    @abstractmethod
    def rows(self, metric: Any, report: Mapping[str, Any]) -> list[Row]:  # noqa: ANN401
        """The numbers for a reader."""

    @abstractmethod
    def curves(self, metric: Any) -> dict[str, np.ndarray]:  # noqa: ANN401
        """The metric's curves by the name of their column in curves.csv, [T] each."""

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
        target = Target(boxes, ignore, subsets, index, (0, 0))
        metric.update([to_detections(rows)], [target])

    def precision_recall(self, metric: Any) -> dict[str, tuple[np.ndarray, np.ndarray]]:  # noqa: ANN401
        """Precision [T] and recall [T] by the name of the curve; {} where there is none."""
        return {}

    def draw(self, path: Path, metric: Any, title: str) -> None:  # noqa: ANN401
        """Draws the curves into a PNG file."""
        curves = self.precision_recall(metric)
        values = {
            name: average_precision(*map(torch.from_numpy, curve)).item()
            for name, curve in curves.items()
        }
        plot_precision_recall(path, curves, values, title)


class WiderFace(Benchmark):
    """WIDER FACE (Yang et al., 2016): AP on easy, medium and hard faces."""

    title = "WIDER FACE val"
    read_truth = staticmethod(read_ground_truth)

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

    def precision_recall(self, metric: WiderAP) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """A curve per subset."""
        curves = metric.curves().items()
        return {name: (curve.precision.numpy(), curve.recall.numpy()) for name, curve in curves}

    def curves(self, metric: WiderAP) -> dict[str, np.ndarray]:
        """Precision and recall of each subset over the threshold."""
        columns = {"threshold": 1 - np.arange(1, metric.thresholds + 1) / metric.thresholds}
        for name, (precision, recall) in self.precision_recall(metric).items():
            columns |= {f"{name}_recall": recall, f"{name}_precision": precision}
        return columns


class Fddb(Benchmark):
    """FDDB (Jain and Learned-Miller, 2010): true positive rates over false positives."""

    title = "FDDB"
    entry = "block of detections"
    picture = "roc.png"
    read_truth = staticmethod(read_fddb_ground_truth)
    read_detections = staticmethod(read_fddb_detections)  # or ellipses and their scores [N, 6]
    writer = FoldFile

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

    def draw(self, path: Path, metric: FddbRoc, title: str) -> None:
        """Both rates over the false positives."""
        roc = metric.curves()
        rates = {"discrete": roc.discrete, "continuous": roc.continuous}
        curves = {name: (roc.false_positives, rate) for name, rate in rates.items()}
        plot_roc(path, curves, max(metric.false_positives), title)


class RefinedVoc(Benchmark):
    """The protocol of AFW and Pascal Faces (Mathias et al., 2014): AP after refining all boxes."""

    entry = "detection"
    columns = "score x1 y1 x2 y2"
    read_detections = staticmethod(read_scored_lines)
    writer = ScoredLines

    def describe(self, metric: VocAP) -> list[str]:
        """IoU, and which faces count."""
        return [
            f"IoU above {metric.iou}, boxes refined {metric.rounds - 1} times",
            f"faces below {metric.min_face} px ignored",
        ]

    def rows(self, metric: VocAP, report: Mapping[str, Any]) -> list[Row]:
        """AP over all points and eleven points, and before the refinement."""
        name, faces = metric.name, metric.curves()[-1].faces
        labels = {"ap": "all points", "ap_11": "11 points", "ap_unrefined": "unrefined"}
        return [Row(label, "AP", report[f"{name}/{key}"], faces) for key, label in labels.items()]

    def precision_recall(self, metric: VocAP) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """The curve of the last round."""
        curve = metric.curves()[-1]
        return {metric.name: (curve.precision.numpy(), curve.recall.numpy())}

    def curves(self, metric: VocAP) -> dict[str, np.ndarray]:
        """Precision and recall of the last round over the threshold."""
        curve = metric.curves()[-1]
        return {name: getattr(curve, name).numpy() for name in ("threshold", "recall", "precision")}


class Afw(RefinedVoc):
    """AFW: 205 pictures, 473 faces."""

    title = "AFW"
    read_truth = staticmethod(read_afw_ground_truth)


class PascalFaces(RefinedVoc):
    """Pascal Faces: 851 pictures, 1,335 faces."""

    title = "Pascal Faces"
    read_truth = staticmethod(read_pascal_ground_truth)
