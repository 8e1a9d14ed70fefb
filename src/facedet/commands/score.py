"""`facedet score`: a benchmark's numbers from anybody's detection files, without a network."""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from facedet.metrics.wider import WiderAP

HELP = """Score detection files by the WIDER FACE protocol: AP on its easy, medium and hard faces.
Detections are text files EVENT/IMAGE.txt in a folder or a zip, or one .npz."""
EXAMPLE = """example:
  facedet score --detections results.zip --ground-truth eval_tools/ground_truth"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    parser.add_argument("--protocol", choices=["wider"], default="wider", help="default: wider")
    parser.add_argument(
        "--detections", type=Path, required=True, help="folder, zip or .npz of detections"
    )
    parser.add_argument(
        "--ground-truth",
        type=Path,
        required=True,
        help="folder of wider_face_val.mat and wider_{easy,medium,hard}_val.mat, "
        "or a WIDER FACE folder that holds ground_truth/",
    )
    parser.add_argument(
        "--no-integer-quirk",
        dest="integer_quirk",
        action="store_false",
        help="do not round the IoU to 0 or 1, as the official MATLAB toolbox does",
    )
    parser.add_argument(
        "--only-present",
        action="store_true",
        help="leave out images without a detection file (otherwise their faces count as missed)",
    )
    parser.add_argument("--output", type=Path, help="folder for metrics.json and the curves")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    """Scores, prints, and writes the files asked for."""
    from facedet.data.detection_files import read_detections
    from facedet.data.wider import read_ground_truth
    from facedet.errors import FacedetError
    from facedet.metrics.wider import WiderAP
    from facedet.scoring import metric_report, save_report, score_records

    start = time.perf_counter()
    records = read_ground_truth(args.ground_truth)
    found = read_detections(args.detections)
    present = [record for record in records if record.name in found]
    if not present:
        raise FacedetError(
            f"{args.detections}: none of its {len(found):,} images is in {args.ground_truth}, "
            f"the first is {min(found)}"
        )
    missing, unknown = len(records) - len(present), len(found) - len(present)
    scored = present if args.only_present else records
    metric = score_records(WiderAP(args.integer_quirk, expected_images=len(scored)), scored, found)
    report = metric_report(metric, args.protocol) | {
        "missing_images": missing,
        "unknown_images": unknown,
        "only_present": args.only_present,
    }
    if missing:
        fate = "they are left out" if args.only_present else "their faces count as missed"
        _say(f"{missing:,} of {len(records):,} images have no detection file: {fate}")
    if unknown:
        name = min(found.keys() - {record.name for record in records})
        _say(f"{unknown:,} of {len(found):,} detection files are of unknown images, such as {name}")
    if args.output:
        title = f"{args.protocol}, {args.detections.name}, {metric.images:,} images"
        save_report(args.output, report, metric, title)
    seconds = time.perf_counter() - start
    print(json.dumps(report) if args.json else _table(report, metric, seconds))
    return 0


def _say(text: str) -> None:
    print(f"facedet score: {text}", file=sys.stderr)


def _table(report: dict[str, Any], metric: WiderAP, seconds: float) -> str:
    """The result for a reader."""
    rounding = "rounded as by the official toolbox" if metric.integer_quirk else "not rounded"
    lines = [f"WIDER FACE val, IoU {metric.iou} ({rounding}), {metric.thresholds:,} thresholds"]
    for name, curve in metric.curves().items():
        lines.append(f"  {name:<8}{100 * report[f'wider/{name}']:6.2f} %{curve.faces:>10,} faces")
    images = f"{metric.images:,} images"
    if report["only_present"]:
        images = f"only the {images} with a detection file"
    lines.append(f"{images}, {metric.detections:,} boxes, {seconds:.1f} s")
    return "\n".join(lines)
