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
import cv2
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
        self.seconds = dict.fromkeys(frames)
        self.cpu = dict.fromkeys(frames)

    def add(self, frame, found, image):
        number = frame.index + 1
        if number in self.mb:
            self.mb[number] = psutil.Process().memory_info().rss / 1e6
            self.seconds[number] = time.perf_counter()
            self.cpu[number] = time.process_time()


def make_video(path, frames, size):
    """A portrait that wanders over soft clouds, at 25 frames per second."""
    width, height = size
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (height // 32, width // 32, 3), dtype=np.uint8)
    ground = cv2.resize(coarse, size, interpolation=cv2.INTER_CUBIC)
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


def own_times(detector, path, frames):
    """Seconds per frame of `detect` alone, by the clock and of the CPU, on frames in memory."""
    with av.open(str(path)) as container:
        decoded = container.decode(video=0)
        chosen = [next(decoded).to_ndarray(format="rgb24") for _ in range(frames)]
    detector.detect(chosen[0])
    start, cpu = time.perf_counter(), time.process_time()
    for rgb in chosen:
        detector.detect(rgb)
    return [(time.perf_counter() - start) / frames, (time.process_time() - cpu) / frames]


def main(words=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", default="extd-plain-32", help="file or name")
    parser.add_argument("--engine", default="auto", help="what runs the network")
    parser.add_argument("--frames", type=int, default=1000)
    parser.add_argument("--size", type=int, nargs=2, default=(640, 480), help="width and height")
    parser.add_argument("--copies", default="boxes", help="boxes, blur, pixelate or none")
    args = parser.parse_args(words)
    detector = facedet.load(args.weights, engine=args.engine, threads=1)
    early, last = max(1, args.frames // 10), args.frames
    with tempfile.TemporaryDirectory() as folder:
        path = make_video(Path(folder, "long.mp4"), args.frames, args.size)
        before = own_times(detector, path, early)
        destination = Destination(
            Path(folder, "out"), True, None, args.copies, None, 0.0, printed="jsonl"
        )
        measure, failures = Measure((early, last)), []
        sources = find_sources([str(path)]).sources
        with redirect_stdout(StringIO()):
            outputs = destination.open(sources, print)
            Run(detector, [*outputs, measure], failures)(sources)
        after = own_times(detector, path, early)
    count = last - early
    seconds, cpu = ((at[last] - at[early]) / count for at in (measure.seconds, measure.cpu))
    own = [sum(pair) / 2 for pair in zip(before, after, strict=True)]
    result = {
        "engine": detector.info["engine"],
        "frames": args.frames,
        "size": args.size,
        "failures": failures,
        "mb_at": measure.mb,
        "grown_mb": measure.mb[last] - measure.mb[early],
        "frames_per_second": 1 / seconds,
        "network_frames_per_second": 1 / own[0],
        "cpu_ms": 1000 * cpu,
        "network_cpu_ms": 1000 * own[1],
    }
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
