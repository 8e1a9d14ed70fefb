"""`facedet app`: the detectors in a page of this machine, with Gradio."""

import argparse
import importlib.util
import signal
import sys
import threading

from facedet.errors import FacedetError
from facedet.inference.engines import ENGINES
from facedet.option_types import count, megapixels, unit

HELP = """Find faces in a browser: pictures, folders, videos and the webcam; weights, engine and
lowest score to choose; results as pictures and JSON to download. The page is served by this machine
for this machine (127.0.0.1), until Ctrl-C; nothing is sent elsewhere, and what was uploaded is
removed at the end. Needs Gradio: pip install 'facedet-lightning[app]'."""
EXAMPLE = """examples:
  facedet app
  facedet app -w my/weights.safetensors -w hf://owner/name --engine onnxruntime
  facedet app --host 0.0.0.0 --port 8000                for others too; there is no password"""
_LOCAL = ("127.0.0.1", "localhost", "::1")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    add = parser.add_argument
    text = "further weights to choose from, the first one chosen; as of facedet predict"
    add("-w", "--weights", action="append", default=[], metavar="WEIGHTS", help=text)
    text = "what runs the network: auto takes the fastest that is installed (auto)"
    add("--engine", choices=("auto", *ENGINES), default="auto", help=text)
    text = "where the slider begins (what the weights' card says, else 0.5)"
    add("--score", "--conf", type=unit, metavar="SCORE", help=text)
    text = "address to listen at (127.0.0.1: this machine only); others have no password to give"
    add("--host", default="127.0.0.1", help=text)
    add("--port", type=count, help="to listen at (the first free one from 7860)")
    add("--max-upload", type=count, default=200, metavar="MB", help="of a file (200)")
    text = "of a picture, in millions (50)"
    add("--max-pixels", type=megapixels, default=50.0, metavar="MP", help=text)
    add("--max-files", type=count, default=200, metavar="N", help="of a request (200)")
    add("--max-frames", type=count, default=3000, metavar="N", help="of a video (3000)")


def run(args: argparse.Namespace) -> int:
    """Serves until Ctrl-C, or SIGTERM: both leave no uploads behind."""
    if importlib.util.find_spec("gradio") is None:
        raise FacedetError("needs Gradio: pip install 'facedet-lightning[app]'")
    from facedet.app.finding import Limits, known_weights, open_weights

    weights = known_weights(args.weights)
    # What is wrong with the weights is said here, not in the page.
    open_weights(next(iter(weights.values())), args.engine, args.score)
    from facedet.app.pages import Options, serving

    signal.signal(signal.SIGTERM, signal.default_int_handler)
    limits = Limits(args.max_files, args.max_pixels, args.max_frames)
    options = Options(weights, args.engine, args.score, limits, args.max_upload)
    with serving(options, args.host, args.port) as url:
        print(f"{url} (Ctrl-C ends it)", flush=True)
        if args.host not in _LOCAL:
            print(
                f"facedet app: {args.host}: whoever reaches this machine can use the page",
                file=sys.stderr,
            )
        threading.Event().wait()
    return 0
