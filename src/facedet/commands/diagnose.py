"""`facedet diagnose`: why an average precision is as low as it is, on one page."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from facedet.commands.option_types import count, unit
from facedet.errors import FacedetError

if TYPE_CHECKING:
    import numpy as np

    from facedet.evaluation.diagnosis.matching import Verdicts
    from facedet.evaluation.diagnosis.report import Table
    from facedet.structures import Record

HELP = """Tell why an AP on WIDER FACE is as low as it is: which faces are not found (by height,
blur, occlusion, event), what goes wrong with them and what each kind of error costs, what the AP
loses where detections of low scores are dropped, and the AP of every single picture. The input is
what `facedet score` reads; other data sets in WIDER FACE's layout will do, with or without lists
of easy, medium and hard faces."""
EXAMPLE = """examples:
  facedet diagnose --run outputs/evaluate/RUN --data /data/wider
  facedet diagnose --detections results.zip --data /data/wider --output why/"""


class _Diagnosis(NamedTuple):
    """What was judged, how, and what came out."""

    records: list[Record]
    found: dict[str, np.ndarray]  # by record name, [N, 5] as x, y, w, h, score
    subset: int  # column of the faces that count
    score: float  # the operating score
    verdicts: Verdicts
    values: np.ndarray  # [I] the AP of every picture
    faces: np.ndarray  # [I] those that count
    tables: dict[str, Table]
    title: str
    stamp: list[str]
    findings: list[str]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--detections", type=Path, help="folder, zip or .npz of detections")
    source.add_argument("--run", type=Path, metavar="FOLDER", help="output of facedet evaluate")
    parser.add_argument("--data", type=Path, required=True, help="the WIDER FACE folder")
    parser.add_argument("--split", help="default: that of --run, otherwise val")
    parser.add_argument(
        "--images",
        choices=["all", "present"],
        help="all: faces of pictures without a detection file count as missed; present: such "
        "pictures are left out (default: present with --run, otherwise all)",
    )
    parser.add_argument(
        "--ground-truth", type=Path, help="folder of the lists (default: ground_truth in the data)"
    )
    parser.add_argument("--subset", help="the faces that count: easy, medium, hard (default) | all")
    parser.add_argument(
        "--iou", type=unit, default=0.5, help="from which a box means a face; default: 0.5"
    )
    parser.add_argument(
        "--no-integer-quirk",
        dest="integer_quirk",
        action="store_false",
        default=None,
        help="do not round the IoU to 0 or 1, as the official MATLAB toolbox does (default: round "
        "it, but where --run did not or --iou is not 0.5)",
    )
    parser.add_argument(
        "--score", type=unit, help="operating score (default: that of the best F1 on the subset)"
    )
    parser.add_argument(
        "--worst", type=count, default=12, metavar="N", help="pictures on the sheet; default: 12"
    )
    parser.add_argument(
        "--output", type=Path, help="folder of the report (default: FOLDER/diagnosis with --run)"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    """Diagnoses, prints, and writes the files."""
    from facedet.evaluation.detection_files import read_detections
    from facedet.evaluation.diagnosis.input import read_metrics, read_truth, rounds_iou
    from facedet.evaluation.diagnosis.report import as_data, page

    told = read_metrics(args.run) if args.run else {}
    args.split = args.split or told.get("split", "val")
    quirk = rounds_iou(args, told)
    truth = read_truth(args)
    found = read_detections(args.detections or args.run / "detections")
    one = _diagnose(args, truth, found, told, quirk)
    text = page(one.title, one.stamp, one.findings, list(one.tables.values()))
    output = args.output or (args.run / "diagnosis" if args.run else None)
    if output:
        _write(output, one, text, args)
    if args.json:
        data = {"title": one.title, "stamp": one.stamp, "score": one.score}
        tables = {key: as_data(table) for key, table in one.tables.items()}
        print(json.dumps(data | {"findings": one.findings, "tables": tables}))
    else:
        print(text, end="")
        if output:
            print(f"\nthe report: {output / 'report.md'}")
    return 0


def _diagnose(
    args: argparse.Namespace,
    truth: list[Record],
    found: dict[str, np.ndarray],
    told: dict[str, Any],
    quirk: bool,
) -> _Diagnosis:
    from facedet.evaluation.diagnosis.input import choose_subset, select_records
    from facedet.evaluation.diagnosis.matching import (
        best_f1_score,
        image_aps,
        image_faces,
        judge_records,
    )

    records = select_records(args, truth, found)
    names, subset = choose_subset(args, records)
    verdicts = judge_records(records, found, args.iou, quirk)
    chosen = f"best F1 on {names[subset]} faces" if args.score is None else "as asked for"
    score = best_f1_score(verdicts, subset) if args.score is None else args.score
    values = image_aps(records, found, subset, args.iou, quirk)
    tables, findings = _tables(records, verdicts, (names, subset), (score, chosen), values)
    aps = {row[0]: row[1] for row in tables["subsets"].rows}
    rounding = "rounded as by the official toolbox" if quirk else "not rounded"
    stamp = [
        *_origin(args, told, aps),
        f"{len(records):,} of {len(truth):,} pictures, {len(verdicts.scores):,} detections, "
        f"IoU {args.iou:g} ({rounding}); counted are the {names[subset]} faces, others are ignored",
    ]
    return _Diagnosis(
        records=records,
        found=found,
        subset=subset,
        score=score,
        verdicts=verdicts,
        values=values,
        faces=image_faces(verdicts, subset),
        tables=tables,
        title=f"Why the AP on {names[subset]} faces is {aps[names[subset]]:.4f}",
        stamp=stamp,
        findings=findings,
    )


def _origin(args: argparse.Namespace, told: dict[str, Any], aps: dict[Any, Any]) -> list[str]:
    """Where the detections come from, and where their evaluation had another AP."""
    from facedet.evaluation.diagnosis.report import describe_run

    if not told:
        return [f"detections {(args.detections or args.run).name}"]
    lines = [describe_run(told)]
    before = {name: told.get(f"wider/{name}") for name in aps}
    if any(
        isinstance(value, float) and abs(value - aps[name]) > 1e-4 for name, value in before.items()
    ):
        values = ", ".join(f"{name} {value:.4f}" for name, value in before.items() if value)
        lines.append(f"metrics.json has another AP: {values} on {told.get('images')} pictures")
    return lines


def _tables(
    records: list[Record],
    verdicts: Verdicts,
    subsets: tuple[tuple[str, ...], int],
    operation: tuple[float, str],
    values: np.ndarray,
) -> tuple[dict[str, Table], list[str]]:
    """All tables by name, in the order of the page, and the sentences above them."""
    from facedet.evaluation.diagnosis import report
    from facedet.evaluation.diagnosis.errors import price_errors
    from facedet.evaluation.diagnosis.matching import subset_ap

    (names, subset), (score, chosen) = subsets, operation
    ap = subset_ap(verdicts, subset)
    errors = price_errors(verdicts, subset, score)
    heights, *others = report.tables_of_recall(verdicts, records, subset, score)
    tables = [
        report.table_of_subsets(verdicts, names),
        report.table_of_operation(verdicts, names, score, chosen),
        report.table_of_errors(errors, ap),
        *(heights, *others),
        report.table_of_dropping(verdicts, names, subset),
        report.table_of_images(values),
    ]
    lowest = verdicts.scores.min().item() if len(verdicts.scores) else 0.0
    findings = report.headline(names[subset], ap, errors, heights, lowest)
    return {table.name: table for table in tables}, findings


def _write(output: Path, one: _Diagnosis, text: str, args: argparse.Namespace) -> None:
    """Writes the page, a CSV file of every table, the AP of every picture, and the pictures."""
    from facedet.evaluation.diagnosis.plots import plot_diagnosis, plot_image_aps
    from facedet.files import replacing, replacing_table

    for table in one.tables.values():
        with replacing_table(output / f"{table.name}.csv") as rows:
            rows.writerow(table.header)
            rows.writerows(table.rows)
    with replacing_table(output / "image_ap.csv", errors="backslashreplace") as rows:
        rows.writerow(["name", "faces", "AP"])
        for record, number, value in zip(one.records, one.faces, one.values, strict=True):
            rows.writerow([record.name, number, f"{value:.6f}" if number else ""])
    caption = "\n".join([one.title, *one.stamp])
    plot_diagnosis(output / "diagnosis.png", one.tables, caption)
    plot_image_aps(output / "image_ap.png", one.values, caption)
    pictures = {"diagnosis.png": "the tables as bars", "image_ap.png": "AP of single images"}
    if _draw_worst(output / "worst.jpg", one, args):
        pictures["worst.jpg"] = "the images of lowest AP; green: found, red: missed, yellow: false"
    with replacing(output / "report.md") as aside:
        links = "".join(f"\n![{note}]({name})\n" for name, note in pictures.items())
        aside.write_text(text + links, encoding="utf-8")


def _draw_worst(path: Path, one: _Diagnosis, args: argparse.Namespace) -> bool:
    """Draws the pictures of lowest AP, those with more faces first; says what is not there."""
    import numpy as np

    from facedet.data.images import read_rgb
    from facedet.evaluation.diagnosis.input import say
    from facedet.evaluation.diagnosis.matching import judge_picture
    from facedet.evaluation.diagnosis.plots import CELL, draw_verdicts
    from facedet.plots import is_drawn, save_picture, sheet

    order = one.faces.nonzero()[0].tolist()
    order.sort(key=lambda place: (one.values[place], -one.faces[place]))
    there = [place for place in order if one.records[place].path.is_file()]
    if len(there) < len(order):
        missing = f"{len(order) - len(there):,} of {len(order):,} pictures are not in {args.data}"
        say(f"{missing}: {'the sheet is of the others' if there else 'there is no sheet'}")
    drawn: list[np.ndarray] = []
    for place in there:
        record = one.records[place]
        try:
            rgb = read_rgb(record.path, record.upright)
        except FacedetError as error:
            say(f"not on the sheet: {error}")
            continue
        caption = f"AP {one.values[place]:.2f}, {one.faces[place]:,} faces  {record.name}"
        rows = one.found.get(record.name, np.zeros((0, 5)))
        judged = judge_picture(one.verdicts, place, one.subset, one.score)
        drawn.append(draw_verdicts(rgb, record, rows, judged, caption))
        if len(drawn) == args.worst:
            break
    if drawn:
        save_picture(path, sheet(drawn, columns=3, cell=CELL))
    elif is_drawn(path):  # an earlier report's
        path.unlink()
    return bool(drawn)
