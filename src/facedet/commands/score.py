"""`facedet score`: a benchmark's numbers from anybody's detection files, without a network."""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from facedet.commands.option_types import count
from facedet.errors import FacedetError, UsageError

if TYPE_CHECKING:
    import numpy as np

    from facedet.evaluation.benchmarks import Benchmark
    from facedet.structures import Record

HELP = """Score detection files by a benchmark's protocol. The detections are, for
  wider         EVENT/IMAGE.txt in a folder or a zip, or one .npz: AP on easy, medium, hard faces
  fddb          the ten folds' layout, rectangles or ellipses: true positive rates
  afw, pascal   lines "name score x1 y1 x2 y2": AP after refining all boxes as one"""
EXAMPLE = """examples:
  facedet score --detections results.zip --ground-truth eval_tools/ground_truth
  facedet score --protocol fddb --detections folds/ --ground-truth FDDB-folds/"""

PROTOCOLS = ("wider", "fddb", "afw", "pascal")
# Arguments of single benchmarks' metrics.
_OPTIONS = {
    "integer_quirk": "--no-integer-quirk", "ellipses": "--ellipses", "rounds": "--rounds",
}  # fmt: skip


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    parser.add_argument("--protocol", choices=PROTOCOLS, default="wider", help="default: wider")
    parser.add_argument(
        "--detections", type=Path, required=True, help="file, folder, zip or .npz of detections"
    )
    parser.add_argument(
        "--ground-truth",
        type=Path,
        required=True,
        help="wider: folder of wider_face_val.mat and wider_{easy,medium,hard}_val.mat, or a WIDER "
        "FACE folder that holds ground_truth/; fddb: its ellipse lists, and the pictures if they "
        "are to tell their sizes; afw, pascal: the .mat or text of annotations, or its folder",
    )
    parser.add_argument(
        "--no-integer-quirk",
        dest="integer_quirk",
        action="store_false",
        default=None,
        help="wider: do not round the IoU to 0 or 1, as the official MATLAB toolbox does",
    )
    parser.add_argument(
        "--ellipses",
        choices=["masks", "boxes"],
        help="fddb: draw them as the official tool does, or take the boxes around them",
    )
    parser.add_argument(
        "--rounds", type=count, help="afw, pascal: matchings; boxes are refined between them"
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
    from facedet.evaluation.benchmarks import find_benchmark
    from facedet.evaluation.provenance import picture_digest
    from facedet.evaluation.scoring import metric_report, save_report, score_records

    start = time.perf_counter()
    benchmark = find_benchmark(args.protocol)
    options = _options(args, benchmark)
    records = benchmark.read_truth(args.ground_truth)
    found = benchmark.read_found(args.detections)
    scored = _select(args, benchmark, records, found)
    metric = score_records(benchmark.metric(**options), scored, found, benchmark.feed)
    present = sum(record.name in found for record in records)
    report = metric_report(metric, args.protocol) | {
        "missing_images": len(records) - present,
        "unknown_images": len(found) - present,
        "only_present": args.only_present,
        "pictures_sha256": picture_digest(scored),
    }
    if args.output:
        title = f"{args.protocol}, {args.detections.name}, {metric.images:,} images"
        save_report(args.output, report, benchmark.columns(metric))
        benchmark.draw(args.output / benchmark.picture, metric, report, title)
    seconds = time.perf_counter() - start
    print(json.dumps(report) if args.json else _table(report, metric, benchmark, seconds))
    return 0


def _options(args: argparse.Namespace, benchmark: Benchmark) -> dict[str, Any]:
    """What was asked of the metric."""
    given = {key: getattr(args, key) for key in _OPTIONS if getattr(args, key) is not None}
    for key in given:
        if key not in benchmark.options:
            raise UsageError(f"{_OPTIONS[key]} has no meaning for --protocol {args.protocol}")
    return given


def _select(
    args: argparse.Namespace,
    benchmark: Benchmark,
    records: list[Record],
    found: dict[str, np.ndarray],
) -> list[Record]:
    """The pictures to score; tells of those without detections and of unknown ones."""
    present = [record for record in records if record.name in found]
    if found and not present:
        raise FacedetError(
            f"{args.detections}: none of its {len(found):,} images is in {args.ground_truth}, "
            f"the first is {min(found)}"
        )
    missing, unknown = len(records) - len(present), len(found) - len(present)
    if missing:
        fate = "they are left out" if args.only_present else "their faces count as missed"
        _say(f"{missing:,} of {len(records):,} images have no {benchmark.entry}: {fate}")
    if unknown:
        name = min(found.keys() - {record.name for record in records})
        entries = f"{unknown:,} of {len(found):,} {benchmark.entries}"
        _say(f"{entries} are of unknown images, such as {name}")
    return present if args.only_present else records


def _say(text: str) -> None:
    print(f"facedet score: {text}", file=sys.stderr)


def _table(
    report: dict[str, Any],
    metric: Any,  # noqa: ANN401
    benchmark: Benchmark,
    seconds: float,
) -> str:
    """The result for a reader."""
    from facedet.evaluation.scoring import label_width

    rows = benchmark.rows(metric, report)
    width = label_width(rows)
    lines = [", ".join([benchmark.title, *benchmark.describe(metric)])]
    lines += [
        f"  {row.label:<{width}}{100 * row.value:6.2f} %{row.faces:>10,} faces" for row in rows
    ]
    images = f"{metric.images:,} images"
    if report["only_present"]:
        images = f"only the {images} with a {benchmark.entry}"
    lines.append(f"{images}, {metric.detections:,} boxes, {seconds:.1f} s")
    return "\n".join(lines)
