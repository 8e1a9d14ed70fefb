"""ONNX Runtime Web: from a folder, or from its npm package, which the cache folder then keeps."""

import json
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import NamedTuple

from facedet.errors import FacedetError, one_line
from facedet.files import replacing
from facedet.weights.zoo import cache_folder

# The package's folder of built files, and those of them for the CPU: the others are for GPUs.
_DIST = Path("node_modules", "onnxruntime-web", "dist")
_SCRIPT = "ort.wasm.bundle.min.mjs"
_WASM = "ort-wasm-simd-threaded.wasm"
_FETCH_SECONDS = 600
_HERE = Path(__file__).parent


class Runtime(NamedTuple):
    """The files of ONNX Runtime Web that a page needs."""

    script: Path
    wasm: Path
    version: str


def find_runtime(folder: Path | None) -> Runtime:
    """The runtime of a folder; without one that of the cache, where npm puts it the first time.

    Args:
        folder: `dist` of the npm package, the package, or the folder of its node_modules.

    Raises:
        FacedetError: the files are not there, and npm is missing or cannot fetch them.
    """
    if folder is not None:
        for place in (folder, folder / "dist", folder / _DIST):
            if (runtime := _read(place)) is not None:
                return runtime
        raise FacedetError(
            f"runtime={folder}: expected {_SCRIPT} and {_WASM}, as in the folder dist of the npm "
            "package onnxruntime-web"
        )
    version = json.loads((_HERE / "package.json").read_text())["dependencies"]["onnxruntime-web"]
    cached = cache_folder() / f"onnxruntime-web-{version}"
    if (runtime := _read(cached)) is None:
        _fetch(cached, version)
        runtime = _read(cached)
    assert runtime is not None
    return runtime


def _read(folder: Path) -> Runtime | None:
    script, wasm = folder / _SCRIPT, folder / _WASM
    if not (script.is_file() and wasm.is_file()):
        return None
    with script.open(encoding="utf-8") as stream:
        named = re.search(r"ONNX Runtime Web v(\S+)", stream.read(500))
    return Runtime(script, wasm, named[1] if named else "of unknown version")


def _fetch(cached: Path, version: str) -> None:
    """Installs what package-lock.json says in a folder of its own, and keeps the two files."""
    given = f"give --runtime DIR, the folder dist of the npm package onnxruntime-web {version}"
    npm = shutil.which("npm")
    if npm is None:
        raise FacedetError(
            f"format=web: ONNX Runtime Web comes with npm, which is not installed: {given}"
        )
    with tempfile.TemporaryDirectory() as folder:
        for name in ("package.json", "package-lock.json"):
            shutil.copy(_HERE / name, folder)
        command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
        try:
            done = subprocess.run(
                command, cwd=folder, capture_output=True, text=True, timeout=_FETCH_SECONDS
            )
            failure = " ".join(done.stderr.split())[:300] if done.returncode else ""
        except (OSError, subprocess.TimeoutExpired) as error:
            failure = one_line(error)
        if failure or _read(Path(folder, _DIST)) is None:
            raise FacedetError(
                f"format=web: npm cannot fetch ONNX Runtime Web ({failure or 'files missing'}): "
                f"{given}"
            )
        for name in (_SCRIPT, _WASM):
            with replacing(cached / name) as aside:
                shutil.copy(Path(folder, _DIST, name), aside)
