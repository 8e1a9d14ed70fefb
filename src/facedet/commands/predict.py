"""`facedet predict`: faces in pictures and folders."""

import argparse
import json
import sys
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from facedet.commands.option_types import count, pixels, scale, unit
from facedet.errors import FacedetError, UsageError

if TYPE_CHECKING:
    from facedet.api import FaceDetector
    from facedet.inference.sources import Source

HELP = """Find the faces in pictures: files, folders (searched through), patterns ('dir/*.jpg'),
text files with a path per line (list.txt), http(s) URLs, and - for standard input. Prints boxes,
x1 y1 to x2 y2 in pixels, and writes predictions.json and the pictures with their boxes into
outputs/predict/DATE_TIME, or the folder of --output; --no-save writes nothing. What cannot be read
is reported at the end, and the rest is done; Ctrl-C keeps what is done. In folders, hidden files,
other files and pictures that facedet drew itself are passed over. Without --weights those shipped
with facedet are used."""
EXAMPLE = """examples:
  facedet predict photo.jpg folder/ 'more/*.png' -o out/
  facedet predict https://example.org/a.jpg --no-save
  cat photo.jpg | facedet predict - --json
  facedet predict folder/ -o labels/ --format yolo --no-pictures --min-size 20
  facedet predict photo.jpg -w extd-released-64 --thorough"""
_PRINTED_FACES = 20  # of one picture


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    add = parser.add_argument
    add("inputs", nargs="+", help="files, folders, patterns, lists, URLs, -")
    add("-w", "--weights", help="file, checkpoint, or a name of `facedet weights list`")
    add("-o", "--output", type=Path, help="folder for predictions and pictures")
    add("--save", action="store_true", help="write them with --json too")
    add("--no-save", action="store_true", help="write nothing")
    add("--no-pictures", action="store_true", help="write no pictures, only the predictions")
    formats = ("json", "csv", "yolo", "coco", "voc")
    add("--format", choices=formats, help="of the predictions; yolo: boxes only (json)")
    add("--json", action="store_true", help="print one JSON object, nothing else")
    text = "lowest score of a face (what the weights' card says, else 0.5)"
    add("--score", "--conf", type=unit, metavar="SCORE", help=text)
    add("--iou", type=unit, default=0.3, help="overlap above which two boxes are one face (0.3)")
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


def run(args: argparse.Namespace) -> int:
    """Predicts picture by picture; a bad one does not stop the rest."""
    from tqdm import tqdm

    from facedet.inference.labels import write_predictions
    from facedet.inference.sources import find_sources, unique_stems

    _check(args)
    sources, failures, others, drawn = find_sources(args.inputs)
    if others or drawn:
        _say(f"passed over: {others} other files, {drawn} pictures that facedet drew")
    detector = _detector(args)
    output = _output_folder(args) if sources else None
    stems = unique_stems(sources, output or Path())
    images: list[dict[str, Any]] = []
    bar = tqdm(sources, unit="picture", file=sys.stderr, disable=None if len(sources) > 1 else True)
    try:
        for source in bar:
            picture = None
            if output is not None and not args.no_pictures:
                picture = output / f"{stems[source.name]}_faces.jpg"
            try:
                _one(detector, source, picture, images)
            except FacedetError as error:
                failures.append(str(error))
                if not images or images[-1]["file"] != source.name:
                    continue
            if not args.json:
                tqdm.write(_lines(images[-1]), file=sys.stdout)
    finally:
        # Ctrl-C after an hour must not cost the hour.
        if output is not None and not images and args.output is None:
            output.rmdir()
        elif output is not None:
            try:
                path = write_predictions(output, images, stems, args.format or "json")
                _say_written(len(images), path)
            except FacedetError as error:
                failures.append(str(error))
    if args.json:
        print(json.dumps({"images": images}))
    for failure in failures:
        _say(failure)
    if failures:
        _say(f"{len(failures)} failed, {len(images)} done")
    return 1 if failures else 0


def _check(args: argparse.Namespace) -> None:
    if args.thorough and (args.scales or args.flip):
        raise UsageError("--thorough has scales and mirroring of its own: omit --scales and --flip")
    if args.no_save and (args.save or args.output or args.format):
        raise UsageError("--no-save writes nothing: omit --save, --output and --format")


def _output_folder(args: argparse.Namespace) -> Path | None:
    """The folder of results, made; None: nothing is written."""
    is_asked = args.save or args.output is not None or args.format is not None
    if args.no_save or (args.json and not is_asked):
        return None
    folder = args.output or Path("outputs", "predict", f"{datetime.now():%Y-%m-%d_%H-%M-%S-%f}")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        if is_asked:
            raise FacedetError(f"--output {folder}: cannot be made ({error.strerror})") from error
        _say(f"nothing is saved: {folder} cannot be made ({error.strerror})")
        return None
    return folder


def _say(text: str) -> None:
    print(f"facedet predict: {text}", file=sys.stderr)


def _say_written(pictures: int, path: Path) -> None:
    print(f"{pictures} picture{'s' * (pictures != 1)}: {path}", file=sys.stderr)


def _detector(args: argparse.Namespace) -> "FaceDetector":
    from facedet.api import PIXEL_BUDGET, load
    from facedet.inference.scales import ExtdScales
    from facedet.weights.zoo import DEFAULT

    return load(
        args.weights or DEFAULT,
        score=args.score,
        scales=ExtdScales() if args.thorough else args.scales,
        flip=args.flip,
        iou=args.iou,
        max_det=args.max_det,
        min_size=args.min_size,
        clip=not args.no_clip,
        pixel_budget=args.pixel_budget or PIXEL_BUDGET,
        on_large=args.on_large,
        device=args.device,
    )


def _one(
    detector: "FaceDetector", source: "Source", picture: Path | None, images: list[dict[str, Any]]
) -> None:
    """Adds a picture's faces to `images`, then draws them."""
    from facedet.plots import save_picture

    image = source.read()
    try:
        found = detector.detect(image.rgb)
    except FacedetError as error:
        raise FacedetError(f"{source.name}: {error}") from error
    result = {"file": source.name, **found.to_dict()}
    if note := "; ".join(filter(None, (image.note, found.note))):
        result["note"] = note
    images.append(result)
    if picture is not None:
        save_picture(picture, found.drawn())


def _lines(image: Mapping[str, Any]) -> str:
    """`photo.jpg: 1 face` and a line per face, `  0.98  178 50 to 268 175`."""
    faces = image["faces"]
    note = f"  [{image['note']}]" if "note" in image else ""
    lines = [f"{image['file']}: {len(faces)} face{'' if len(faces) == 1 else 's'}{note}"]
    for face in faces[:_PRINTED_FACES]:
        x1, y1, x2, y2 = face["box"]
        lines.append(f"  {face['score']:.2f}  {x1:.0f} {y1:.0f} to {x2:.0f} {y2:.0f}")
    if len(faces) > _PRINTED_FACES:
        lines.append(f"  and {len(faces) - _PRINTED_FACES} more")
    return "\n".join(lines)
