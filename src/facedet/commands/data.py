"""`facedet data`: make the embedded data, and count, check or convert anybody's."""

import argparse
import sys
from pathlib import Path

from facedet.errors import UsageError
from facedet.option_types import count

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


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    add = parser.add_argument
    add("action", choices=_FOLDERS, help="what to do")
    add("folders", nargs="*", type=Path, metavar="FOLDER", help="ROOT; for convert SOURCE TARGET")
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
    folders = [path.expanduser() for path in (args.root, *args.folders) if path is not None]
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
    from facedet.commands.further.data_check import run_check
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
    return (run_check if args.action == "check" else _count)(args, splits, folders[0])


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
