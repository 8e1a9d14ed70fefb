"""`facedet data`: make the embedded data, and count, check or convert anybody's."""

import argparse
import sys
from functools import partial
from pathlib import Path
from typing import Any

from facedet.commands.option_types import count
from facedet.errors import UsageError

HELP = """Make the embedded crowds in a folder; or, for a data set in the format of WIDER FACE
(RetinaFace's label lists too), COCO, YOLO, Pascal VOC or CSV tables, say what it holds (count),
find what is wrong with pictures and annotations (check), or write another format (convert)."""
EXAMPLE = """examples:
  facedet data crowds crowds/
  facedet data count /data/wider --split train
  facedet data check /data/mine --output report/
  facedet data convert /data/mine /data/mine_yolo --to yolo"""

_FORMATS = ("wider", "coco", "yolo", "voc", "csv")
# By action: the folders it takes, and its options with their defaults.
_ACTIONS: dict[str, tuple[tuple[str, ...], dict[str, Any]]] = {
    "crowds": (("ROOT",), {}),
    "count": (("ROOT",), {"split": None, "format": None, "classes": "face"}),
    "check": (
        ("ROOT",),
        {"format": None, "classes": "face", "output": None, "json": False, "strict": False,
         "workers": 2},
    ),
    "convert": (
        ("SOURCE", "TARGET"),
        {"format": None, "to": None, "classes": "face", "images": "all", "copy": False},
    ),
}  # fmt: skip


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments; `None` stands for "not given"."""
    parser.add_argument("action", choices=_ACTIONS, help="what to do")
    parser.add_argument(
        "folders", nargs="*", type=Path, metavar="FOLDER", help="ROOT; for convert SOURCE TARGET"
    )
    parser.add_argument("--root", type=Path, help="the first FOLDER, said otherwise")
    parser.add_argument("--split", help="count: train, val, test, or all (the first)")
    text = "the data's format (seen from the folder)"
    parser.add_argument("--format", "--from", choices=_FORMATS, help=text)
    parser.add_argument("--to", choices=_FORMATS, help="convert: the format to write")
    parser.add_argument("--classes", help="whose boxes are faces: NAME,NAME or all (face)")
    choices = ("all", "present")
    parser.add_argument("--images", choices=choices, help="convert: refuse or skip missing ones")
    flag = partial(parser.add_argument, action="store_true", default=None)
    flag("--copy", help="convert: copy pictures, do not link them")
    parser.add_argument("--output", type=Path, help="check: folder for the report")
    flag("--json", help="check: print one JSON object, nothing else")
    flag("--strict", help="check: exit with 1 where anything is found")
    parser.add_argument("--workers", type=count, help="check: processes that open pictures (2)")


def run(args: argparse.Namespace) -> int:
    """Does what the first word says."""
    names, options = _ACTIONS[args.action]
    if args.root is not None:
        args.folders.insert(0, args.root)
    if len(args.folders) != len(names):
        hint = " (or --root ROOT)" if "ROOT" in names else ""
        given = " ".join(map(str, args.folders)) or "nothing"
        raise UsageError(f"{args.action} takes {' and '.join(names)}{hint}, not {given}")
    for key in {key for _, others in _ACTIONS.values() for key in others} - options.keys():
        if getattr(args, key) is not None:
            raise UsageError(f"--{key} does not belong to {args.action}")
    for key, default in options.items():
        if getattr(args, key) is None:
            setattr(args, key, default)
    args.folders = [folder.expanduser() for folder in args.folders]
    if args.action == "crowds":
        return _make_crowds(args.folders[0])
    if args.action == "convert" and args.to is None:
        raise UsageError(f"convert needs --to, one of {', '.join(_FORMATS)}")
    root = args.folders[0]
    if args.output is not None and args.output.resolve().is_relative_to(root.resolve()):
        raise UsageError(f"--output {args.output} lies in the data set, where nothing is changed")
    from facedet.commands.data_check import run_check
    from facedet.data.formats import FORMATS, find_format

    args.classes = [name.strip() for name in args.classes.split(",")]
    found, args.splits = find_format(root, args.format)
    if args.format is None:
        one = FORMATS[found]
        text = f"{root}: read as {one.title}, for it holds {one.mark}; --format says otherwise"
        print(f"facedet data: {text}", file=sys.stderr)
    args.format = found
    return {"count": _count, "check": run_check, "convert": _convert}[args.action](args)


def _make_crowds(root: Path) -> int:
    from facedet.config import build, compose

    # The size and number of the pictures are said once, in conf/data/crowds.yaml.
    print(build(compose("train").data.prepare)(root))
    return 0


def _count(args: argparse.Namespace) -> int:
    from facedet.data.formats import FORMATS

    split = args.split or ("train" if "train" in args.splits else args.splits[0])
    # As in training and validation: only what cannot be learnt from is left out.
    rest = "drop" if split == "train" else "keep"
    reading = FORMATS[args.format].read(
        args.folders[0], split, classes=args.classes, images="present", zero_size=rest,
        faceless=rest,
    )  # fmt: skip
    for what, number in reading.counts.items():
        print(f"{number:>9,}  {what.replace('_', ' ')}")
    return 0


def _convert(args: argparse.Namespace) -> int:
    from facedet.data.formats import FORMATS, convert

    source, target = args.folders
    chosen = {"classes": args.classes, "images": args.images, "copy": args.copy}
    done = convert(source, target, args.format, args.to, args.splits, **chosen)
    for split, pictures in done.pictures.items():
        print(f"{split:<6}{pictures:>9,} pictures{done.boxes[split]:>11,} boxes")
    print("".join(f"left out: {number:,} {why}\n" for why, number in done.left_out.items()), end="")
    print("".join(f"note: {note}\n" for note in done.notes), end="")
    print(f"{target}: {FORMATS[args.to].title}")
    return 0
