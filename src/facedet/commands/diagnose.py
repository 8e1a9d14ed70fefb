"""`facedet diagnose`: why an average precision is as low as it is, on one page."""

import argparse
import json
import sys
from pathlib import Path

from facedet.option_types import count, unit

HELP = """Tell why an AP on WIDER FACE is as low as it is: which faces are not found (by height,
blur, occlusion, event), what goes wrong with them and what each kind of error costs, what the AP
loses where detections of low scores are dropped, and the AP of every single picture. The input is
what `facedet score` reads; other data sets in WIDER FACE's layout will do, with or without lists
of easy, medium and hard faces."""
EXAMPLE = """examples:
  facedet diagnose --run outputs/evaluate/RUN --data /data/wider
  facedet diagnose --detections results.zip --data /data/wider --output why/"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    add = parser.add_argument
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--detections", type=Path, help="folder, zip or .npz of detections")
    source.add_argument("--run", type=Path, metavar="FOLDER", help="output of facedet evaluate")
    add("--data", type=Path, required=True, help="the WIDER FACE folder")
    add("--split", help="default: that of --run, otherwise val")
    text = (
        "all: faces of pictures without a detection file count as missed; present: such pictures "
        "are left out (default: present with --run, otherwise all)"
    )
    add("--images", choices=("all", "present"), help=text)
    text = "folder of the lists (default: ground_truth in the data)"
    add("--ground-truth", type=Path, help=text)
    add("--subset", help="the faces that count: easy, medium, hard (default) | all")
    add("--iou", type=unit, default=0.5, help="from which a box matches a face; default: 0.5")
    text = (
        "do not round the IoU to 0 or 1, as the official MATLAB toolbox does (default: round it, "
        "but where --run did not or --iou is not 0.5)"
    )
    add("--no-integer-quirk", dest="integer_quirk", action="store_false", default=None, help=text)
    add("--score", type=unit, help="operating score (default: that of the best F1 on the subset)")
    text = "pictures on the sheet; default: 12"
    add("--worst", type=count, default=12, metavar="N", help=text)
    text = "folder of the report (default: FOLDER/diagnosis with --run)"
    add("--output", type=Path, help=text)
    add("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    """Diagnoses, prints, and writes the files."""
    from facedet.evaluation.diagnosis.run import diagnose, save
    from facedet.evaluation.provenance import read_report

    described = read_report(args.run / "metrics.json") if args.run else {}
    one = diagnose(
        args.data,
        args.detections or args.run / "detections",
        described,
        only_present=(args.images or ("present" if args.run else "all")) == "present",
        split=args.split or described.get("split", "val"),
        ground_truth=args.ground_truth,
        subset=args.subset,
        iou=args.iou,
        integer_quirk=args.integer_quirk is None and bool(described.get("integer_quirk", True)),
        score=args.score,
    )
    output = args.output or (args.run / "diagnosis" if args.run else None)
    for note in one.notes + (save(output, one, args.worst) if output else []):
        print(f"facedet diagnose: {note}", file=sys.stderr)
    if args.json:
        tables = {
            key: [dict(zip(table.header, row, strict=True)) for row in table.rows]
            for key, table in one.tables.items()
        }
        data = {"title": one.title, "made_with": one.made_with, "score": one.score}
        print(json.dumps(data | {"tables": tables}))
    else:
        print(one.page, end="")
        if output:
            print(f"\nthe report: {output / 'report.md'}")
    return 0
