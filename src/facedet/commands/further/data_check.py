"""`facedet data check`: what is wrong with a data set, as a summary, a table and pictures."""

import argparse
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from facedet.data.checks import KINDS, Finding, Report, check, face_sizes
from facedet.data.images import read_rgb
from facedet.data.readers.own import Listed
from facedet.files import replacing, replacing_table
from facedet.plots import (
    FALSE_ALARM,
    FOUND,
    MISSED,
    Box,
    draw_boxes,
    is_drawn,
    plot_histogram,
    save_picture,
    sheet,
)

_EXAMPLES = 3  # findings of each kind that are printed
_SHOWN = 12  # pictures on a sheet
_CELL = 416  # px: the longer side of each


def run_check(args: argparse.Namespace, splits: list[str], root: Path) -> int:
    """Checks, prints, and writes the report that is asked for."""
    report = check(root, args.format, splits, args.classes, args.workers or 2)
    summary = {"root": str(root), "format": args.format}
    summary |= {"splits": report.summary(), "findings": report.counts()}
    if args.output is not None:
        _write(args.output, report, summary)
    print(json.dumps(summary) if args.json else _text(report, summary, args.output))
    return 1 if args.strict and report.findings else 0


def _text(report: Report, summary: dict[str, Any], output: Path | None) -> str:
    """The report for a reader."""
    lines = [f"{summary['root']} ({summary['format']})"]
    for split, one in summary["splits"].items():
        line = f"  {split:<6}{one['pictures']:>8,} pictures{one['faces']:>9,} faces"
        if one["ignored_boxes"]:
            line += f", {one['ignored_boxes']:,} boxes to be ignored"
        if one["faceless_pictures"]:
            line += f", {one['faceless_pictures']:,} pictures without a face"
        if one["face_sizes"]:
            low, middle, high = (f"{size:g}" for size in one["face_sizes"])
            line += f"; half of the faces below {middle} px, nine of ten in {low} … {high} px"
        lines.append(line)
    for kind, number in summary["findings"].items():
        if number:
            lines.append(f"{number:>8,}  {KINDS[kind]} ({kind})")
            chosen = [one for one in report.findings if one.kind == kind][:_EXAMPLES]
            lines += [f"{'':10}{_line(one)}" for one in chosen]
    lines += [] if report.findings else ["  nothing wrong was found"]
    lines += [f"the whole report: {output}"] if output is not None else []
    return "\n".join(lines)


def _line(finding: Finding) -> str:
    where = "/".join(filter(None, (finding.split, finding.file)))
    return ": ".join(
        filter(None, (", ".join(filter(None, (where, finding.place))), finding.detail))
    )


def _write(output: Path, report: Report, summary: dict[str, Any]) -> None:
    """Writes summary.json, findings.csv, face_sizes.png, samples.jpg and offenders.jpg."""
    with replacing(output / "summary.json") as aside:
        aside.write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
    with replacing_table(output / "findings.csv", errors="backslashreplace") as table:
        table.writerow(["kind", "split", "picture", "place", "detail"])
        table.writerows(finding[:5] for finding in report.findings)
    sizes = {split: face_sizes(listing) for split, listing in report.listings.items()}
    title = f"{sum(map(len, sizes.values())):,} faces"
    plot_histogram(output / "face_sizes.png", sizes, "square root of a face's area, px", title)
    pictures = report.sound()
    evenly = np.linspace(0, len(pictures) - 1, min(_SHOWN, len(pictures))).round().astype(int)
    samples = [list(pictures)[at] for at in evenly]
    # What is wrong by picture and box; pairs that are alike come first, side by side.
    wrong: dict[tuple[str, str], dict[int | None, str]] = {}
    for finding in sorted(report.findings, key=lambda one: one.other is None):
        wrong.setdefault((finding.split, finding.file), {})[finding.box] = finding.kind
        if finding.other:
            wrong.setdefault(finding.other, {})
    offenders = [key for key in wrong if key in pictures][:_SHOWN]
    for name, keys in (("samples", samples), ("offenders", offenders)):
        path = output / f"{name}.jpg"
        faults = wrong if name == "offenders" else {}
        drawn = [_draw(pictures[key], faults.get(key, {}), key[0]) for key in keys]
        if drawn:
            save_picture(path, sheet(drawn, columns=4, cell=_CELL + 4))
        elif is_drawn(path):  # an earlier report's
            path.unlink()


def _draw(one: Listed, wrong: dict[int | None, str], split: str) -> np.ndarray:
    """A picture with its boxes, the wrong ones in red, and with words on what is wrong."""
    rgb = read_rgb(one.path)
    # Shrunk first, so that lines and letters are not.
    scale = _CELL / max(rgb.shape[:2])
    size = [max(1, round(side * scale)) for side in rgb.shape[1::-1]]
    rgb = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    boxes = [Box((0, 0, 1, 1), FALSE_ALARM, f"{wrong.get(None, '')} {split}".strip())]
    for at, row in enumerate(one.rows):
        colour = MISSED if at in wrong else FALSE_ALARM if row.is_ignored else FOUND
        boxes.append(Box(np.multiply(row.box, scale), colour, wrong.get(at, "")))
    return draw_boxes(rgb, boxes)
