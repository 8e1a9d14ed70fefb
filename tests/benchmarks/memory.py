"""Peak memory of a fresh process that predicts one picture of noise.

python tests/benchmarks/memory.py --weights extd64.safetensors --megapixels 24
"""

import argparse
import json
import resource
import sys

import numpy as np

import facedet


def peak_gib():
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # Linux counts kilobytes, macOS bytes.
    return peak / (2**30 if sys.platform == "darwin" else 2**20)


def main(words=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", help="file or name (the shipped ones)")
    parser.add_argument("--megapixels", type=float, default=24.0)
    args = parser.parse_args(words)
    detector = facedet.load(args.weights) if args.weights else facedet.load()
    loaded = peak_gib()
    width = round((args.megapixels * 1e6 * 3 / 2) ** 0.5)
    picture = np.random.default_rng(0).integers(0, 256, (width * 2 // 3, width, 3), dtype=np.uint8)
    note = detector.detect(picture).note
    result = {"megapixels": picture[..., 0].size / 1e6, "loaded_gib": loaded}
    print(json.dumps({**result, "peak_gib": peak_gib(), "note": note}, indent=1))


if __name__ == "__main__":
    main()
