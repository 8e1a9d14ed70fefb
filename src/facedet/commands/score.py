"""`facedet score`: a benchmark's numbers from anybody's detection files, without a network."""

import argparse
import json
import sys
import time
from pathlib import Path

from facedet.errors import UsageError
from facedet.option_types import count

HELP = """Score detection files by a benchmark's protocol. The detections are, for
  wider         EVENT/IMAGE.txt in a folder or a zip, or one .npz: AP on easy, medium, hard faces
  fddb          the ten folds' layout, rectangles or ellipses: true positive rates
  afw, pascal   lines "name score x1 y1 x2 y2": AP after refining all boxes as one
Other names are those of protocol/NAME.yaml in the folder --config-dir."""
EXAMPLE = """examples:
  facedet score --detections results.zip --ground-truth eval_tools/ground_truth
  facedet score --protocol fddb --detections folds/ --ground-truth FDDB-folds/"""

# Arguments of single benchmarks' metrics.
_OPTIONS = {
    "integer_quirk": "--no-integer-quirk", "ellipses": "--ellipses", "rounds": "--rounds",
}  # fmt: skip


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    add = parser.add_argument
    add("--protocol", default="wider", help="default: wider")
    add("--config-dir", type=Path, help="folder with further protocol/NAME.yaml")
    text = "file, folder, zip or .npz of detections"
    add("--detections", type=Path, required=True, help=text)
    text = (
        "wider: folder of wider_face_val.mat and wider_{easy,medium,hard}_val.mat, or a WIDER FACE "
        "folder that holds ground_truth/; fddb: its ellipse lists, and the pictures if they are to "
        "give their sizes; afw, pascal: the .mat or text of annotations, or its folder"
    )
    add("--ground-truth", type=Path, required=True, help=text)
    text = "wider: do not round the IoU to 0 or 1, as the official MATLAB toolbox does"
    add("--no-integer-quirk", dest="integer_quirk", action="store_false", default=None, help=text)
    text = "fddb: draw them as the official tool does, or take the boxes around them"
    add("--ellipses", choices=("masks", "boxes"), help=text)
    text = "afw, pascal: matchings; boxes are refined between them"
    add("--rounds", type=count, help=text)
    text = "leave out images without a detection file (otherwise their faces count as missed)"
    add("--only-present", action="store_true", help=text)
    add("--output", type=Path, help="folder for metrics.json and the curves")
    add("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    """Scores, prints, and writes the files asked for."""
    from facedet.evaluation.scoring import find_protocol, score_files

    start = time.perf_counter()
    protocol = find_protocol(args.protocol, args.config_dir)
    options = {key: getattr(args, key) for key in _OPTIONS if getattr(args, key) is not None}
    for key in options:
        if key not in protocol.metric:
            raise UsageError(f"{_OPTIONS[key]} has no meaning for --protocol {args.protocol}")
    scored, notes = score_files(
        protocol, args.detections, args.ground_truth, args.only_present, options
    )
    benchmark, metric, report = scored
    for note in notes:
        print(f"facedet score: {note}", file=sys.stderr)
    if args.output:
        title = f"{args.protocol}, {args.detections.name}, {metric.images:,} images"
        scored.save(args.output, title)
    if args.json:
        print(json.dumps(report))
        return 0
    images = f"{metric.images:,} images"
    if args.only_present:
        images = f"only the {images} with a {benchmark.entry}"
    print(", ".join([benchmark.title, *benchmark.describe(metric)]))
    print(*scored.table(as_percent=True), sep="\n")
    print(f"{images}, {metric.detections:,} boxes, {time.perf_counter() - start:.1f} s")
    return 0
