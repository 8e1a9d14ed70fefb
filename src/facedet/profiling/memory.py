"""Peak memory of a prediction, in a process of its own."""

import json
import resource
import subprocess
import sys
from pathlib import Path


def measure_memory(weights: Path, height: int, width: int) -> dict[str, float]:
    """Peak resident memory of a fresh process that predicts one picture of noise.

    Args:
        weights: of the detector.
        height: of the picture, px.
        width: of the picture, px.

    Returns:
        "megapixels", "peak_gib" and, of the same process before it sees the picture, "loaded_gib".
    """
    command = [sys.executable, "-m", "facedet.profiling.memory", str(weights)]
    done = subprocess.run(
        [*command, str(height), str(width)], check=True, capture_output=True, text=True
    )
    return json.loads(done.stdout)


def _main(weights: str, height: int, width: int) -> None:
    import numpy as np

    import facedet

    detector = facedet.load(weights)
    loaded = _peak_gib()
    rng = np.random.default_rng(0)
    found = detector.detect(rng.integers(0, 256, (height, width, 3), dtype=np.uint8))
    result = {
        "megapixels": height * width / 1e6,
        "loaded_gib": loaded,
        "peak_gib": _peak_gib(),
        "note": found.note,
    }
    print(json.dumps(result))


def _peak_gib() -> float:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # Linux counts kilobytes, macOS bytes.
    return peak / (2**30 if sys.platform == "darwin" else 2**20)


if __name__ == "__main__":
    _main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
