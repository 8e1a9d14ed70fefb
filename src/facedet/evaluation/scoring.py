"""Detection files to a benchmark's numbers, and these numbers to files; no network needed."""

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
from facedet.evaluation.benchmarks import Benchmark
from facedet.evaluation.provenance import picture_digest
from facedet.files import replace_json, replacing
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
    """What a benchmark says of detections."""

    benchmark: Benchmark
    metric: Any
    report: dict[str, Any]  # what metrics.json holds

    def table(self, as_percent: bool = False) -> list[str]:
        """The numbers for a reader, a line each, with four digits or in percent with two."""
        rows = self.benchmark.rows(self.metric, self.report)
        width = max([8, *(len(row.label) + 2 for row in rows)])
        lines = []
        for label, kind, value, faces in rows:
            shown = f"{100 * value:6.2f} %" if as_percent else f"{kind} {value:.4f}"
            lines.append(f"  {label:<{width}}{shown}{faces:>10,} faces")
        return lines

    def save(self, folder: Path, title: str) -> None:
        """Writes metrics.json, curves.npz, curves.csv, and the curves as a picture."""
        replace_json(folder / "metrics.json", self.report)
        curves = self.benchmark.curves(self.metric)
        with replacing(folder / "curves.npz") as aside:
            np.savez_compressed(aside, allow_pickle=False, **curves)
        with replacing(folder / "curves.csv") as aside:
            values = np.column_stack(list(curves.values()))
            np.savetxt(aside, values, "%.6g", ",", header=",".join(curves), comments="")
        self.benchmark.draw(folder / self.benchmark.picture, self.metric, title)


def find_protocol(name: str, config_dir: Path | None = None) -> DictConfig:
    """The protocol of conf/protocol/NAME.yaml, or of one's own in `config_dir`.

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
) -> tuple[Scored, list[str]]:
    """Scores detection files by a protocol.

    Args:
        protocol: of `find_protocol`.
        detections: file, folder, zip or .npz.
        truth: the annotations, as the benchmark reads them.
        only_present: leave out pictures without detections; otherwise their faces are missed.
        options: arguments of the metric in the place of the protocol's.

    Returns:
        The numbers, and what is odd about the files.

    Raises:
        FacedetError: a file cannot be read, or the two have no picture in common.
    """
    benchmark = build_benchmark(protocol)
    records = benchmark.read_truth(truth)
    found = benchmark.read_detections(detections)
    chosen, notes = match_pictures(benchmark, records, found, detections, truth, only_present)
    scored = score_records(protocol, benchmark, chosen, found, options)
    names = {record.name for record in records}
    scored.report.update(
        missing_images=len(names - found.keys()),
        unknown_images=len(found.keys() - names),
        only_present=only_present,
        pictures_sha256=picture_digest(chosen),
    )
    return scored, notes


def score_records(
    protocol: DictConfig,
    benchmark: Benchmark,
    records: Sequence[Record],
    found: Mapping[str, np.ndarray],
    options: Mapping[str, Any] | None = None,
) -> Scored:
    """Scores detections, by record name, with the protocol's metric.

    A record without an entry in `found` has no detections; `options` as for `score_files`.
    """
    arguments = benchmark.metric_arguments(records) | dict(options or {})
    metric = build(protocol.metric, **arguments)
    # disable=None: no bar where stderr is no terminal, nor in the first three seconds.
    progress = tqdm(records, desc="scoring", delay=3.0, disable=None, leave=False)
    for index, record in enumerate(progress):
        benchmark.feed(metric, record, found.get(record.name, np.zeros((0, 5))), index)
    report = {
        **{name: value.item() for name, value in metric.compute().items()},
        "images": metric.images,
        "detections": metric.detections,
        "protocol": protocol.name,
        **metric.settings(),
        "versions": {"facedet": __version__, "torch": torch.__version__, "opencv": cv2.__version__},
    }
    return Scored(benchmark, metric, report)


def match_pictures(
    benchmark: Benchmark,
    records: Sequence[Record],
    found: Mapping[str, np.ndarray],
    detections: Path,
    truth: Path,
    only_present: bool,
) -> tuple[list[Record], list[str]]:
    """The pictures to score, and notes on what the files lack or have in another order.

    The records are all pictures of `truth`, `found` is what `detections` has by record name;
    raises `FacedetError` where they have no picture in common.
    """
    present = [record for record in records if record.name in found]
    if not present and (found or only_present):
        first = f", the first is {min(found)}" if found else ""
        raise FacedetError(f"{detections}: none of its {len(found):,} images is in {truth}{first}")
    notes = []
    if missing := len(records) - len(present):
        fate = "they are left out" if only_present else "their faces count as missed"
        notes.append(f"{missing:,} of {len(records):,} images have no {benchmark.entry}: {fate}")
    if unknown := found.keys() - {record.name for record in records}:
        number = f"{len(unknown):,} of {len(found):,} images with detections"
        notes.append(f"{number} are unknown, such as {min(unknown)}")
    if hint := column_hint(present, found, benchmark.columns):
        notes.append(f"{detections}: {hint}")
    return present if only_present else list(records), notes


def column_hint(
    records: Sequence[Record], found: Mapping[str, np.ndarray], expected: str
) -> str | None:
    """Says which order of columns fits the faces where the expected one hits hardly any.

    `found` has the detections of all these pictures as read, [N, 5] as x, y, w, h, score;
    `expected` are the file's columns, as of `Benchmark.columns`.
    """
    shown = [one for one in records if len(one.boxes) and len(found[one.name])][:_JUDGED]
    if not shown or found[shown[0].name].shape[1] != 5:  # ellipses
        return None
    if all((np.abs(found[one.name]) <= 1).all() for one in shown):
        return f"all numbers are below 1, expected {expected} in pixels, not in parts of the sides"
    hits = dict.fromkeys(_ORDERS, 0)
    for record in shown:
        rows = found[record.name]
        if expected.startswith("score"):
            rows = np.column_stack([rows[:, 4], rows[:, :2], rows[:, :2] + rows[:, 2:4]])
        faces = torch.from_numpy(record.boxes.astype(np.float64))
        for order, corners in _ORDERS.items():
            overlap = iou(torch.from_numpy(np.ascontiguousarray(corners(rows))), faces)
            hits[order] += int((overlap >= 0.5).any(dim=0).sum())
    best = max(hits, key=lambda order: hits[order])
    # A swapped file of a detector that works hits most faces, chance hits few.
    if hits[best] > max(4 * hits[expected], sum(len(one.boxes) for one in shown) / 5):
        return f"its columns look like {best}, expected {expected}"
    return None
