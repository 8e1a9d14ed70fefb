"""Detection files to a benchmark's numbers, and these numbers to files; no network needed."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from facedet.errors import FacedetError
from facedet.metrics.wider import WiderAP
from facedet.plots import plot_precision_recall
from facedet.replacing import replacing
from facedet.structures import Detections, Record, Target

# Seconds without a progress bar: shorter runs need none.
_QUIET_SECONDS = 3.0
_NOTHING = np.zeros((0, 5))


def require_subsets(records: Sequence[Record], root: Path) -> None:
    """Refuses records that do not say which faces are easy, medium and hard.

    Args:
        records: as a reader gives them.
        root: folder of the data set, for the message.

    Raises:
        FacedetError: a record has no "subsets".
    """
    if any("subsets" not in record.tags for record in records):
        raise FacedetError(
            f"{root}: its faces are in no lists, wanted ground_truth/wider_{{easy,medium,hard}}_"
            "val.mat of the WIDER FACE evaluation tools"
        )


def score_records(
    metric: WiderAP, records: Sequence[Record], found: Mapping[str, np.ndarray]
) -> WiderAP:
    """Feeds `metric` with every record and what was found in it.

    Args:
        metric: as the protocol builds it, without any image.
        records: annotated pictures; one without an entry in `found` has no detections.
        found: by record name, detections [N, 5] as x, y, w, h, score in pixels.

    Returns:
        The same metric.
    """
    # disable=None: no bar where stderr is no terminal.
    progress = tqdm(records, desc="scoring", delay=_QUIET_SECONDS, disable=None, leave=False)
    for index, record in enumerate(progress):
        rows = torch.tensor(found.get(record.name, _NOTHING), dtype=torch.float64)
        x, y, width, height, scores = rows.unbind(dim=1)
        detections = Detections(torch.stack([x, y, x + width, y + height], dim=1), scores)
        faces, ignore, subsets = map(
            torch.from_numpy, (record.boxes, record.ignore, record.tags["subsets"])
        )
        metric.update([detections], [Target(faces, ignore, subsets, index, (0, 0))])
    return metric


def metric_report(metric: WiderAP, protocol: str) -> dict[str, Any]:
    """The numbers of `metric` under `wider/easy` …, with what they were computed from."""
    return {name: value.item() for name, value in metric.compute().items()} | {
        "images": metric.images,
        "detections": metric.detections,
        "protocol": protocol,
        "iou": metric.iou,
        "thresholds": metric.thresholds,
        "integer_quirk": metric.integer_quirk,
    }


def save_report(folder: Path, report: Mapping[str, Any], metric: WiderAP, title: str) -> None:
    """Writes metrics.json, the curves as curves.npz and curves.csv, and precision_recall.png.

    Args:
        folder: for the files; made if need be.
        report: what metrics.json is to hold.
        metric: computed.
        title: of the picture: protocol, weights, image count.
    """
    columns = {"threshold": 1 - np.arange(1, metric.thresholds + 1) / metric.thresholds}
    drawn = {}
    for name, curve in metric.curves().items():
        recall, precision = curve.recall.numpy(), curve.precision.numpy()
        columns |= {f"{name}_recall": recall, f"{name}_precision": precision}
        drawn[name] = (precision, recall)
    with replacing(folder / "metrics.json") as aside:
        aside.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    with replacing(folder / "curves.npz") as aside, aside.open("wb") as stream:
        np.savez_compressed(stream, allow_pickle=False, **columns)
    with replacing(folder / "curves.csv") as aside:
        table = np.column_stack(list(columns.values()))
        np.savetxt(aside, table, "%.6g", ",", header=",".join(columns), comments="")
    values = {name: float(report[f"wider/{name}"]) for name in drawn}
    plot_precision_recall(folder / "precision_recall.png", drawn, values, title)


def table(report: Mapping[str, Any], metric: WiderAP) -> str:
    """The report for a reader, a line per subset."""
    rounding = "rounded as by the official toolbox" if metric.integer_quirk else "not rounded"
    lines = [f"protocol {report['protocol']}: IoU {metric.iou} ({rounding})"]
    for name, curve in metric.curves().items():
        lines.append(f"  {name:<8}AP {report[f'wider/{name}']:.4f}{curve.faces:>10,} faces")
    return "\n".join([*lines, f"  {metric.images:,} images, {metric.detections:,} detections"])
