"""Memory and frames per second over a long video: flat, and close to the network's own speed.

python tests/benchmarks/video.py --weights extd-plain-32 --frames 1000
"""

import argparse
import json
import tempfile
import time
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

import av
import numpy as np
import psutil
from skimage import data as pictures

import facedet
from facedet.inference.sources.selection import find_sources
from facedet.prediction.destination import Destination
from facedet.prediction.outputs import Output
from facedet.prediction.run import Run


class Measure(Output):
    """Resident memory at some frames, and the time between two of them."""

    def __init__(self, frames):
        self.mb = dict.fromkeys(frames)
        self.times = dict.fromkeys(frames)

    def add(self, frame, found, image):
        number = frame.index + 1
        if number in self.mb:
            self.mb[number] = psutil.Process().memory_info().rss / 1e6
            self.times[number] = time.perf_counter()


def make_video(path, frames, size):
    """A portrait that wanders over noise, at 25 frames per second."""
    width, height = size
    rng = np.random.default_rng(0)
    ground = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    face = pictures.astronaut()[: height // 2, 100 : 100 + width // 3]
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for index in range(frames):
            rgb = ground.copy()
            left = (7 * index) % (width - face.shape[1])
            rgb[20 : 20 + face.shape[0], left : left + face.shape[1]] = face
            container.mux(stream.encode(av.VideoFrame.from_ndarray(rgb, "rgb24")))
        container.mux(stream.encode(None))
    return path


def own_rate(detector, path, frames):
    """Frames per second of `detect` alone, on frames that lie in memory."""
    with av.open(str(path)) as container:
        decoded = container.decode(video=0)
        chosen = [next(decoded).to_ndarray(format="rgb24") for _ in range(frames)]
    detector.detect(chosen[0])
    start = time.perf_counter()
    for rgb in chosen:
        detector.detect(rgb)
    return frames / (time.perf_counter() - start)


def main(words=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", default="extd-plain-32", help="file or name")
    parser.add_argument("--frames", type=int, default=1000)
    parser.add_argument("--size", type=int, nargs=2, default=(640, 480), help="width and height")
    parser.add_argument("--copies", default="boxes", help="boxes, blur, pixelate or none")
    args = parser.parse_args(words)
    detector = facedet.load(args.weights)
    early, last = max(1, args.frames // 10), args.frames
    with tempfile.TemporaryDirectory() as folder:
        path = make_video(Path(folder, "long.mp4"), args.frames, args.size)
        before = own_rate(detector, path, early)
        destination = Destination(
            Path(folder, "out"), True, None, args.copies, None, 0.0, printed="jsonl"
        )
        measure, failures = Measure((early, last)), []
        sources = find_sources([str(path)]).sources
        with redirect_stdout(StringIO()):
            outputs = destination.open(sources, print)
            Run(detector, [*outputs, measure], failures)(sources)
        after = own_rate(detector, path, early)
    seconds = measure.times[last] - measure.times[early]
    result = {
        "frames": args.frames,
        "size": args.size,
        "failures": failures,
        "mb_at": measure.mb,
        "grown_mb": measure.mb[last] - measure.mb[early],
        "frames_per_second": (last - early) / seconds,
        "network_frames_per_second": [before, after],
    }
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
