"""`facedet data`: make the embedded data, and count, check or convert anybody's."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from facedet.errors import UsageError
from facedet.files import expand_home
from facedet.option_types import count

if TYPE_CHECKING:
    import numpy as np

    from facedet.data.checks import Finding, Report
    from facedet.data.readers.own import Listed

HELP = """Make the embedded crowds in a folder; or, for a data set in the format of WIDER FACE
(RetinaFace's label lists too), COCO, YOLO, Pascal VOC or CSV tables, say what it holds (count),
find what is wrong with pictures and annotations (check), or write COCO or YOLO (convert)."""
EXAMPLE = """examples:
  facedet data crowds crowds/
  facedet data count /data/wider --split train
  facedet data check /data/mine --output report/
  facedet data convert /data/mine /data/mine_yolo --to yolo"""

_FORMATS = ("wider", "coco", "yolo", "voc", "csv")
_WRITTEN = ("coco", "yolo")
_FOLDERS = {"crowds": ("ROOT",), "count": ("ROOT",), "check": ("ROOT",),
            "convert": ("SOURCE", "TARGET")}  # fmt: skip
# Options of one action alone.
_OF = {"split": "count", "output": "check", "json": "check", "strict": "check", "workers": "check",
       "to": "convert", "images": "convert", "copy": "convert"}  # fmt: skip
_EXAMPLES = 3  # findings of each kind that are printed
_SHOWN = 12  # pictures on a sheet
_CELL = 416  # px: the longer side of each


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    add = parser.add_argument
    add("action", choices=_FOLDERS, help="what to do")
    text = "ROOT; for convert SOURCE TARGET"
    add("folders", nargs="*", default=[], type=Path, metavar="FOLDER", help=text)
    add("--root", type=Path, help="the first FOLDER, said otherwise")
    add("--split", help="count: train, val, test, or all (the first)")
    add("--format", "--from", choices=_FORMATS, help="the data's format (seen from the folder)")
    add("--to", choices=_WRITTEN, help="convert: the format to write")
    add("--classes", default="face", help="whose boxes are faces: NAME,NAME or all (face)")
    add("--images", choices=("all", "present"), help="convert: refuse or skip missing ones")
    add("--copy", action="store_true", help="convert: copy pictures, do not link them")
    add("--output", type=Path, help="check: folder for the report")
    add("--json", action="store_true", help="check: print one JSON object, nothing else")
    add("--strict", action="store_true", help="check: exit with 1 where anything is found")
    add("--workers", type=count, help="check: processes that open pictures (2)")


def run(args: argparse.Namespace) -> int:
    """Does what the first word says."""
    names = _FOLDERS[args.action]
    folders = [expand_home(path) for path in (args.root, *args.folders) if path is not None]
    if len(folders) != len(names):
        hint = " (or --root ROOT)" if "ROOT" in names else ""
        given = " ".join(map(str, folders)) or "nothing"
        raise UsageError(f"{args.action} takes {' and '.join(names)}{hint}, not {given}")
    for key, action in _OF.items():
        if action != args.action and getattr(args, key):
            raise UsageError(f"--{key} belongs to {action}, not to {args.action}")
    if args.action == "crowds":
        from facedet.config import build, compose

        # The size and number of the pictures are said once, in conf/data/crowds.yaml.
        print(build(compose("train").data.prepare)(folders[0]))
        return 0
    if args.action == "convert" and args.to is None:
        raise UsageError(f"convert needs --to, one of {', '.join(_WRITTEN)}")
    if args.output is not None and args.output.resolve().is_relative_to(folders[0].resolve()):
        raise UsageError(f"--output {args.output} lies in the data set, where nothing is changed")
    from facedet.data.formats import FORMATS, find_format

    args.classes = [name.strip() for name in args.classes.split(",")]
    found, splits = find_format(folders[0], args.format)
    if args.format is None:
        one = FORMATS[found]
        text = f"read as {one.title}, for it holds {one.mark}; --format says otherwise"
        print(f"facedet data: {folders[0]}: {text}", file=sys.stderr)
    args.format = found
    if args.action == "convert":
        return _convert(args, splits, *folders)
    return (_check if args.action == "check" else _count)(args, splits, folders[0])


def _count(args: argparse.Namespace, splits: list[str], root: Path) -> int:
    from facedet.data.formats import FORMATS

    split = args.split or ("train" if "train" in splits else splits[0])
    # As in training and validation: only what cannot be learnt from is left out.
    rest = "drop" if split == "train" else "keep"
    reading = FORMATS[args.format].read(
        root, split, classes=args.classes, images="present", zero_size=rest, faceless=rest
    )
    for what, number in reading.counts.items():
        print(f"{number:>9,}  {what.replace('_', ' ')}")
    return 0


def _convert(args: argparse.Namespace, splits: list[str], source: Path, target: Path) -> int:
    from facedet.data.formats import FORMATS, convert

    chosen = {"classes": args.classes, "images": args.images or "all", "copy": args.copy}
    done = convert(source, target, args.format, args.to, splits, **chosen)
    for split, pictures in done.pictures.items():
        print(f"{split:<6}{pictures:>9,} pictures{done.boxes[split]:>11,} boxes")
    for why, number in done.left_out.items():
        print(f"left out: {number:,} {why}")
    for note in done.notes:
        print(f"note: {note}")
    print(f"{target}: {FORMATS[args.to].title}")
    return 0


def _check(args: argparse.Namespace, splits: list[str], root: Path) -> int:
    from facedet.data.checks import check

    report = check(root, args.format, splits, args.classes, args.workers or 2)
    summary = {"root": str(root), "format": args.format}
    summary |= {"splits": report.summary(), "findings": report.counts()}
    if args.output is not None:
        _write(args.output, report, summary)
    print(json.dumps(summary) if args.json else _text(report, summary, args.output))
    return 1 if args.strict and report.findings else 0


def _text(report: Report, summary: dict[str, Any], output: Path | None) -> str:
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
    lines += [] if report.findings else ["  nothing wrong was found"]
    lines += [f"the whole report: {output}"] if output is not None else []
    return "\n".join(lines)


def _line(finding: Finding) -> str:
    picture = "/".join(filter(None, (finding.split, finding.file)))
    where = ", ".join(filter(None, (picture, finding.place)))
    return ": ".join(filter(None, (where, finding.detail)))


def _write(output: Path, report: Report, summary: dict[str, Any]) -> None:
    """Writes summary.json, findings.csv, face_sizes.png, samples.jpg and offenders.jpg."""
    from facedet.data.checks import face_sizes
    from facedet.files import replace_json, replacing_table
    from facedet.plots import evenly, is_drawn, plot_histogram, save_picture, sheet

    replace_json(output / "summary.json", summary)
    with replacing_table(output / "findings.csv", errors="backslashreplace") as table:
        table.writerow(["kind", "split", "picture", "place", "detail"])
        table.writerows(finding[:5] for finding in report.findings)
    sizes = {split: face_sizes(listing) for split, listing in report.listings.items()}
    title = f"{sum(map(len, sizes.values())):,} faces"
    plot_histogram(output / "face_sizes.png", sizes, "square root of a face's area, px", title)
    pictures = report.sound()
    samples = evenly(list(pictures), _SHOWN)
    # What is wrong by picture and box; pairs that are alike come first, side by side.
    wrong: dict[tuple[str, str], dict[int | None, str]] = {}
    for finding in sorted(report.findings, key=lambda one: one.other is None):
        wrong.setdefault((finding.split, finding.file), {})[finding.box] = finding.kind
        if finding.other:
            wrong.setdefault(finding.other, {})
    offenders = [key for key in wrong if key in pictures][:_SHOWN]
    for name, keys, faults in (("samples", samples, {}), ("offenders", offenders, wrong)):
        path = output / f"{name}.jpg"
        if drawn := [_draw(pictures[key], faults.get(key, {}), key[0]) for key in keys]:
            save_picture(path, sheet(drawn, columns=4, cell=_CELL + 4))
        elif is_drawn(path):  # an earlier report's
            path.unlink()


def _draw(one: Listed, wrong: dict[int | None, str], split: str) -> np.ndarray:
    """A picture with its boxes, the wrong ones in red, and with words on what is wrong."""
    import numpy as np

    from facedet.data.images import read_rgb
    from facedet.plots import FALSE_ALARM, FOUND, MISSED, Box, draw_boxes, fitted

    rgb, scale = fitted(read_rgb(one.path), _CELL)
    boxes = [Box((0, 0, 1, 1), FALSE_ALARM, f"{wrong.get(None, '')} {split}".strip())]
    for at, row in enumerate(one.rows):
        colour = MISSED if at in wrong else FALSE_ALARM if row.is_ignored else FOUND
        boxes.append(Box(np.multiply(row.box, scale).tolist(), colour, wrong.get(at, "")))
    return draw_boxes(rgb, boxes)
