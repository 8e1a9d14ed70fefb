"""`facedet predict`: faces in pictures and folders."""

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from facedet.api import FaceDetector

HELP = """Find the faces in pictures and folders of pictures (searched through). Prints a line per
picture; --output writes predictions.json (or .csv) and the pictures with their boxes. What cannot
be read is reported at the end, and the rest is done."""
EXAMPLE = """example:
  facedet predict photo.jpg folder/ --weights extd64.safetensors --output out/"""
SUFFIXES = {
    *(".jpg", ".jpeg", ".jfif", ".png", ".bmp", ".gif"),
    *(".tif", ".tiff", ".webp", ".ppm", ".pgm"),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    parser.add_argument("inputs", nargs="+", type=Path, help="pictures and folders")
    parser.add_argument("--weights", required=True, type=Path, help="weights file or checkpoint")
    parser.add_argument("--output", type=Path, help="folder for predictions and pictures")
    parser.add_argument("--format", choices=("json", "csv"), default="json", help="of the boxes")
    parser.add_argument("--json", action="store_true", help="print one JSON object, nothing else")
    parser.add_argument("--no-pictures", action="store_true", help="write no pictures")
    parser.add_argument("--score", type=_unit, default=0.5, help="lowest score of a face (0.5)")
    parser.add_argument(
        "--scales", type=_positive, nargs="+", default=[1.0], help="look at these scales (1.0)"
    )
    parser.add_argument("--flip", action="store_true", help="look at the mirrored picture too")
    parser.add_argument(
        "--thorough", action="store_true", help="EXTD's multi-scale test: slower, finds more"
    )
    parser.add_argument(
        "--pixel-budget", type=int, default=None, help="cut larger pictures in tiles (1200000)"
    )
    parser.add_argument("--on-large", choices=("tile", "shrink"), default="tile")
    parser.add_argument("--device", default="cpu", help="cpu, cuda, …")


def run(args: argparse.Namespace) -> int:
    """Predicts picture by picture; a bad one does not stop the rest."""
    from tqdm import tqdm

    from facedet.errors import FacedetError

    detector = _detector(args)
    files, failures = _files(args.inputs)
    if not files and not failures:
        raise FacedetError(f"{', '.join(map(str, args.inputs))}: no pictures there")
    names = _picture_names(files)
    images: list[dict[str, Any]] = []
    bar = tqdm(files, unit="picture", file=sys.stderr, disable=None if len(files) > 1 else True)
    for path in bar:
        try:
            images.append(_one(detector, path, args.output and args.output / names[path], args))
        except FacedetError as error:
            failures.append(str(error))
            continue
        if not args.json:
            tqdm.write(_line(images[-1]), file=sys.stdout)
    if args.output is not None:
        _write_table(args.output, images, args.format)
    if args.json:
        print(json.dumps({"images": images}))
    for failure in failures:
        print(f"facedet predict: {failure}", file=sys.stderr)
    if failures:
        print(f"facedet predict: {len(failures)} failed, {len(images)} done", file=sys.stderr)
    return 1 if failures else 0


def _detector(args: argparse.Namespace) -> "FaceDetector":
    from facedet.api import PIXEL_BUDGET, load
    from facedet.inference import ExtdScales

    return load(
        args.weights,
        score=args.score,
        scales=ExtdScales() if args.thorough else args.scales,
        flip=args.flip,
        pixel_budget=args.pixel_budget or PIXEL_BUDGET,
        on_large=args.on_large,
        device=args.device,
    )


def _files(inputs: list[Path]) -> tuple[list[Path], list[str]]:
    """The pictures of all inputs, and what is wrong with the inputs themselves."""
    files: dict[Path, None] = {}
    failures = []
    for path in inputs:
        if path.is_dir():
            found = sorted(_walk(path))
            if not found:
                failures.append(f"{path}: no pictures in this folder")
            files.update(dict.fromkeys(found))
        elif path.exists():
            files[path] = None
        else:
            failures.append(f"{path}: no such file or folder")
    return list(files), failures


def _walk(folder: Path) -> Iterator[Path]:
    pictures = (path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    return (path for path in pictures if path.is_file())


def _picture_names(files: list[Path]) -> dict[Path, str]:
    """Names for the drawn pictures; two `a.jpg` of different folders stay apart."""
    names: dict[Path, str] = {}
    used: set[str] = set()
    for path in files:
        name, count = f"{path.stem}_faces.jpg", 2
        while name.lower() in used:
            name, count = f"{path.stem}_{count}_faces.jpg", count + 1
        used.add(name.lower())
        names[path] = name
    return names


def _one(
    detector: "FaceDetector", path: Path, picture: Path | None, args: argparse.Namespace
) -> dict[str, Any]:
    from facedet.data.images import read_image
    from facedet.plots import Box, draw_boxes, save_picture

    image = read_image(path)
    found = detector.detect(image.rgb)
    faces = [
        {"box": [round(value, 2) for value in box], "score": round(score, 4)}
        for box, score in zip(found.boxes.tolist(), found.scores.tolist(), strict=True)
    ]
    if picture is not None and not args.no_pictures:
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
    from facedet.replacing import replacing

    with replacing(output / f"predictions.{kind}") as aside:
        if kind == "json":
            aside.write_text(json.dumps({"images": images}, indent=1), encoding="utf-8")
        else:
            _write_csv(aside, images)
    print(f"{len(images)} pictures: {output / f'predictions.{kind}'}", file=sys.stderr)


def _write_csv(path: Path, images: list[dict[str, Any]]) -> None:
    import csv

    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["file", "width", "height", "x1", "y1", "x2", "y2", "score"])
        for image in images:
            for face in image["faces"]:
                row = [image["file"], image["width"], image["height"], *face["box"], face["score"]]
                writer.writerow(row)


def _unit(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text} does not lie in 0 … 1")
    return value


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value <= 16:
        raise argparse.ArgumentTypeError(f"{text} is no scale in 0 … 16")
    return value
