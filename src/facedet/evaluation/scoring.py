"""Detection files to a benchmark's numbers, and these numbers to files; no network needed."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
from tqdm import tqdm

from facedet import __version__
from facedet.errors import FacedetError
from facedet.files import replacing
from facedet.metrics.wider import WiderAP
from facedet.structures import Detections, Record, Target

# Seconds without a progress bar: shorter runs need none.
_QUIET_SECONDS = 3.0
_NOTHING = np.zeros((0, 5))

Feed = Callable[[Any, Record, np.ndarray, int], None]


class Row(NamedTuple):
    """One number of a report."""

    label: str
    kind: str  # "AP", say
    value: float  # in [0, 1]
    faces: int  # that it refers to


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


def to_detections(rows: np.ndarray) -> Detections:
    """Rows [N, 5] of x, y, w, h, score as detections in float64; x2 is x + w."""
    x, y, width, height, scores = torch.tensor(rows, dtype=torch.float64).unbind(dim=1)
    return Detections(torch.stack([x, y, x + width, y + height], dim=1), scores)


def feed_wider(metric: WiderAP, record: Record, rows: np.ndarray, index: int) -> None:
    """Feeds `metric` with one picture of WIDER FACE and what was found in it [N, 5]."""
    faces, ignore, subsets = map(
        torch.from_numpy, (record.boxes, record.ignore, record.tags["subsets"])
    )
    metric.update([to_detections(rows)], [Target(faces, ignore, subsets, index, (0, 0))])


def score_records(
    metric: Any,  # noqa: ANN401
    records: Sequence[Record],
    found: Mapping[str, np.ndarray],
    feed: Feed = feed_wider,
) -> Any:  # noqa: ANN401
    """Feeds a metric with every record and what was found in it.

    Args:
        metric: as the protocol builds it, without any image.
        records: annotated pictures; one without an entry in `found` has no detections.
        found: by record name, detections [N, 5] as x, y, w, h, score in pixels.
        feed: gives the metric one record and its detections.

    Returns:
        The same metric.
    """
    # disable=None: no bar where stderr is no terminal.
    progress = tqdm(records, desc="scoring", delay=_QUIET_SECONDS, disable=None, leave=False)
    for index, record in enumerate(progress):
        feed(metric, record, found.get(record.name, _NOTHING), index)
    return metric


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


def save_report(folder: Path, report: Mapping[str, Any], columns: Mapping[str, np.ndarray]) -> None:
    """Writes metrics.json, and the curves as curves.npz and curves.csv.

    Args:
        folder: for the files; made if need be.
        report: what metrics.json is to hold.
        columns: of the curves, [T] each.
    """
    with replacing(folder / "metrics.json") as aside:
        aside.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    with replacing(folder / "curves.npz") as aside, aside.open("wb") as stream:
        np.savez_compressed(stream, allow_pickle=False, **columns)
    with replacing(folder / "curves.csv") as aside:
        values = np.column_stack(list(columns.values()))
        np.savetxt(aside, values, "%.6g", ",", header=",".join(columns), comments="")


def table(report: Mapping[str, Any], description: str, rows: Sequence[Row]) -> str:
    """The report for a reader, a line per number.

    Args:
        report: of `metric_report`.
        description: how the numbers were computed.
        rows: the numbers.
    """
    width = label_width(rows)
    lines = [f"protocol {report['protocol']}: {description}"]
    lines += [
        f"  {row.label:<{width}}{row.kind} {row.value:.4f}{row.faces:>10,} faces" for row in rows
    ]
    return "\n".join(
        [*lines, f"  {report['images']:,} images, {report['detections']:,} detections"]
    )


def label_width(rows: Sequence[Row]) -> int:
    """Letters of the column of labels."""
    return max([8, *(len(row.label) + 2 for row in rows)])
