"""Detection files to a benchmark's numbers, and these numbers to files; no network needed."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
from omegaconf import DictConfig
from tqdm import tqdm

from facedet import __version__
from facedet.boxes import iou
from facedet.config import build, compose
from facedet.errors import FacedetError, UsageError
from facedet.evaluation.benchmarks import Benchmark, Row
from facedet.evaluation.provenance import picture_digest
from facedet.files import replacing
from facedet.structures import Record

# Pictures by which the order of a file's columns is judged.
_JUDGED = 100
# How people write a box and its score, and the corners of the box by columns [N, 5].
_ORDERS = {
    "x y w h score": lambda c: np.hstack([c[:, :2], c[:, :2] + c[:, 2:4]]),
    "x1 y1 x2 y2 score": lambda c: c[:, :4],
    "score x y w h": lambda c: np.hstack([c[:, 1:3], c[:, 1:3] + c[:, 3:5]]),
    "score x1 y1 x2 y2": lambda c: c[:, 1:],
}


class Scored(NamedTuple):
    """The numbers of detection files."""

    benchmark: Benchmark
    metric: Any
    report: dict[str, Any]  # what metrics.json holds
    notes: list[str]  # what is odd about the files


def find_protocol(name: str, config_dir: Path | None = None) -> DictConfig:
    """The protocol of conf/protocol/NAME.yaml.

    Args:
        name: of the protocol.
        config_dir: a folder with protocol/NAME.yaml of somebody's own.

    Raises:
        UsageError: there is no such one; says the nearest.
    """
    search = [f"hydra.searchpath=['file://{config_dir.resolve()}']"] if config_dir else []
    return compose("evaluate", [*search, f"protocol={name}"]).protocol


def build_benchmark(protocol: DictConfig) -> Benchmark:
    """The benchmark of a protocol; raises `UsageError` where it names no class."""
    if "_target_" not in (protocol.get("benchmark") or ""):
        raise UsageError(
            f"protocol {protocol.name}: benchmark is {protocol.get('benchmark')}, expected "
            "{_target_: CLASS} of a class such as facedet.evaluation.benchmarks.WiderFace"
        )
    return build(protocol.benchmark)


def score_files(
    protocol: DictConfig,
    detections: Path,
    truth: Path,
    only_present: bool = False,
    options: Mapping[str, Any] | None = None,
) -> Scored:
    """Scores detection files by a protocol.

    Args:
        protocol: of `find_protocol`.
        detections: file, folder, zip or .npz.
        truth: the annotations, as the benchmark reads them.
        only_present: leave out pictures without detections; otherwise their faces are missed.
        options: arguments of the metric in the place of the protocol's.

    Raises:
        FacedetError: a file cannot be read, or the two have no picture in common.
        UsageError: the protocol's metric has no such option.
    """
    for key in options or {}:
        if key not in protocol.metric:
            raise UsageError(f"the metric of protocol {protocol.name} has no {key}")
    benchmark = build_benchmark(protocol)
    records = benchmark.read_truth(truth)
    found = benchmark.read_detections(detections)
    present = [record for record in records if record.name in found]
    if found and not present:
        raise FacedetError(
            f"{detections}: none of its {len(found):,} images is in {truth}, the first is "
            f"{min(found)}"
        )
    scored = present if only_present else records
    metric = build(protocol.metric, **benchmark.metric_arguments(scored), **(options or {}))
    score_records(benchmark, metric, scored, found)
    report = metric_report(metric, protocol.name) | {
        "missing_images": len(records) - len(present),
        "unknown_images": len(found) - len(present),
        "only_present": only_present,
        "pictures_sha256": picture_digest(scored),
    }
    notes = presence_notes(benchmark, records, found, only_present)
    hint = column_hint(present, found, benchmark.columns)
    return Scored(benchmark, metric, report, notes + ([f"{detections}: {hint}"] if hint else []))


def score_records(
    benchmark: Benchmark,
    metric: Any,  # noqa: ANN401
    records: Sequence[Record],
    found: Mapping[str, np.ndarray],
) -> Any:  # noqa: ANN401
    """Gives a metric every record; one without an entry in `found` has no detections.

    Returns:
        The same metric.
    """
    # disable=None: no bar where stderr is no terminal, nor in the first three seconds.
    progress = tqdm(records, desc="scoring", delay=3.0, disable=None, leave=False)
    for index, record in enumerate(progress):
        benchmark.feed(metric, record, found.get(record.name, np.zeros((0, 5))), index)
    return metric


def presence_notes(
    benchmark: Benchmark,
    records: Sequence[Record],
    found: Mapping[str, np.ndarray],
    only_present: bool,
) -> list[str]:
    """What there is on one side only."""
    names = {record.name for record in records}
    missing, unknown = len(names - found.keys()), found.keys() - names
    notes = []
    if missing:
        fate = "they are left out" if only_present else "their faces count as missed"
        notes.append(f"{missing:,} of {len(names):,} images have no {benchmark.entry}: {fate}")
    if unknown:
        entries = f"{len(unknown):,} of {len(found):,} {benchmark.entries}"
        notes.append(f"{entries} are of unknown images, such as {min(unknown)}")
    return notes


def column_hint(
    records: Sequence[Record], found: Mapping[str, np.ndarray], expected: str
) -> str | None:
    """Says which order of columns fits the faces where the expected one hits hardly any.

    Args:
        records: annotated pictures.
        found: their detections as read, [N, 5] as x, y, w, h, score.
        expected: order of the columns in the file, one of "x y w h score" and
            "score x1 y1 x2 y2".
    """
    hits = dict.fromkeys(_ORDERS, 0)
    fractions = boxes = 0
    shown = [one for one in records if len(one.boxes) and len(found[one.name])][:_JUDGED]
    for record in shown:
        rows = found[record.name]
        if rows.shape[1] != 5:  # ellipses
            return None
        if expected.startswith("score"):
            rows = np.column_stack([rows[:, 4], rows[:, :2], rows[:, :2] + rows[:, 2:4]])
        faces = torch.from_numpy(record.boxes.astype(np.float64))
        for order, corners in _ORDERS.items():
            overlap = iou(torch.from_numpy(np.ascontiguousarray(corners(rows))), faces)
            hits[order] += int((overlap >= 0.5).any(dim=0).sum())
        boxes += len(rows)
        fractions += int((np.abs(rows) <= 1).all(axis=1).sum())
    if boxes and fractions == boxes:
        return f"all numbers are below 1, expected {expected} in pixels, not in parts of the sides"
    best = max(hits, key=lambda order: hits[order])
    # A swapped file of a detector that works hits most faces, chance hits few.
    if hits[best] > max(4 * hits[expected], sum(len(one.boxes) for one in shown) / 5):
        return f"its columns look like {best}, expected {expected}"
    return None


def metric_report(metric: Any, protocol: str) -> dict[str, Any]:  # noqa: ANN401
    """The numbers of a metric under their names, with what they were computed from and with."""
    return {
        **{name: value.item() for name, value in metric.compute().items()},
        "images": metric.images,
        "detections": metric.detections,
        "protocol": protocol,
        **metric.settings(),
        "versions": {
            "facedet": __version__,
            "torch": torch.__version__,
            "opencv": cv2.__version__,
        },
    }


def save_report(folder: Path, report: Mapping[str, Any], curves: Mapping[str, np.ndarray]) -> None:
    """Writes metrics.json, and the curves [T] as columns of curves.npz and curves.csv."""
    with replacing(folder / "metrics.json") as aside:
        aside.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    with replacing(folder / "curves.npz") as aside, aside.open("wb") as stream:
        np.savez_compressed(stream, allow_pickle=False, **curves)
    with replacing(folder / "curves.csv") as aside:
        values = np.column_stack(list(curves.values()))
        np.savetxt(aside, values, "%.6g", ",", header=",".join(curves), comments="")


def table(rows: Sequence[Row], as_percent: bool = False) -> list[str]:
    """The numbers for a reader, a line each, with four digits or in percent with two decimals."""
    width = max([8, *(len(row.label) + 2 for row in rows)])
    lines = []
    for row in rows:
        value = f"{100 * row.value:6.2f} %" if as_percent else f"{row.kind} {row.value:.4f}"
        lines.append(f"  {row.label:<{width}}{value}{row.faces:>10,} faces")
    return lines
