"""`facedet export`: a detector as an ONNX, OpenVINO or TorchScript file, or as a web page."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from facedet.errors import UsageError
from facedet.option_types import count, unit

if TYPE_CHECKING:
    from facedet.export.web.page import WebPage
    from facedet.export.writing import Exported

HELP = """Write a detector as a file for other programs. The picture goes in as RGB, 0 to 255; what
comes out is --decoded, a box and a score per anchor; --raw, logits, deltas and anchors; or, with
NMS inside, --end-to-end, the faces. The file is opened again and compared with PyTorch on embedded
pictures; one that does not agree is not kept. Its metadata say where it comes from, so that
`facedet predict -w FILE` and facedet.load(FILE) take it like weights. --format web writes a folder:
a page that finds faces in pictures and before a camera, in the browser, where pictures stay."""
EXAMPLE = """examples:
  facedet export extd-plain-32-s8 --end-to-end
  facedet export weights.safetensors --format openvino --precision bf16 -o detector.xml
  facedet export extd-fpn-64-prelu --precision int8 --calibrate WIDER_train/ -o small.onnx
  facedet export extd-plain-32-s8 --size 480x640 --batch 1
  facedet export extd-plain-32-s8 --format web page/"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    add = parser.add_argument
    text = "file, checkpoint, or a name of `facedet weights list` (web: extd-plain-32-s8)"
    add("weights", nargs="?", help=text)
    add(
        "folder", nargs="?", type=Path, metavar="DIR", help="web: new folder of the page (NAME-web)"
    )
    formats = ("onnx", "openvino", "torchscript", "web")
    add("--format", choices=formats, default="onnx", help="of the file (onnx)")
    text = "the file (NAME.onnx, .xml with .bin, .torchscript), or the page's folder"
    add("-o", "--output", type=Path, help=text)
    text = "of the layers; bf16 not for onnx, int8 not for torchscript (fp32)"
    add("--precision", choices=("fp32", "fp16", "bf16", "int8"), default="fp32", help=text)
    text = "HxW of the pictures, or dynamic: any (dynamic)"
    add("--size", type=_size, default=None, metavar="HxW|dynamic", help=text)
    text = "pictures per call, or dynamic: any number (dynamic)"
    add("--batch", type=_batch, default=None, metavar="N|dynamic", help=text)
    forms = parser.add_mutually_exclusive_group()
    for form, text in (
        ("raw", "logits, deltas and anchors come out"),
        ("decoded", "boxes and scores of all anchors come out (this; web: end-to-end)"),
        ("end-to-end", "faces come out: score cut and NMS are inside"),
    ):
        forms.add_argument(f"--{form}", dest="form", action="store_const", const=form, help=text)
    text = "lowest score of a face (what the weights' card says, else 0.5)"
    add("--score", type=unit, help=text)
    add("--iou", type=unit, default=0.3, help="end-to-end: overlap of two boxes of one face (0.3)")
    text = "int8: folder of training pictures (embedded ones)"
    add("--calibrate", type=Path, metavar="DIR", help=text)
    text = "web: folder `dist` of the npm package onnxruntime-web (npm fetches it into the cache)"
    add("--runtime", type=Path, metavar="DIR", help=text)


def _size(text: str) -> tuple[int, int] | None:
    """Height and width px; None: any."""
    if text == "dynamic":
        return None
    height, _, width = text.lower().partition("x")
    try:
        return count(height), count(width)
    except argparse.ArgumentTypeError as error:
        raise argparse.ArgumentTypeError(f"{text}: expected HxW, as 480x640, or dynamic") from error


def _batch(text: str) -> int | None:
    return None if text == "dynamic" else count(text)


def run(args: argparse.Namespace) -> int:
    """Exports and prints what is in the file."""
    if args.format == "web":
        return _write_page(args)
    from facedet.export.writing import SUFFIX, export

    if args.weights is None:
        raise UsageError(f"weights: expected a file or a name before --format {args.format}")
    for option in ("folder", "runtime"):
        if (value := getattr(args, option)) is not None:
            raise UsageError(f"{option}={value}: is for format=web, not {args.format}")
    path = args.output or Path(Path(args.weights).stem + SUFFIX[args.format])
    changes = {name: getattr(args, name) for name in ("precision", "size", "batch", "iou")}
    if args.score is not None:
        changes["score"] = args.score
    form = args.form or "decoded"
    written = export(args.weights, path, args.format, args.calibrate, form=form, **changes)
    if args.precision == "int8" and args.calibrate is None:
        print("calibrated on embedded pictures; --calibrate DIR takes those of your training")
    print(_lines(written))
    return 0


def _write_page(args: argparse.Namespace) -> int:
    from facedet.export.web.page import DEFAULT_WEIGHTS, write_page

    for option, expected in (
        ("form", "end-to-end"),
        ("precision", "fp32"),
        ("size", None),
        ("batch", None),
        ("calibrate", None),
    ):
        if (value := getattr(args, option)) not in (None, expected):
            raise UsageError(f"{option}={value}: format=web takes end-to-end, fp32, any picture")
    if args.folder and args.output:
        raise UsageError(f"{args.folder} and --output {args.output}: expected one folder")
    source = args.weights or DEFAULT_WEIGHTS
    folder = args.folder or args.output or Path(f"{Path(source).stem}-web")
    print(_page_lines(write_page(source, folder, args.runtime, args.score, args.iou)))
    return 0


def _page_lines(page: "WebPage") -> str:
    sizes = ", ".join(
        f"{name} {packed / 1e3:,.0f} kB ({plain / 1e3:,.0f} unpacked)"
        for name, (plain, packed) in page.sizes.items()
    )
    return "\n".join(
        [
            f"{page.folder}: {page.description.weights}, ONNX Runtime Web {page.runtime}",
            f"  in gzip: {sizes}",
            f"  {page.agreement.in_words()}",
            f"  to see it: python -m http.server -d {page.folder}, then http://localhost:8000",
        ]
    )


def _lines(written: "Exported") -> str:
    about = written.description
    outputs = {
        "raw": "logits [batch, anchors, 2], deltas [batch, anchors, 4], anchors [anchors, 4]",
        "decoded": "boxes [batch, anchors, 4], scores [batch, anchors]",
        "end-to-end": "boxes [faces, 4], scores [faces], picture [faces]",
    }
    metadata = about.to_metadata()
    return "\n".join(
        [
            f"{written.path}: {about.form}, {about.precision}, {written.size / 1e3:,.0f} kB",
            f"  in   {metadata['input']}",
            f"  out  {outputs[about.form]}; boxes are {metadata['boxes']}",
            f"  {written.agreement.in_words()}",
        ]
    )
