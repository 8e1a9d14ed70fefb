"""`facedet predict`: faces in pictures, videos, cameras and streams."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from facedet.errors import UsageError
from facedet.inference.engines import ENGINES
from facedet.option_types import count, pixels, scale, unit
from facedet.tables import counted

if TYPE_CHECKING:
    from facedet.api import FaceDetector

HELP = """Find the faces in pictures and videos: files, folders (searched through), patterns
('dir/*.jpg'), text files with a path per line (list.txt), http(s) URLs, rtsp and other streams, the
number of a camera, and - for a picture from standard input. Prints boxes, x1 y1 to x2 y2 in pixels,
and writes predictions.json and the pictures or videos with their boxes into
outputs/predict/DATE_TIME, or the folder of --output; --no-save writes nothing. What cannot be read
is reported at the end, and the rest is done; Ctrl-C keeps what is done. In folders, hidden files,
other files and what facedet drew itself are passed over. Without --weights those shipped with
facedet are used. Videos need PyAV: pip install 'facedet-lightning[video]'."""
EXAMPLE = """examples:
  facedet predict photo.jpg folder/ 'more/*.png' -o out/
  facedet predict https://example.org/a.jpg --no-save
  cat photo.jpg | facedet predict - --json
  facedet predict folder/ -o labels/ --format yolo --no-pictures --min-size 20
  facedet predict photo.jpg -w extd-released-64 --thorough
  facedet predict film.mp4 --blur -o anonymous.mp4      faces hidden, sound kept
  facedet predict 0 --jsonl                             the camera, a line per frame
  facedet predict rtsp://host/live --crop faces/        a picture per face"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    add = parser.add_argument
    add("inputs", nargs="+", help="files, folders, patterns, lists, URLs, camera numbers, -")
    text = "file, checkpoint, exported file, name (facedet weights list) or hf://owner/name"
    add("-w", "--weights", help=text)
    text = "folder for predictions and pictures, or the one picture or video to write"
    add("-o", "--output", type=Path, help=text)
    text = "write them with --json, --jsonl and --csv too, or never (all but with these)"
    add("--save", action=argparse.BooleanOptionalAction, help=text)
    formats = ("json", "jsonl", "csv", "yolo", "coco", "voc")
    add("--format", choices=formats, help="of the predictions; yolo: boxes only (json)")
    one_of = parser.add_mutually_exclusive_group().add_argument
    for kind, text in (
        ("json", "print one JSON object, nothing else"),
        ("jsonl", "print a JSON object per picture or frame, as they come"),
        ("csv", "print a row per face, as they come"),
    ):
        one_of(f"--{kind}", dest="printed", action="store_const", const=kind, help=text)
    one_of = parser.add_mutually_exclusive_group().add_argument
    for name, copies, text in (
        ("no-pictures", "none", "write no pictures or videos, only the predictions"),
        ("blur", "blur", "blur the faces instead of drawing boxes"),
        ("pixelate", "pixelate", "the same in squares"),
    ):
        one_of(f"--{name}", dest="copies", action="store_const", const=copies, help=text)
    parser.set_defaults(copies="boxes")
    add("--crop", type=Path, metavar="DIR", help="write a picture per face into this folder")
    text = "share of a face's sides that a crop shows around it (0.2)"
    add("--crop-margin", type=unit, default=0.2, metavar="SHARE", help=text)
    text = "lowest score of a face (what the weights' card says, else 0.5)"
    add("--score", "--conf", type=unit, metavar="SCORE", help=text)
    text = "overlap above which two boxes are one face (an exported file's own, else 0.3)"
    add("--iou", type=unit, help=text)
    add("--max-det", type=count, metavar="N", help="faces per picture at the most (all)")
    text = "leave out faces whose shorter side is smaller (0)"
    add("--min-size", type=pixels, default=0.0, metavar="PX", help=text)
    add("--no-clip", action="store_true", help="boxes may reach outside the picture")
    add("--scales", type=scale, nargs="+", help="process at these scales, up to 16 (the weights')")
    add("--flip", action="store_true", help="process the mirrored picture too")
    add("--thorough", action="store_true", help="EXTD's multi-scale test: slower, finds more")
    add("--pixel-budget", type=count, help="pixels that are processed at once (1200000)")
    text = "what is done with larger pictures (tile)"
    add("--on-large", choices=("tile", "shrink"), default="tile", help=text)
    add("--device", default="auto", help="auto, cpu, cuda, cuda:1 or 1, mps (auto)")
    text = "what runs the network: auto takes the fastest that is installed (auto)"
    add("--engine", choices=("auto", *ENGINES), default="auto", help=text)
    add("--threads", type=count, metavar="N", help="CPU threads of the network (PyTorch's)")


def run(args: argparse.Namespace) -> int:
    """Predicts frame by frame; a bad one does not stop the rest."""
    from facedet.inference.sources.selection import find_sources
    from facedet.prediction.destination import Destination
    from facedet.prediction.run import Run

    if args.thorough and (args.scales or args.flip):
        raise UsageError("--thorough has scales and mirroring of its own: omit --scales and --flip")
    sources, failures, others, drawn = find_sources(args.inputs)
    passed = [counted(others, "other file")] * bool(others)
    passed += [f"{drawn} that facedet drew"] * bool(drawn)
    if passed:
        _say(f"passed over: {', '.join(passed)}")
    files = (args.output, args.save, args.format, args.copies, args.crop, args.crop_margin)
    destination = Destination(*files, args.printed)
    destination.check(sources)
    detector = _detector(args)
    process = Run(detector, destination.open(sources, _say), failures)
    try:
        process(sources)
    finally:
        # Ctrl-C after an hour must not cost the hour.
        for line in destination.close(process.done):
            print(line, file=sys.stderr)
    for failure in failures:
        _say(failure)
    if failures:
        _say(f"{len(failures)} failed, {process.done} done")
    return 1 if failures else 0


def _say(text: str) -> None:
    print(f"facedet predict: {text}", file=sys.stderr)


def _detector(args: argparse.Namespace) -> "FaceDetector":
    from facedet.api import PIXEL_BUDGET, load
    from facedet.inference.scales import ExtdScales
    from facedet.weights.zoo import DEFAULT

    same = "score", "flip", "iou", "max_det", "min_size", "on_large", "device", "engine", "threads"
    return load(
        args.weights or DEFAULT,
        scales=ExtdScales() if args.thorough else args.scales,
        clip=not args.no_clip,
        pixel_budget=args.pixel_budget or PIXEL_BUDGET,
        **{name: getattr(args, name) for name in same},
    )
