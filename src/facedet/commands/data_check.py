"""`facedet data check`: what is wrong with a data set, as a summary, a table and pictures."""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from facedet.data.checks import Finding, Report
    from facedet.data.readers.listing import Listed

_EXAMPLES = 3  # findings of each kind that are printed
_SHOWN = 12  # pictures on a sheet
_CELL = 416  # px: the longer side of each
_PAIRS = 3  # of pictures that are alike, on the sheet of offenders
# In the order in which they are shown: what spoils a training most comes first.
_PAIR_KINDS = ("leak", "near_leak", "duplicate", "near_duplicate")


def run_check(args: argparse.Namespace) -> int:
    """Checks, prints, and writes the report that is asked for."""
    from facedet.data.checks import check

    (root,) = args.folders
    report = check(root, args.format, args.splits, args.classes, args.workers)
    summary = {
        "root": str(root),
        "format": args.format,
        "splits": {split: one._asdict() for split, one in report.summary().items()},
        "findings": report.counts(),
    }
    if args.output is not None:
        _write(args.output, report, summary)
    print(json.dumps(summary) if args.json else _text(report, summary, args.output))
    return 1 if args.strict and report.findings else 0


def _text(report: "Report", summary: dict[str, Any], output: Path | None) -> str:
    """The report for a reader."""
    from facedet.data.checks import KINDS

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
    if not report.findings:
        lines.append("  nothing wrong was found")
    if output is not None:
        lines.append(f"the whole report: {output}")
    return "\n".join(lines)


def _line(finding: "Finding") -> str:
    where = "/".join(filter(None, (finding.split, finding.file)))
    where = ", ".join(filter(None, (where, finding.place)))
    return ": ".join(filter(None, (where, finding.detail)))


def _write(output: Path, report: "Report", summary: dict[str, Any]) -> None:
    """Writes summary.json, findings.csv, face_sizes.png, samples.jpg and offenders.jpg."""
    from facedet.data.checks import face_sizes
    from facedet.files import replacing, replacing_table
    from facedet.plots import is_drawn, plot_histogram, save_picture, sheet

    with replacing(output / "summary.json") as aside:
        aside.write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
    with replacing_table(output / "findings.csv", errors="backslashreplace") as table:
        table.writerow(["kind", "split", "picture", "place", "detail"])
        table.writerows(finding[:5] for finding in report.findings)
    sizes = {split: face_sizes(one.listing) for split, one in report.splits.items()}
    title = f"{sum(map(len, sizes.values())):,} faces"
    plot_histogram(output / "face_sizes.png", sizes, "square root of a face's area, px", title)
    for name, pictures in (("samples", _samples(report)), ("offenders", _offenders(report))):
        path = output / f"{name}.jpg"
        if pictures:
            save_picture(path, sheet(pictures, columns=4, cell=_CELL + 4))
        elif is_drawn(path):  # an earlier report's
            path.unlink()


def _samples(report: "Report") -> list[Any]:
    """Pictures drawn evenly from all splits, with their boxes."""
    import numpy as np

    listed = [
        (split, one)
        for split, (listing, facts) in report.splits.items()
        for one, fact in zip(listing.pictures, facts, strict=True)
        if fact is not None and not fact.problem
    ]
    chosen = np.linspace(0, len(listed) - 1, min(_SHOWN, len(listed))).round().astype(int)
    return [_draw(listed[at][1], {}, listed[at][0]) for at in chosen]


def _offenders(report: "Report") -> list[Any]:
    """Pairs that are alike, then the pictures with the most boxes that are wrong."""
    readable = {
        (split, one.file): one
        for split, (listing, facts) in report.splits.items()
        for one, fact in zip(listing.pictures, facts, strict=True)
        if fact is not None and not fact.problem
    }
    pairs = [one for kind in _PAIR_KINDS for one in report.findings if one.kind == kind]
    drawn = []
    for finding in pairs[:_PAIRS]:
        for key in filter(None, ((finding.split, finding.file), finding.other)):
            drawn.append(_draw(readable[key], {}, f"{finding.kind}: {key[0]}"))
    wrong: dict[tuple[str, str], dict[int, str]] = {}
    whole: dict[tuple[str, str], str] = {}
    for finding in report.findings:
        key = finding.split, finding.file
        if key in readable and finding.box is not None:
            wrong.setdefault(key, {}).setdefault(finding.box, finding.kind)
        elif key in readable and finding.other is None:
            whole.setdefault(key, finding.kind)
            wrong.setdefault(key, {})
    worst = sorted(wrong, key=lambda key: -len(wrong[key]))
    for key in worst[: _SHOWN - len(drawn)]:
        drawn.append(_draw(readable[key], wrong[key], f"{whole.get(key, '')} {key[0]}".strip()))
    return drawn


def _draw(one: "Listed", wrong: dict[int, str], text: str) -> Any:  # noqa: ANN401
    """A picture with its boxes, the wrong ones in red with what is wrong, and a text."""
    import cv2

    from facedet.data.images import read_rgb
    from facedet.data.readers.own import is_sound
    from facedet.plots import FALSE_ALARM, FOUND, MISSED, Box, draw_boxes

    rgb = read_rgb(one.path)
    # Shrunk first, so that lines and letters are not.
    scale = _CELL / max(rgb.shape[:2])
    size = [max(1, round(side * scale)) for side in rgb.shape[1::-1]]
    rgb = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    boxes = [Box((0, 0, 1, 1), FALSE_ALARM, text)]
    for row in is_sound(one.boxes).nonzero()[0].tolist():
        usual = FALSE_ALARM if one.ignore[row] else FOUND
        colour = MISSED if row in wrong else usual
        boxes.append(Box(one.boxes[row] * scale, colour, wrong.get(row, "")))
    return draw_boxes(rgb, boxes)
