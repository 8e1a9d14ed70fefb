"""`facedet predict`: faces in pictures and folders."""

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from facedet.commands.option_types import count, scale, unit

if TYPE_CHECKING:
    from facedet.api import FaceDetector

HELP = """Find the faces in pictures and folders of pictures (searched through). Prints a line per
picture; --output writes predictions.json (or .csv) and the pictures with their boxes. What cannot
be read is reported at the end, and the rest is done; Ctrl-C keeps what is done. In folders, hidden
files, other files and pictures that facedet drew itself are passed over. Without --weights those
shipped with facedet are used."""
EXAMPLE = """examples:
  facedet predict photo.jpg folder/ --output out/
  facedet predict photo.jpg --weights extd64.safetensors --json --thorough"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    parser.add_argument("inputs", nargs="+", type=Path, help="pictures and folders")
    parser.add_argument(
        "--weights", type=Path, help="file, checkpoint, or a name of `facedet weights list`"
    )
    parser.add_argument("--output", type=Path, help="folder for predictions and pictures")
    parser.add_argument("--format", choices=("json", "csv"), default="json", help="of the boxes")
    parser.add_argument("--json", action="store_true", help="print one JSON object, nothing else")
    parser.add_argument("--no-pictures", action="store_true", help="write no pictures")
    parser.add_argument(
        "--score", type=unit, help="lowest score of a face (what the weights' card says, else 0.5)"
    )
    parser.add_argument(
        "--scales", type=scale, nargs="+", help="look at these scales, up to 16 (the weights' own)"
    )
    parser.add_argument("--flip", action="store_true", help="look at the mirrored picture too")
    parser.add_argument(
        "--thorough", action="store_true", help="EXTD's multi-scale test: slower, finds more"
    )
    parser.add_argument(
        "--pixel-budget", type=count, help="pixels that are looked at at once (1200000)"
    )
    parser.add_argument(
        "--on-large",
        choices=("tile", "shrink"),
        default="tile",
        help="what is done with larger pictures (tile)",
    )
    parser.add_argument("--device", default="cpu", help="cpu, cuda, …")


def run(args: argparse.Namespace) -> int:
    """Predicts picture by picture; a bad one does not stop the rest."""
    from tqdm import tqdm

    from facedet.commands.picture_files import find_pictures, names_to_draw
    from facedet.errors import FacedetError

    _check(args)
    detector = _detector(args)
    files, failures, others, drawn = find_pictures(args.inputs)
    if others or drawn:
        _say(f"passed over: {others} other files, {drawn} pictures that facedet drew")
    names = {}
    if args.output is not None:
        _make_folder(args.output)
        if not args.no_pictures:
            names = {k: args.output / name for k, name in names_to_draw(files, args.output).items()}
    images: list[dict[str, Any]] = []
    bar = tqdm(files, unit="picture", file=sys.stderr, disable=None if len(files) > 1 else True)
    try:
        for path in bar:
            try:
                images.append(_one(detector, path, names.get(path)))
            except FacedetError as error:
                failures.append(str(error))
                continue
            if not args.json:
                tqdm.write(_line(images[-1]), file=sys.stdout)
    finally:
        # Ctrl-C after an hour must not cost the hour.
        if args.output is not None:
            try:
                _write_table(args.output, images, args.format)
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
    from facedet.errors import UsageError

    if args.thorough and (args.scales or args.flip):
        raise UsageError(
            "--thorough has scales and mirroring of its own: leave --scales and --flip"
        )
    if args.output is None and (args.no_pictures or args.format != "json"):
        raise UsageError("--format and --no-pictures say what --output writes: add --output FOLDER")


def _make_folder(path: Path) -> None:
    from facedet.errors import FacedetError

    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FacedetError(f"--output {path}: no folder can be made ({error.strerror})") from error


def _say(text: str) -> None:
    print(f"facedet predict: {text}", file=sys.stderr)


def _detector(args: argparse.Namespace) -> "FaceDetector":
    from facedet.api import PIXEL_BUDGET, load
    from facedet.inference.scales import ExtdScales
    from facedet.weights.zoo import DEFAULT

    return load(
        args.weights or DEFAULT,
        score=args.score,
        scales=ExtdScales() if args.thorough else args.scales,
        flip=args.flip,
        pixel_budget=args.pixel_budget or PIXEL_BUDGET,
        on_large=args.on_large,
        device=args.device,
    )


def _one(detector: "FaceDetector", path: Path, picture: Path | None) -> dict[str, Any]:
    from facedet.data.images import read_image
    from facedet.errors import FacedetError
    from facedet.plots import Box, draw_boxes, save_picture

    image = read_image(path)
    try:
        found = detector.detect(image.rgb)
    except FacedetError as error:
        raise FacedetError(f"{path}: {error}") from error
    faces = [
        {"box": [round(value, 2) for value in box], "score": round(score, 4)}
        for box, score in zip(found.boxes.tolist(), found.scores.tolist(), strict=True)
    ]
    if picture is not None:
        boxes = [Box(face["box"], text=f"{face['score']:.2f}") for face in faces]
        save_picture(picture, draw_boxes(image.rgb, boxes))
    height, width = image.rgb.shape[:2]
    result = {"file": str(path), "width": width, "height": height, "faces": faces}
    notes = "; ".join(filter(None, (image.note, found.note)))
    return {**result, "note": notes} if notes else result


def _line(image: dict[str, Any]) -> str:
    count = len(image["faces"])
    best = ", ".join(f"{face['score']:.2f}" for face in image["faces"][:5])
    more = ", …" if count > 5 else ""
    note = f"  [{image['note']}]" if "note" in image else ""
    faces = "1 face " if count == 1 else f"{count} faces"
    return f"{image['file']}: {faces}{f'  ({best}{more})' if count else ''}{note}"


def _write_table(output: Path, images: list[dict[str, Any]], kind: str) -> None:
    from facedet.files import replacing, replacing_table

    path = output / f"predictions.{kind}"
    if kind == "json":
        with replacing(path) as aside:
            aside.write_text(json.dumps({"images": images}, indent=1), encoding="utf-8")
    else:
        with replacing_table(path, errors="backslashreplace") as table:
            table.writerow(["file", "width", "height", "x1", "y1", "x2", "y2", "score"])
            for image in images:
                about = [image["file"], image["width"], image["height"]]
                table.writerows([*about, *face["box"], face["score"]] for face in image["faces"])
    print(f"{len(images)} picture{'s' * (len(images) != 1)}: {path}", file=sys.stderr)
