"""The page: plain HTML, CSS and JavaScript, the detector as ONNX, and the runtime."""

import gzip
import json
import shutil
from pathlib import Path
from typing import NamedTuple

from facedet import __version__
from facedet.errors import UsageError
from facedet.export.agreement import Agreement
from facedet.export.web.runtime import find_runtime
from facedet.export.writing import export
from facedet.files import new_folder
from facedet.inference.engines.exported import Description
from facedet.weights.zoo import usual_score

# Without weights: a small file, and quick.
DEFAULT_WEIGHTS = "extd-plain-32-s8"
# Where the slider ends: below, a quick detector takes every spot of a picture for a face.
LEAST_SCORE = 0.2
STATIC = Path(__file__).parent / "static"


class WebPage(NamedTuple):
    """A page that was written."""

    folder: Path
    description: Description
    agreement: Agreement
    runtime: str  # ONNX Runtime Web's version
    sizes: dict[str, tuple[int, int]]  # bytes of model, runtime and page: as they are, and in gzip


def write_page(
    source: str | Path,
    folder: Path,
    runtime: Path | None = None,
    score: float | None = None,
    iou: float = 0.3,
) -> WebPage:
    """Writes a page that finds faces in pictures and before a camera, in the browser.

    Args:
        source: weights, as of `read_weights`.
        folder: of the page; it must be absent or empty.
        runtime: as of `find_runtime`.
        score: at which the slider starts; None: the weights' own.
        iou: NMS threshold.

    Raises:
        FacedetError: weights or runtime are missing, or the folder cannot be written.
        UsageError: the score is below the slider's end.
    """
    if score is not None and score < LEAST_SCORE:
        raise UsageError(f"score={score}: the slider of format=web ends at {LEAST_SCORE}")
    found = find_runtime(runtime)
    with new_folder(folder) as aside:
        # For the slider: what NMS leaves of scores above a higher cut is the same.
        model = export(
            source, aside / "model.onnx", "onnx", form="end-to-end", score=LEAST_SCORE, iou=iou
        )
        about = model.description
        shutil.copytree(STATIC, aside, dirs_exist_ok=True)
        shutil.copy(found.script, aside / "onnxruntime.js")
        # Small servers send files as they are; the page unpacks this one itself.
        packed = gzip.compress(found.wasm.read_bytes(), mtime=0)
        (aside / "onnxruntime.wasm.gz").write_bytes(packed)
        facts = {
            "weights": about.weights,
            "sha256": about.sha256,
            "licence": about.licence,
            # `export` has fetched them, if need be.
            "score": max(LEAST_SCORE, usual_score(source)) if score is None else score,
            "least_score": LEAST_SCORE,
            "facedet": __version__,
            "runtime": found.version,
        }
        (aside / "model.json").write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
        script = _size(aside / "onnxruntime.js")
        sizes = {
            "model": _size(aside / "model.onnx"),
            "runtime": _sum(script, (found.wasm.stat().st_size, len(packed))),
            "page": _sum(*(_size(aside / file.name) for file in STATIC.iterdir())),
        }
    return WebPage(folder, about, model.agreement, found.version, sizes)


def _size(file: Path) -> tuple[int, int]:
    data = file.read_bytes()
    return len(data), len(gzip.compress(data))


def _sum(*sizes: tuple[int, int]) -> tuple[int, int]:
    plain, packed = zip(*sizes, strict=True)
    return sum(plain), sum(packed)
